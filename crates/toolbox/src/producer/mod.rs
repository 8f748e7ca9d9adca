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

mod error;
mod options;
mod replies;
mod result;
mod send;
mod sending;
#[cfg(test)]
mod tests;

pub use error::SendError;
pub use options::SendOptions;
pub use result::{RawHandle, ResultError, TaskHandle};
pub use send::{Producer, RawTask};
pub use sending::Sending;
