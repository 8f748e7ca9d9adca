//! What only the Celery world needs of a worker: whoever calls its tasks from Python gets the answers that a Python
//! worker would give, and what is to happen after them happens.
//!
//! ```
//! use counterfoil_celery::Celery;
//! use counterfoil_toolbox::{Task, config::{BrokerSettings, WorkerSettings}};
//! use counterfoil_worker::{Context, TaskError, Worker};
//!
//! #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! struct Add { x: i64, y: i64 }
//!
//! impl Task for Add {
//!     const NAME: &'static str = "tasks.add";
//!     type Output = i64;
//! }
//!
//! async fn add(task: Add, _: Context) -> Result<i64, TaskError> {
//!     Ok(task.x + task.y)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! # let transport = counterfoil_testkit::MemoryPlatform::new().await?.transport();
//! let names = BrokerSettings::default().names()?;
//! let worker = Worker::builder(transport, names.clone(), WorkerSettings::default())
//!     .handle(add)
//!     .extension(Celery::new(&names)) // (add.s(2, 2) | add.s(3)).delay().get() == 7
//!     .build()?;
//! # worker.stopper().drain();
//! # worker.run().await;
//! # Ok(()) }
//! ```
//!
//! # Reading this crate
//! `canvas` is what follows after a task: `signature` reads what is to be called, `embed` what a message brings of it,
//! `call` makes messages of it, `after` decides which. `reply` is the answer to a caller that waits at a queue of its
//! own, `caller` the way there, `status` what it is told before, `events` what monitors are told, `remote` what `celery inspect` and
//! `celery control` ask, `node` what the worker is to other nodes, `unlock` the task that waits for the header of a
//! chord, `builtin` the tasks that Celery's workers have by themselves, `outcome` a task's result as Celery names it,
//! `request` what a handler can know of its own call.
//!
//! The formats are those of Celery 5.7: <https://docs.celeryq.dev/en/stable/internals/protocol.html>.

mod builtin;
mod caller;
mod canvas;
mod events;
mod extension;
mod json;
mod node;
mod outcome;
mod raised;
mod remote;
mod reply;
mod request;
mod route;
mod status;
mod unlock;

pub use canvas::{Canvas, CanvasError, Signature, replace, send};
pub use events::SentEvents;
pub use extension::Celery;
pub use outcome::Awaited;
pub use request::Request;
