//! End-to-end tests, a module per promise, on real servers.

mod chart;
mod workspace;
