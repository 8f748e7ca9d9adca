//! Whoever wants to know what a producer has sent.

use crate::transport::Publication;
use std::fmt;

/// Hears of tasks that are sent: see [`ProducerBuilder::observer`](super::ProducerBuilder::observer).
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// The broker has this task. It must return at once: the sender waits meanwhile. A task that is due later was
    /// published to the levels that delay it.
    fn sent(&self, task: &Publication);
}
