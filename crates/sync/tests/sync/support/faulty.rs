//! A store that fails on command.

mod asking;
mod books;
mod celery;
mod flow;
mod lists;
mod retention;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::{
    CanaryRow, ControlRow, DeadRecord, DeadRow, EventRow, LogRow, LostTask, ParkedRow, ResultRow,
    ServiceCount, StateCount, StoredTask, TaskRow, UnroutableTask, WorkerRow,
};
use counterfoil_store::{
    Applied, Batch, ControlFilter, DeadFilter, FaultClass, JsonText, LeaderGuard, Owners,
    ParkedFilter, Store, StoreError, TaskFilter, UnroutableFilter,
};
use counterfoil_toolbox::ids::TaskId;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Hands everything to another store, except for what it was told to fail.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(super) inner: Arc<dyn Store>,
    /// How many of the next writes fail as if the database were away; until then it does not
    /// answer either, unless it still reads.
    away: AtomicUsize,
    still_reads: AtomicBool,
    /// More tasks than this take longer than a statement may.
    at_once: AtomicUsize,
    /// How many of the next marks of tasks that were sent again fail.
    marks: AtomicUsize,
    probes: AtomicUsize,
    /// The task whose rows the database cannot hold.
    refused: Mutex<Option<TaskId>>,
    /// Whether a write, once committed, never returns.
    hangs_after_commit: AtomicBool,
    writes: AtomicUsize,
    /// Whether what was asked of workers cannot be forgotten.
    pub(super) keeps_controls: AtomicBool,
    /// How often subtasks of a session were counted, and how long that takes.
    pub(super) counts: AtomicUsize,
    pub(super) counting: Mutex<Duration>,
    /// How often sessions were listed.
    pub(super) lists: AtomicUsize,
    /// When services were asked for.
    watches: Mutex<Vec<Instant>>,
    /// How often it was asked for services with tasks that nobody owns.
    resends: AtomicUsize,
    /// How far its clock is ahead.
    ahead: Mutex<TimeDelta>,
}

impl FaultyStore {
    pub(crate) fn new(inner: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            away: AtomicUsize::new(0),
            still_reads: AtomicBool::new(false),
            at_once: AtomicUsize::new(usize::MAX),
            marks: AtomicUsize::new(0),
            probes: AtomicUsize::new(0),
            refused: Mutex::new(None),
            hangs_after_commit: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            keeps_controls: AtomicBool::new(false),
            counts: AtomicUsize::new(0),
            counting: Mutex::default(),
            lists: AtomicUsize::new(0),
            watches: Mutex::default(),
            resends: AtomicUsize::new(0),
            ahead: Mutex::default(),
        })
    }

    pub(crate) fn fail_next(&self, writes: usize) {
        self.away.store(writes, Ordering::SeqCst);
    }

    /// Goes on answering reads while writes fail, as on a full disk.
    pub(crate) fn keep_reading(&self) {
        self.still_reads.store(true, Ordering::SeqCst);
    }

    /// Cannot write more tasks than this within the time for a statement.
    pub(crate) fn slow_above(&self, tasks: usize) {
        self.at_once.store(tasks, Ordering::SeqCst);
    }

    pub(crate) fn fail_next_marks(&self, marks: usize) {
        self.marks.store(marks, Ordering::SeqCst);
    }

    /// How often it was asked whether it writes again.
    pub(crate) fn probes(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    /// The store behind it.
    pub(super) fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    /// Fails when the next mark is to fail.
    pub(super) fn marks(&self) -> Result<(), StoreError> {
        match takes_one(&self.marks) {
            true => Err(self.fault(FaultClass::Transient)),
            false => Ok(()),
        }
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst) > 0
    }

    /// Fails while the database is away.
    pub(super) fn answers(&self) -> Result<(), StoreError> {
        match self.is_away() {
            true => Err(self.fault(FaultClass::Transient)),
            false => Ok(()),
        }
    }

    /// Fails while marks are to fail.
    pub(super) fn marks_fail(&self) -> Result<(), StoreError> {
        match takes_one(&self.marks) {
            true => Err(self.fault(FaultClass::Transient)),
            false => Ok(()),
        }
    }

    pub(crate) fn refuse(&self, task_id: &TaskId) {
        *self.refused.lock().expect("not poisoned") = Some(task_id.clone());
    }

    pub(crate) fn hang_after_commit(&self) {
        self.hangs_after_commit.store(true, Ordering::SeqCst);
    }

    /// Writes that were committed.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// When the leader began to look who consumes the queues of all services.
    pub(crate) fn watches(&self) -> Vec<Instant> {
        self.watches.lock().expect("not poisoned").clone()
    }

    /// How often the leader began to look for tasks that nobody owns.
    pub(crate) fn resends(&self) -> usize {
        self.resends.load(Ordering::SeqCst)
    }

    /// Its clock is so far ahead from now on.
    pub(crate) fn go_ahead(&self, time: TimeDelta) {
        *self.ahead.lock().expect("not poisoned") = time;
    }

    pub(super) fn fault(&self, kind: FaultClass) -> StoreError {
        StoreError::Database {
            operation: "write a batch",
            server: self.inner.server().into(),
            kind,
            code: None,
            source: "as the test wants it".into(),
        }
    }
}

