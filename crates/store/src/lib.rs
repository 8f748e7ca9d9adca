//! The platform database of counterfoil: PostgreSQL and SQLite behind one trait.
//!
//! [`connect`] opens it, [`Store::migrate`] brings its schema up to date. Whoever writes collects
//! tracking copies and events in a [`Batch`] and [applies](Store::apply) it: one transaction that
//! may be repeated at will, because rows are maxima over a total order ([`merge`]). Reads return
//! rows whose serialized keys are the names of the columns ([`record`]).

mod asking;
mod batch;
mod books;
mod calls;
mod celery;
mod control;
mod copy;
mod error;
mod family;
mod feed;
mod filter;
mod glances;
mod history;
pub mod identity;
mod ids;
mod json;
mod lists;
pub mod merge;
mod migrate;
mod missing;
mod operators;
mod options;
mod outbox;
mod owners;
mod pool;
mod postgres;
pub mod record;
mod request_keys;
mod retention;
mod rollup;
mod schedule;
mod sessions;
mod set_aside;
mod sql;
mod sqlite;
mod store;
mod stored;
mod text;
mod time;
mod values;
mod worker_seen;

pub use asking::Asking;
pub use batch::{Applied, Batch, MarkerPlace};
pub use books::{Books, DeletedTask, Stray};
pub use celery::CeleryTables;
pub use control::{Cancelling, ControlFilter, HeldBack};
pub use copy::{Seen, TrackingCopy};
pub use error::{BoxError, FaultClass, StoreError};
pub use family::{Families, family_status};
pub use feed::{BadFeedPosition, ChangeFeed, Changed, Changes, FeedPosition};
pub use filter::{
    BadCursor, Cursor, DeadFilter, ParkedFilter, TaskFilter, TaskOrder, UnroutableFilter,
};
pub use glances::{Delayed, DelayedOf, DiedSince, Glances, Part, RunningTask};
pub use history::Deed;
pub use identity::{Double, Identities};
pub use ids::IdKey;
pub use json::JsonText;
pub use lists::{Counted, Lists, LivingCount, TaskPage};
pub use missing::{MissingTask, MissingTasks};
pub use operators::{ActionFilter, OperatorAction, OperatorActions, OperatorDeed};
pub use options::{StoreOptions, connect, open};
pub use outbox::{
    AppConnection, Outbox, OutboxMessage, OutboxState, OutboxWake, RefusedMessage, SendInError,
};
pub use owners::Owners;
pub use record::CanaryPlace;
pub use request_keys::{RequestClaim, RequestKeys};
pub use retention::{Kept, KeptSessions, KeptTasks, KnownIds, OldSession, Removed, Retention};
pub use rollup::{Percentiles, Rollup, RollupPoint, Rollups, TypeRollup};
pub use schedule::{CatchUp, Firing, InvalidCatchUp, ScheduleRow, Schedules};
pub use sessions::{AbortingSession, SessionFilter, SessionRow, Sessions, SubtaskRow, TimeOut};
pub use set_aside::{DeadLetter, Parked};
pub use store::{LeaderGuard, Store};
pub use stored::StoredMessage;
pub use worker_seen::WorkerSeen;
