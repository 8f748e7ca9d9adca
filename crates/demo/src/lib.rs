//! The demo tasks, their worker, and a scenario over them.