/// Counts down, if there is anything left.
fn takes_one(left: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

#[async_trait]
impl Store for FaultyStore {
    async fn apply(&self, batch: &Batch) -> Result<Applied, StoreError> {
        if takes_one(&self.away) {
            return Err(self.fault(FaultClass::Transient));
        }
        if batch.tasks().count() > self.at_once.load(Ordering::SeqCst) {
            return Err(StoreError::Deadline {
                operation: "write a batch",
                server: self.inner.server().into(),
                after: Duration::from_secs(30),
            });
        }
        let refused = self.refused.lock().expect("not poisoned").clone();
        if batch
            .tasks()
            .any(|task| Some(&task.task_id) == refused.as_ref())
        {
            return Err(self.fault(FaultClass::BadData));
        }
        let applied = self.inner.apply(batch).await?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        if self.hangs_after_commit.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(applied)
    }

    fn server(&self) -> &str {
        self.inner.server()
    }
    fn public_id(&self, task_id: &TaskId) -> Result<String, StoreError> {
        self.inner.public_id(task_id)
    }
    async fn migrate(&self) -> Result<usize, StoreError> {
        self.inner.migrate().await
    }
    async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        self.inner.pending_migrations().await
    }
    async fn prepare_months(&self) -> Result<(), StoreError> {
        self.inner.prepare_months().await
    }
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
        self.inner.tasks(filter).await
    }
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError> {
        self.inner.task(id).await
    }
    async fn tasks_with_ids(&self, ids: &[TaskId]) -> Result<Vec<TaskRow>, StoreError> {
        self.inner.tasks_with_ids(ids).await
    }
    async fn delete_tasks(
        &self,
        ids: &[TaskId],
        by: Option<&str>,
    ) -> Result<HashSet<TaskId>, StoreError> {
        self.inner.delete_tasks(ids, by).await
    }
    async fn controls(&self, filter: &ControlFilter) -> Result<Vec<ControlRow>, StoreError> {
        self.inner.controls(filter).await
    }
    async fn unpublished_controls(&self, limit: u32) -> Result<Vec<ControlRow>, StoreError> {
        self.inner.unpublished_controls(limit).await
    }
    async fn controls_to_renew(
        &self,
        published_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<ControlRow>, StoreError> {
        self.inner.controls_to_renew(published_before, limit).await
    }
    async fn mark_published(&self, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), StoreError> {
        self.inner.mark_published(ids, at).await
    }
    async fn count_unpublished(&self, ids: &[Uuid]) -> Result<i64, StoreError> {
        self.inner.count_unpublished(ids).await
    }
    async fn end_controls(
        &self,
        published_before: DateTime<Utc>,
        asked_before: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (published, asked) = (published_before, asked_before);
        self.inner.end_controls(published, asked).await
    }
    async fn history(&self, task_id: &TaskId) -> Result<Vec<EventRow>, StoreError> {
        self.inner.history(task_id).await
    }
    async fn log(&self, task_id: &TaskId) -> Result<Vec<LogRow>, StoreError> {
        self.inner.log(task_id).await
    }
    async fn result(&self, task_id: &TaskId, run: i32) -> Result<Option<ResultRow>, StoreError> {
        self.inner.result(task_id, run).await
    }
    async fn family(&self, root_id: &TaskId) -> Result<Vec<TaskRow>, StoreError> {
        self.inner.family(root_id).await
    }
    async fn counts_by_state(
        &self,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<StateCount>, StoreError> {
        self.inner.counts_by_state(since).await
    }
    async fn counts_by_service(
        &self,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<ServiceCount>, StoreError> {
        self.inner.counts_by_service(since).await
    }
    async fn services(&self) -> Result<Vec<String>, StoreError> {
        let now = Instant::now();
        self.watches.lock().expect("not poisoned").push(now);
        self.inner.services().await
    }
    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.inner.workers().await
    }
    async fn task_schema(&self, name: &str) -> Result<Option<JsonText>, StoreError> {
        self.inner.task_schema(name).await
    }
    async fn dead_records(&self, filter: &DeadFilter) -> Result<Vec<DeadRecord>, StoreError> {
        self.inner.dead_records(filter).await
    }
    async fn dead_services(&self, ids: &[TaskId]) -> Result<Vec<String>, StoreError> {
        self.inner.dead_services(ids).await
    }
    async fn stored_tasks(&self, ids: &[TaskId]) -> Result<Vec<StoredTask>, StoreError> {
        self.inner.stored_tasks(ids).await
    }
    async fn dead(&self, filter: &DeadFilter) -> Result<Vec<DeadRow>, StoreError> {
        self.inner.dead(filter).await
    }
    async fn parked(&self, filter: &ParkedFilter) -> Result<Vec<ParkedRow>, StoreError> {
        self.inner.parked(filter).await
    }
    async fn unroutable_services(&self) -> Result<Vec<String>, StoreError> {
        self.resends.fetch_add(1, Ordering::SeqCst);
        self.inner.unroutable_services().await
    }
    async fn unroutable(
        &self,
        filter: &UnroutableFilter,
    ) -> Result<Vec<UnroutableTask>, StoreError> {
        self.inner.unroutable(filter).await
    }
    async fn mark_resent(&self, tasks: &[UnroutableTask]) -> Result<(), StoreError> {
        self.marks_fail()?;
        self.inner.mark_resent(tasks).await
    }
    async fn shortest_lease(&self) -> Result<Option<Duration>, StoreError> {
        self.answers()?;
        self.inner.shortest_lease().await
    }
    async fn lost_tasks(
        &self,
        after: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<LostTask>, StoreError> {
        self.answers()?;
        self.inner.lost_tasks(after, limit).await
    }
    async fn mark_rescued(&self, tasks: &[LostTask]) -> Result<(), StoreError> {
        self.marks_fail()?;
        self.inner.mark_rescued(tasks).await
    }
    async fn marker_sent(&self, id: Uuid) -> Result<(), StoreError> {
        self.answers()?;
        self.inner.marker_sent(id).await
    }
    async fn marker_seen(&self, id: Uuid) -> Result<bool, StoreError> {
        self.answers()?;
        self.inner.marker_seen(id).await
    }
    async fn owners(&self, task_ids: &[TaskId]) -> Result<HashMap<TaskId, Owners>, StoreError> {
        self.inner.owners(task_ids).await
    }
    async fn waiting(&self, limit: u32) -> Result<Vec<ParkedRow>, StoreError> {
        self.inner.waiting(limit).await
    }
    async fn forget_workers(&self, silence: Duration) -> Result<(), StoreError> {
        self.inner.forget_workers(silence).await
    }
    async fn probe(&self) -> Result<(), StoreError> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        if self.is_away() {
            return Err(self.fault(FaultClass::Transient));
        }
        self.inner.probe().await
    }
    async fn canary_sent(&self, id: Uuid) -> Result<(), StoreError> {
        self.inner.canary_sent(id).await
    }
    async fn canaries(&self, limit: u32) -> Result<Vec<CanaryRow>, StoreError> {
        self.inner.canaries(limit).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        if self.is_away() && !self.still_reads.load(Ordering::SeqCst) {
            return Err(self.fault(FaultClass::Transient));
        }
        self.inner.ping().await
    }
    async fn clock(&self) -> Result<DateTime<Utc>, StoreError> {
        let ahead = *self.ahead.lock().expect("not poisoned");
        Ok(self.inner.clock().await? + ahead)
    }
    async fn version(&self) -> Result<String, StoreError> {
        self.inner.version().await
    }
    async fn try_lead(&self, name: &str) -> Result<Option<LeaderGuard>, StoreError> {
        self.inner.try_lead(name).await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
