//! The counterfoil worker runtime: typed handlers over a broker.
//!
//! ```
//! use counterfoil_toolbox::{Task, config::{BrokerSettings, WorkerSettings}};
//! use counterfoil_worker::{Context, TaskError, Worker};
//!
//! #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! struct Resize { path: String, width: u32 }
//!
//! impl Task for Resize {
//!     const NAME: &'static str = "image.resize";
//!     type Output = u64;
//! }
//!
//! async fn resize(task: Resize, cx: Context) -> Result<u64, TaskError> {
//!     let image = std::fs::read(&task.path)?; // an error: retried with backoff
//!     cx.progress(1, 2, "read");
//!     Ok(image.len() as u64)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! # let transport = counterfoil_testkit::MemoryPlatform::new().await?.transport();
//! let names = BrokerSettings::default().names()?;
//! let worker = Worker::builder(transport, names, WorkerSettings::default())
//!     .handle(resize)
//!     .build()?;
//! # worker.stopper().drain();
//! let exit = worker.run().await; // until SIGTERM
//! std::process::exit(exit.code());
//! # }
//! ```
//!
//! # Reading this crate
//! `worker` starts everything · `consume` is the loop of one queue, `queues`
//! watches over them · `lanes` is where executions begin · `execute` takes one delivery
//! to its end, with `intake` (message → task), `tokens` (whether it may run), `slots` (who runs next,
//! by priority), `run` (handler),
//! `outcome` (what follows) and `perform` (doing it) · `control` is what people ask of the worker ·
//! `inside` is what extensions see of it and can change: `consumers` are its queues, `tuned` the limits of types ·
//! `report` tells the platform · `drain` stops everything.

mod answers;
mod builder;
mod worker;

mod consume;
mod consumers;
pub mod extension;
mod inside;
mod lanes;
pub mod layer;
mod say;

mod ended;
mod execute;
mod gate;
mod give_back;
mod intake;
mod lease;
mod queues;
mod run;
mod slots;

mod control;

mod opening;
mod outcome;
mod perform;
mod place;

mod dead;
mod publish;
mod retry;

mod report;

mod tokens;

mod drain;
mod exit;
mod stop;

mod blocking;
mod context;
mod error;
mod guard;
mod handler;
mod heartbeat;
mod held;
mod hung;
mod metrics;
mod panic;
mod registry;
mod shared;
mod states;
mod systemd;
mod task_error;
mod task_log;
mod threads;
mod traceback;
mod tuned;
mod watchdog;

pub use blocking::Blocking;
pub use builder::WorkerBuilder;
pub use context::{CheckpointError, Context, WhyCancelled};
pub use error::{BuildError, BuildFault};
pub use exit::Exit;
pub use stop::Stopper;
pub use task_error::{BoxError, TaskError};
pub use task_log::task_log;
pub use tracing::Level;
pub use worker::Worker;
