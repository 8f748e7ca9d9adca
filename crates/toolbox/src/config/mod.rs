//! Configuration: what can be set, and what it is when nobody sets it.

mod sections;

pub use sections::{
    BrokerSettings, DatabaseSettings, QueueOverride, SyncSettings, TelemetrySettings,
    WorkerSettings,
};
