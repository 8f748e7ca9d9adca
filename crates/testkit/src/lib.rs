//! Tests of tasks and handlers without a broker, private RabbitMQ and PostgreSQL nodes, and the suites that
//! every transport and store must pass.
//!
//! # Your own tasks
//! [`Perform`] runs one handler once, under a real worker over a broker in memory, and tells what became of the
//! task, what it scheduled, how far it said that it was, and what it wrote into its log:
//!
//! ```
//! use counterfoil_testkit::Perform;
//! use counterfoil_toolbox::Task;
//! use counterfoil_worker::{Context, TaskError};
//! # use serde::{Deserialize, Serialize};
//! # use schemars::JsonSchema;
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Resize { path: String }
//! # impl Task for Resize { const NAME: &'static str = "image.resize"; type Output = (); }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct ResizeAll { paths: Vec<String> }
//! # impl Task for ResizeAll { const NAME: &'static str = "image.resize_all"; type Output = usize; }
//!
//! async fn resize_all(task: ResizeAll, cx: Context) -> Result<usize, TaskError> {
//!     let count = task.paths.len();
//!     for path in task.paths {
//!         cx.send(Resize { path }).await?;
//!     }
//!     Ok(count)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let task = ResizeAll { paths: vec!["a.png".into(), "b.png".into()] };
//! let done = Perform::new(task).by(|worker| worker.handle(resize_all)).await?;
//! assert_eq!(done.output(), &2);
//! done.assert_scheduled(|child: &Resize| child.path == "b.png");
//! # Ok(()) }
//! ```
//!
//! [`MemoryPlatform`] is for code that sends tasks, and for a worker that is to run for a while. With
//! `#[tokio::test(start_paused = true)]` time passes only while everybody waits, and at once: an hour's delay,
//! a time limit or a backoff takes no time.
//!
//! [`Seeds`] runs a test under a thousand schedules of failures: workers are killed, connections break,
//! acknowledgements are lost. A seed that fails is told, and fails the same way again.
//!
//! This part alone needs neither database nor broker libraries: `default-features = false`.
//!
//! # At a real broker
//! `functional_suite` (feature `functional`) tries a worker at the broker of its configuration: exchanges, queues,
//! permissions, every way of a message, and a task of its own that the worker runs. `counterfoil doctor --probe`
//! makes the same checks for those who run the platform.
//!
//! # Servers
//! A test that needs a broker takes a vhost of its own, one that needs PostgreSQL a database:
//!
//! ```no_run
//! # #[cfg(feature = "servers")]
//! # async fn example() -> anyhow::Result<()> {
//! let vhost = counterfoil_testkit::Broker::shared().await?.vhost().await?;
//! let database = counterfoil_testkit::Database::fresh().await?;
//! println!("{} {}", vhost.amqp_url(), database.url());
//! # Ok(())
//! # }
//! ```
//!
//! One that kills or freezes a server starts a `RabbitNode` or a `PostgresNode` of its own, or a
//! `RabbitCluster` of three; one that disturbs the network puts a `Proxy` before it. Run
//! tests under `counterfoil-with-nodes -- cargo nextest run …`, so that they share two servers.

#[cfg(feature = "functional")]
mod functional;
mod seeded;
mod tasks;

#[cfg(feature = "servers")]
mod application;
#[cfg(feature = "servers")]
mod broker;
#[cfg(feature = "servers")]
mod database;
#[cfg(feature = "servers")]
mod node;
#[cfg(feature = "servers")]
mod proxy;
#[cfg(feature = "servers")]
mod sample;
#[cfg(feature = "servers")]
pub mod store_suite;
#[cfg(feature = "servers")]
pub mod transport_suite;
mod wait;

#[cfg(feature = "servers")]
mod elsewhere;

#[cfg(feature = "servers")]
pub use application::{AppTransaction, Application};
#[cfg(feature = "servers")]
pub use broker::{
    AMQP_URL, Binding, Broker, Depth, MANAGEMENT_URL, Management, Permissions, User, Vhost,
};
#[cfg(feature = "servers")]
pub use database::{DATABASE_URL, Database};
#[cfg(feature = "functional")]
pub use functional::{SuiteReport, functional_suite};
#[cfg(feature = "servers")]
pub use node::{PostgresNode, PostgresOptions, RabbitCluster, RabbitNode, RabbitOptions};
#[cfg(feature = "servers")]
pub use proxy::{Flow, Proxy, Towards};
#[cfg(feature = "servers")]
pub use sample::task_row;
pub use seeded::{Failure, Seeds, Settled, SettledTask, Trial, Trouble};
pub use tasks::{
    MemoryPlatform, Outcome, Perform, Performed, Scheduled, ScheduledTask, TestWorker,
};
pub use wait::{eventually, patience};
