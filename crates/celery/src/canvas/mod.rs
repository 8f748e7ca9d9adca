//! What follows after a task: callbacks, errbacks, the next step of a chain.

mod after;
mod call;
mod chord;
mod embed;
mod message;
mod signature;

pub(crate) use after::{
    Skipped, after_failure, after_success, as_task, children, chord_body, chord_failed, skipped,
};
pub(crate) use embed::Embed;
pub(crate) use message::Parent;

#[cfg(test)]
mod tests;
