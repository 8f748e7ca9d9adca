//! The playground: demo tasks, their worker, and a scenario over them.
//!
//! [`tasks`] holds the structs alone; whoever sends them needs nothing else. [`worker`] runs them,
//! and [`scenario`] is a mixture of them of which it is known how each ends.

pub mod tasks;

pub mod scenario;

mod handlers;
mod worker;

pub mod export;
pub mod ledger;
pub mod parcels;

pub use handlers::faults::is_on_purpose;
pub use worker::{DemoError, Playground, register, services, worker};
