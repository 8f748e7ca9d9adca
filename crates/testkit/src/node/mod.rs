//! Private servers for tests: a RabbitMQ and a PostgreSQL that belong to one process and end with it.
//!
//! Reading order: [`RabbitNode`] and [`PostgresNode`] are what tests use, both are made of a guard
//! (the folder, and the watchdog that cleans up after this process), server processes and free ports.
//! [`RabbitCluster`] is three of the former.

mod cluster;
mod postgres;
mod rabbit;
mod rabbit_settings;

mod account;
mod guard;
mod ports;
mod process;
mod programs;

pub use cluster::RabbitCluster;
pub use postgres::{PostgresNode, PostgresOptions};
pub use rabbit::RabbitNode;
pub use rabbit_settings::RabbitOptions;

/// How often a node is started on new ports when another process was faster in taking one.
const START_ATTEMPTS: u32 = 3;

/// Whether a server failed to start because one of its ports was taken meanwhile.
fn port_was_taken(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    [
        "eaddrinuse",
        "address already in use",
        "is in use by another node",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}
