//! Configuration: what can be set, where it comes from, and what it is when nobody sets it.
//!
//! Defaults, then a TOML file (`counterfoil.toml` in the working directory, or one that is named),
//! then the environment: `COUNTERFOIL_` and the names of section and field joined by two
//! underscores, lists by commas (`COUNTERFOIL_BROKER__SERVICES=demo,export`). Variables without
//! two underscores are no configuration, `COUNTERFOIL_PROFILE` excepted.
//!
//! Everything that is wrong is reported at once, each fault under the full name of its field.
//!
//! ```
//! use counterfoil_toolbox::config::{Config, LoadOptions, Role};
//!
//! let env = [("COUNTERFOIL_BROKER__URL", "amqp://broker.test/%2f")];
//! let config = Config::load(LoadOptions::new(Role::Worker).env(env))?;
//! assert_eq!(config.worker.concurrency, 64);
//! # Ok::<(), counterfoil_toolbox::config::ConfigError>(())
//! ```

mod celery;
mod dashboard;
mod fault;
mod layers;
mod load;
mod read;
mod resolve;
mod role;
mod secret;
mod sections;
mod units;

pub use celery::CeleryEncoding;
pub use dashboard::{AccessRole, DashboardSettings, ProxySettings, TokenSettings, UserSettings};
pub use fault::{ConfigError, Fault};
pub use load::{Config, LoadOptions};
pub use role::{Needs, Profile, Role};
pub use secret::redact_url;
pub use sections::{
    BreakerSettings, BrokerSettings, DatabaseSettings, Declaring, LogFormat, QueueOverride,
    SyncSettings, TelemetrySettings, WorkerSettings,
};
