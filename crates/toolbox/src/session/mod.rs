//! Sessions: a group of subtasks and one finalizer that runs always.
//!
//! A session is opened by a message to the platform before its first subtask is sent, so whatever
//! happens then, to a subtask, its worker or the sender itself, the platform knows what is missing.
//! When every subtask is over, or the session's time is, it sends the finalizer: once, with a
//! [`SessionSummary`].
//!
//! ```
//! # use counterfoil_toolbox::{Producer, Task, config::BrokerSettings, topology, transport::memory::MemoryBroker};
//! use counterfoil_toolbox::session::{Session, SessionSummary};
//! # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! # struct Harvest { page: u32 }
//! # impl Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
//!
//! #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! struct Publish {
//!     catalogue: String,
//!     /// Filled in by the platform.
//!     session: Option<SessionSummary>,
//! }
//! # impl Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
//! # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
//! # let producer = Producer::new(std::sync::Arc::new(broker), names);
//! let publish = Publish { catalogue: "maps".to_owned(), session: None };
//! let session = Session::new("harvest", publish)?
//!     .estimated(std::time::Duration::from_secs(20))
//!     .subtasks((0..1000).map(|page| Harvest { page }))?;
//! let started = producer.start_session(session).await?;
//! println!("counterfoil session show {}", started.id);
//! # assert_eq!((started.subtasks.len(), started.unsent.len()), (1000, 0));
//! # Ok(()) }
//! ```

mod builder;
mod inquiry;
mod opening;
mod started;
mod status;
mod summary;

pub(crate) use builder::Part;
pub use builder::Session;
pub use inquiry::{Answer, Inquiry};
pub use opening::{BadOpening, Finalizer, MOST_SUBTASKS, Opening, Subtask};
pub use started::{SessionError, StartedSession};
pub use status::{ErrorPolicy, SessionStatus};
pub use summary::{SessionSummary, SubtaskSummary};
