//! Sending tasks.
//!
//! ```
//! # use counterfoil_toolbox::{Producer, Task, config::BrokerSettings, topology, transport::memory::MemoryBroker};
//! # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! # struct Add { x: i64, y: i64 }
//! # impl Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
//! # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
//! # let transport = std::sync::Arc::new(broker.clone());
//! let producer = Producer::new(transport, names.clone()); // one for the whole program
//! let handle = producer.send(Add { x: 2, y: 3 }).await?; // confirmed: stored and tracked
//! println!("counterfoil why {}", handle.id());
//! # use counterfoil_toolbox::transport::Transport;
//! # assert_eq!(broker.depth(&names.tracking_queue).await?.unwrap().ready, 1);
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
mod hand_over;
mod metrics;
mod observer;
mod options;
#[cfg(test)]
mod outage_tests;
mod permit;
mod raw;
mod replies;
mod result;
mod send;
mod sending;
mod sessions;
#[cfg(test)]
mod tests;

pub use availability::{Availability, Trouble};
pub use builder::ProducerBuilder;
pub use draft::{Draft, origin};
pub use error::SendError;
pub use observer::Observer;
pub use options::SendOptions;
pub use raw::RawTask;
pub use result::{RawHandle, ResultError, TaskHandle};
pub use send::Producer;
pub use sending::Sending;
