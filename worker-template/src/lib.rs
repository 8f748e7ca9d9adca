//! The worker of the service `abacus`.
//!
//! [`handlers`] is what it does for each task, [`settings`] what it is told, `main.rs` how it starts.
//! The tasks themselves are a crate of their own, `abacus-tasks`.

pub mod handlers;
pub mod settings;
