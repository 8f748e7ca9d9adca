//! What people do about tasks: cancel, pause, resume, delete and run them again.
//!
//! Tasks are chosen first, by [name](named) or by what [matches](matching) a filter, which tells how many there are
//! and to how many it cannot be done. Then an [`Action`] is done to them in portions of [`AT_ONCE`], to each as it
//! is by then ([`act`]).
//!
//! ```
//! use counterfoil_operations::{Doer, Mode, OperationError, Told};
//! use counterfoil_operations::tasks::{AT_ONCE, Delete, act, matching};
//! use counterfoil_store::{Store, TaskFilter};
//! use counterfoil_toolbox::TaskState;
//!
//! async fn tidy_up(store: &dyn Store) -> Result<Vec<Told>, OperationError> {
//!     let filter = TaskFilter { state: Some(TaskState::Revoked), ..TaskFilter::default() };
//!     let mut delete = Delete::new(store, Doer::new(Some("ann".to_owned())));
//!     let found = matching(&delete, store, filter, usize::MAX).await?;
//!     let mut told = Vec::new();
//!     for ids in found.ids.chunks(AT_ONCE) {
//!         act(&mut delete, Mode::Do, store, ids, |one| told.push(one)).await?;
//!     }
//!     Ok(told)
//! }
//! ```

mod action;
mod cancel;
mod delete;
mod families;
mod find;
mod hold;
mod rerun;

pub use action::{AT_ONCE, Action, act};
pub use cancel::Cancel;
pub use delete::Delete;
pub use families::CancelFamilies;
pub use find::{Enough, Found, matching, named, newest_matching, walk};
pub use hold::{Pause, Resume};
pub use rerun::{Living, Rerun};
