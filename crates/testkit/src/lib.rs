//! Private RabbitMQ and PostgreSQL nodes, and the suites that every transport and store must pass.
//!
//! A test that needs a broker takes a vhost of its own, one that needs PostgreSQL a database:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let vhost = counterfoil_testkit::Broker::shared().await?.vhost().await?;
//! let database = counterfoil_testkit::Database::fresh().await?;
//! println!("{} {}", vhost.amqp_url(), database.url());
//! # Ok(())
//! # }
//! ```
//!
//! One that kills or freezes a server starts a [`RabbitNode`] or a [`PostgresNode`] of its own; one that
//! disturbs the network puts a [`Proxy`] before it. Run
//! tests under `counterfoil-with-nodes -- cargo nextest run …`, so that they share two servers.

mod application;
mod broker;
mod database;
mod node;
mod proxy;
pub mod store_suite;
pub mod transport_suite;
mod wait;

mod elsewhere;

pub use application::{AppTransaction, Application};
pub use broker::{
    AMQP_URL, Binding, Broker, Depth, MANAGEMENT_URL, Management, Permissions, User, Vhost,
};
pub use database::{DATABASE_URL, Database};
pub use node::{PostgresNode, PostgresOptions, RabbitNode, RabbitOptions};
pub use proxy::{Flow, Proxy, Towards};
pub use wait::{eventually, patience};
