//! The platform database as one trait.

use crate::asking::Asking;
use crate::batch::{Applied, Batch};
use crate::books::Books;
use crate::celery::CeleryTables;
use crate::control::{ControlFilter, ControlRow};
use crate::error::StoreError;
use crate::family::Families;
use crate::feed::ChangeFeed;
use crate::filter::{DeadFilter, ParkedFilter, TaskFilter, UnroutableFilter};
use crate::glances::Glances;
use crate::identity::Identities;
use crate::json::JsonText;
use crate::lists::Lists;
use crate::missing::MissingTasks;
use crate::operators::OperatorActions;
use crate::outbox::Outbox;
use crate::owners::Owners;
use crate::record::{
    CanaryRow, DeadRecord, DeadRow, EventRow, LogRow, LostTask, ParkedRow, ResultRow, ServiceCount,
    StateCount, StoredTask, TaskRow, UnroutableTask, WorkerRow,
};
use crate::request_keys::RequestKeys;
use crate::retention::Retention;
use crate::rollup::Rollups;
use crate::schedule::Schedules;
use crate::sessions::Sessions;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::TaskId;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// The platform database, PostgreSQL or SQLite. Share it as `Arc<dyn Store>`.
///
/// Every call ends within the deadlines of [`StoreOptions`](crate::StoreOptions). Dropping the
/// future of a read is harmless; dropping that of a write leaves open whether it happened, and
/// every write may be repeated.
///
/// # Errors
/// All methods return [`StoreError`]; [`StoreError::class`] says what to do about it.
#[async_trait]
pub trait Store:
    Asking
    + Books
    + CeleryTables
    + ChangeFeed
    + Families
    + Glances
    + Identities
    + Lists
    + MissingTasks
    + OperatorActions
    + Outbox
    + Schedules
    + RequestKeys
    + Retention
    + Rollups
    + Sessions
    + Send
    + Sync
    + std::fmt::Debug
{
    /// The database, for messages: kind, host and name, never the password.
    fn server(&self) -> &str;

    /// The id that URLs show for a task; it needs no row.
    ///
    /// # Errors
    /// [`StoreError::NoIdSecret`].
    fn public_id(&self, task_id: &TaskId) -> Result<String, StoreError>;

    /// Brings the schema up to date and returns how many migrations that took. Any number of
    /// processes may call it at once.
    async fn migrate(&self) -> Result<usize, StoreError>;

    /// Migrations that are not applied yet, oldest first: `1 first schema`.
    async fn pending_migrations(&self) -> Result<Vec<String>, StoreError>;

    /// Makes room for history of the coming months. Call it at start and once a day; it does
    /// nothing where history is not partitioned.
    async fn prepare_months(&self) -> Result<(), StoreError>;

    /// Writes a batch in one transaction. Applying the same inputs again, in any order and in any
    /// batches, changes nothing.
    async fn apply(&self, batch: &Batch) -> Result<Applied, StoreError>;

    /// Tasks. All that match are looked for, however long that takes within the time for a statement: for
    /// programs. For people there is [`page`](Lists::page).
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError>;

    /// The task with this public id or task id.
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError>;

    /// Those of these tasks that have rows, newest first. Ask for at most 10,000 at a time.
    async fn tasks_with_ids(&self, ids: &[TaskId]) -> Result<Vec<TaskRow>, StoreError>;

    /// Removes the rows, results, histories and logs of those of these tasks that are over and not
    /// immutable, in one transaction, and returns which those were. Who did it stays: see
    /// [`deleted_task`](Books::deleted_task). Dead letters stay too: their messages are still at the broker.
    async fn delete_tasks(
        &self,
        ids: &[TaskId],
        by: Option<&str>,
    ) -> Result<HashSet<TaskId>, StoreError>;

    /// What happened to a task, in the order of its attempts: the last 10,000 lines.
    async fn history(&self, task_id: &TaskId) -> Result<Vec<EventRow>, StoreError>;

    /// Lines that the task's handler wrote, oldest first: the last 10,000.
    async fn log(&self, task_id: &TaskId) -> Result<Vec<LogRow>, StoreError>;

    /// The outcome of one run, once it has one.
    async fn result(&self, task_id: &TaskId, run: i32) -> Result<Option<ResultRow>, StoreError>;

    /// A task and everything that was scheduled under it, oldest first: the first 10,000.
    async fn family(&self, root_id: &TaskId) -> Result<Vec<TaskRow>, StoreError>;

    /// How many tasks are in each state, of those sent since then. Without a time it reads the whole
    /// table.
    async fn counts_by_state(
        &self,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<StateCount>, StoreError>;

    /// How many tasks of each service are in each state, of those sent since then. Without a time it
    /// reads the whole table.
    async fn counts_by_service(
        &self,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<ServiceCount>, StoreError>;

    /// Services of all tasks, in alphabetical order. Unlike counting, it does not read the whole table.
    async fn services(&self) -> Result<Vec<String>, StoreError>;

    /// Workers, the last heard of first.
    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError>;

    /// JSON Schema of a task's arguments, as the last worker that knows the task announced it.
    async fn task_schema(&self, name: &str) -> Result<Option<JsonText>, StoreError>;

    /// Dead letters, newest first.
    async fn dead(&self, filter: &DeadFilter) -> Result<Vec<DeadRow>, StoreError>;

    /// Which dead letters match, the oldest first and without their messages; the filter's limit does
    /// not count.
    async fn dead_records(&self, filter: &DeadFilter) -> Result<Vec<DeadRecord>, StoreError>;

    /// Services in whose dead queues messages of these tasks lie, as far as the platform was told.
    async fn dead_services(&self, ids: &[TaskId]) -> Result<Vec<String>, StoreError>;

    /// The messages of those of these tasks whose message is known, as they were last sent.
    async fn stored_tasks(&self, ids: &[TaskId]) -> Result<Vec<StoredTask>, StoreError>;

    /// Parked messages, newest first.
    async fn parked(&self, filter: &ParkedFilter) -> Result<Vec<ParkedRow>, StoreError>;

    /// Who was asked to run these tasks. Tasks whose tracking copy is not known are left out.
    async fn owners(&self, task_ids: &[TaskId]) -> Result<HashMap<TaskId, Owners>, StoreError>;

    /// Parked reports that [wait](crate::Parked::waits) for a tracking copy which is there by now, oldest
    /// first: at most so many, up to 10,000.
    async fn waiting(&self, limit: u32) -> Result<Vec<ParkedRow>, StoreError>;

    /// Services that tasks were sent to which found no queue, in alphabetical order. The daemon asks
    /// every few seconds, so it must not read the whole table.
    async fn unroutable_services(&self) -> Result<Vec<String>, StoreError>;

    /// Tasks that found no queue, oldest first, with their messages; tasks whose message is not known
    /// are left out.
    async fn unroutable(
        &self,
        filter: &UnroutableFilter,
    ) -> Result<Vec<UnroutableTask>, StoreError>;

    /// Records that the platform sent these tasks again by itself, each as its
    /// [next](UnroutableTask::next) attempt. Recording the same again is harmless.
    async fn mark_resent(&self, tasks: &[UnroutableTask]) -> Result<(), StoreError>;

    /// The shortest [lease](counterfoil_toolbox::event::Lease) of the tasks that workers have taken over from
    /// the broker; `None`: they have none.
    async fn shortest_lease(&self) -> Result<Option<Duration>, StoreError>;

    /// Tasks whose lease has ended, in the order of their ids: those after `after`, at most so many, up to
    /// 10,000.
    async fn lost_tasks(
        &self,
        after: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<LostTask>, StoreError>;

    /// Records that the platform sent these tasks again, each as its [next](LostTask::next) attempt.
    /// Recording the same again is harmless.
    async fn mark_rescued(&self, tasks: &[LostTask]) -> Result<(), StoreError>;

    /// Records that a marker is being sent, and forgets those of more than a minute ago.
    async fn marker_sent(&self, id: Uuid) -> Result<(), StoreError>;

    /// Whether this marker [came through](Batch::marker) everywhere.
    async fn marker_seen(&self, id: Uuid) -> Result<bool, StoreError>;

    /// What holds of what was [asked](Batch::ask) of workers, newest first.
    async fn controls(&self, filter: &ControlFilter) -> Result<Vec<ControlRow>, StoreError>;

    /// What was asked of workers and nobody has published yet, oldest first: at most so many, up to
    /// 10,000. [Questions of workers](Asking::unanswered) are none of it.
    async fn unpublished_controls(&self, limit: u32) -> Result<Vec<ControlRow>, StoreError>;

    /// What holds and was last published before then, longest ago first: at most so many, up to 10,000.
    async fn controls_to_renew(
        &self,
        published_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<ControlRow>, StoreError>;

    /// Records that these were published at that time.
    async fn mark_published(&self, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), StoreError>;

    /// How many of these nobody has published yet.
    async fn count_unpublished(&self, ids: &[Uuid]) -> Result<i64, StoreError>;

    /// Of what holds and was last published before then, ends what was asked about tasks that are over.
    /// Tasks that are not known any more count as over when it was asked before `asked_before`.
    async fn end_controls(
        &self,
        published_before: DateTime<Utc>,
        asked_before: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Forgets workers that were not heard of for so long.
    async fn forget_workers(&self, silence: Duration) -> Result<(), StoreError>;

    /// Records that a canary is being sent, and forgets those older than a day.
    async fn canary_sent(&self, id: Uuid) -> Result<(), StoreError>;

    /// The last canaries, newest first: at most so many, up to 10,000.
    async fn canaries(&self, limit: u32) -> Result<Vec<CanaryRow>, StoreError>;

    /// Writes something that changes nothing: whether the database can be written at all. One with a
    /// full disk, or one that is read-only, still answers everything else.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Asks the database for an answer.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The database's clock.
    async fn clock(&self) -> Result<DateTime<Utc>, StoreError>;

    /// The version of the database's server, as it calls it itself: `15.13 (Debian 15.13-0+deb12u1)`.
    async fn version(&self) -> Result<String, StoreError>;

    /// Becomes the one leader of that name, if nobody is: `None` says that somebody else is.
    async fn try_lead(&self, name: &str) -> Result<Option<LeaderGuard>, StoreError>;

    /// Waits for running calls and closes all connections.
    async fn close(&self);
}

/// Leadership, until it is dropped or the connection behind it is lost.
#[derive(Debug)]
pub struct LeaderGuard(Box<dyn Lead>);

impl LeaderGuard {
    pub(crate) fn new(lead: impl Lead + 'static) -> Self {
        Self(Box::new(lead))
    }

    /// Whether the leadership still holds. Ask before every piece of work that only one process
    /// may do; after `false` or an error another process may already lead.
    ///
    /// # Errors
    /// The connection that holds the lock is lost, or did not answer in time.
    pub async fn still_leads(&mut self) -> Result<bool, StoreError> {
        self.0.still_leads().await
    }
}

/// What holds the lock of a leader; dropping it gives the lock up.
#[async_trait]
pub(crate) trait Lead: Send + Sync + std::fmt::Debug {
    async fn still_leads(&mut self) -> Result<bool, StoreError>;
}
