//! What people do about tasks and what they ask about them: the part of `counterfoil` that the command line and
//! web pages share.
//!
//! Nothing here prints, reads the environment or knows options: whoever calls says what is wanted, and gets back
//! what became of it. What only a command line can say (`repeat it with --force`) is a value ([`Instead`]) that
//! every front end puts into words of its own.
//!
//! - **Tasks**: an [`Action`](tasks::Action) ([`Cancel`](tasks::Cancel), [`CancelFamilies`](tasks::CancelFamilies),
//!   [`Pause`](tasks::Pause), [`Resume`](tasks::Resume), [`Delete`](tasks::Delete), [`Rerun`](tasks::Rerun)) is done
//!   to tasks that were [named](tasks::named) or that [match](tasks::matching) a filter, some hundred at a time
//!   ([`act`](tasks::act)).
//! - **Messages**: those in [dead queues](dead), those that the platform could not read ([`parked`]), and those that
//!   can never be sent ([`outbox`]).
//! - **The platform**: [`services`], [`workers`], [`sessions`], [`schedules`], [`queues`].
//! - **Sending**: whether [`arguments`] fit a task.
//! - **Questions**: [`why`] a task is where it is.
//!
//! What is asked of workers goes through the database, and a daemon passes it on: see [`passed_on`].

mod again;
pub mod arguments;
mod asking;
pub mod dead;
mod error;
pub mod outbox;
mod outcome;
pub mod parked;
mod platform;
pub mod queues;
pub mod schedules;
pub mod services;
pub mod sessions;
pub mod tasks;
mod time;
pub mod why;
pub mod workers;

pub use asking::{Doer, passed_on};
pub use error::{ErrorClass, OperationError};
pub use outcome::{Instead, Mode, Objection, Outcome, Subject, Told, Words};
pub use platform::Platform;
pub use time::shown;
