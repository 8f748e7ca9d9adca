//! Sending tasks.
//!
//! ```no_run
//! # use counterfoil_toolbox::{Task, producer::Producer};
//! # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! # struct Add { x: i64, y: i64 }
//! # impl Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
//! # async fn example(producer: Producer) -> Result<(), Box<dyn std::error::Error>> {
//! let mut handle = producer.send(Add { x: 2, y: 3 }).await?;   // confirmed: stored and tracked
//! let sum = handle.result(std::time::Duration::from_secs(5)).await?;
//! # Ok(()) }
//! ```

//!
//! A producer needs no broker to begin with: it connects in the background, and [`Producer::send`]
//! answers at once with [`SendError::BrokerUnavailable`] while the broker is known to be away.
//! [`Producer::availability`] tells so without a send.

mod availability;
mod builder;
mod draft;
mod error;
mod guard;
mod metrics;
mod options;
#[cfg(test)]
mod outage_tests;
mod permit;
mod replies;
mod result;
mod send;
mod sending;
mod sessions;
#[cfg(test)]
mod tests;

pub use availability::{Availability, Trouble};
pub use builder::ProducerBuilder;
pub use draft::Draft;
pub use error::SendError;
pub use options::SendOptions;
pub use result::{RawHandle, ResultError, TaskHandle};
pub use send::{Producer, RawTask};
pub use sending::Sending;
