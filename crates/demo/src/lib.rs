//! The playground: demo tasks, their worker, and a scenario over them.
//!
//! [`tasks`] holds the structs alone; whoever sends them needs nothing else.

pub mod tasks;
