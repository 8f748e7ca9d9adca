//! Calling signatures: what follows after a task (callbacks, errbacks, the next step of a chain), and what producers and
//! handlers call.

mod after;
mod budget;
mod build;
mod call;
mod chord;
mod embed;
mod ends;
mod message;
mod options;
mod replace;
mod send;
mod signature;
mod steps;

pub(crate) use after::{
    NewStyle, Skipped, after_failure, after_success, as_task, children, chord_body, chord_failed,
    skipped,
};
pub(crate) use embed::Embed;
pub(crate) use message::{Ids, Parent};
pub use replace::replace;
pub(crate) use send::send_with;
pub use send::{Canvas, CanvasError, send};
pub use signature::Signature;
pub(crate) use signature::{Kind, listed};

#[cfg(test)]
mod tests;
