//! The playground over a broker in memory.

mod export;
mod family;
mod ledger;
#[cfg(feature = "otlp")]
mod otlp;
mod program;
mod scenario;
mod stage;
mod tasks;
