//! One scenario, one JSON line: how fast counterfoil is.
//!
//! Each scenario builds its own exchanges and queues under a prefix and removes them afterwards.

mod drain;
mod mirror;
mod mirrored;
mod outcomes;
mod pipeline;
mod publish;
mod report;
mod roundtrip;
mod setting;
mod task;
mod worker;

pub use drain::drain;
pub use mirror::mirror;
pub use outcomes::{outcomes, session};
pub use pipeline::pipeline;
pub use publish::publish;
pub use report::{Latencies, Report};
pub use roundtrip::roundtrip;
pub use setting::Setting;
