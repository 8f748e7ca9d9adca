//! Tasks that will not run again by themselves: what lies in dead queues is sent again, or thrown away.
//!
//! The truth about a dead message is the queue; what the database lists is what the platform was told of. So a
//! [`Dealing`] walks through the whole queue, and looks up beside it what is known of each message.

mod clear;
mod deal;
mod dealing;
mod found;
mod plan;
#[cfg(test)]
mod plan_tests;
mod walk;
mod which;

pub(crate) use clear::clear;
pub use deal::{Deal, Fate};
pub use dealing::Dealing;
pub use which::Which;
