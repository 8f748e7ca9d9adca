//! What a transaction on SQLite counts for charts. PostgreSQL counts in the statements that write: here they write
//! row by row.

use super::What;
use super::size::{UNKNOWN, size_of};
use crate::batch::Batch;
use crate::history::HistoryLine;
use crate::merge::{ResultChange, TaskChange};
use crate::time::to_text;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::EventKind;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::state::Lineage;
use serde::Serialize;
use sqlx::FromRow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A row of `known_results.sql`: an outcome that was there before.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct OldOutcome {
    pub(crate) task_id: String,
    pub(crate) run: i32,
    status: String,
    date_done: DateTime<Utc>,
    runtime_ms: Option<i64>,
}

/// A row of `known_retries.sql`: task, run, rescue, retries before.
pub(crate) type KnownRetry = (String, i32, i32, i32);

/// A row of `waited_since.sql`.
#[derive(Debug, FromRow)]
pub(crate) struct Waited {
    task_id: String,
    service: String,
    r#type: String,
    since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Key {
    at: String,
    service: String,
    r#type: String,
    what: &'static str,
    size: i16,
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(flatten)]
    key: &'a Key,
    tasks: i64,
}

impl Batch {
    /// The type of a task of the batch.
    pub(crate) fn name_of(&self, task_id: &TaskId) -> Option<&TaskName> {
        self.tasks.get(task_id).map(TaskChange::name)
    }
}

impl HistoryLine {
    /// Whether it may count for charts: the start of a first attempt, or a retry.
    pub(crate) fn counts(&self) -> bool {
        self.first_start().is_some() || self.is_retry()
    }

    /// Since when a first attempt runs, where it tells that.
    pub(crate) fn first_start(&self) -> Option<DateTime<Utc>> {
        let is_first = self.lineage == Lineage::default();
        self.started_at.filter(|_| is_first)
    }

    pub(crate) fn is_retry(&self) -> bool {
        self.kind == EventKind::State(TaskState::Retry)
    }
}

/// What is counted so far.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    counts: BTreeMap<Key, i64>,
    /// First attempts that were started, and since when they run.
    starts: BTreeMap<String, DateTime<Utc>>,
    /// Executions that were retried, and when.
    retries: Vec<(String, DateTime<Utc>)>,
    /// Those that are known.
    known_retries: BTreeSet<KnownRetry>,
    /// Tasks whose first attempt is known to have been started. Celery's workers do not know that a message was
    /// delivered again, so the same attempt may be started twice.
    known_starts: BTreeSet<String>,
}

impl Counting {
    pub(crate) fn new(known_starts: Vec<String>, known_retries: Vec<KnownRetry>) -> Self {
        Self {
            known_starts: known_starts.into_iter().collect(),
            known_retries: known_retries.into_iter().collect(),
            ..Self::default()
        }
    }

    fn add(&mut self, of: (&str, &str), what: What, at: DateTime<Utc>, size: i16, tasks: i64) {
        let key = Key {
            // To the minute: lines of one batch are to fall together.
            at: to_text(at)[..16].to_owned() + ":00.000000Z",
            service: of.0.to_owned(),
            r#type: of.1.to_owned(),
            what: what.as_str(),
            size,
        };
        *self.counts.entry(key).or_default() += tasks;
    }

    /// A task whose row is new.
    pub(crate) fn sent(&mut self, change: &TaskChange, created: DateTime<Utc>) {
        let of = (change.name().service(), change.name().as_str());
        self.add(of, What::Sent, created, UNKNOWN, 1);
    }

    /// An outcome that was written, and what it has replaced.
    pub(crate) fn ended(
        &mut self,
        of: (&str, &str),
        (change, now): (&ResultChange, DateTime<Utc>),
        before: Option<&OldOutcome>,
    ) {
        if let Some(before) = before
            && let Some(what) = What::parse(&before.status)
        {
            let size = size_of(before.runtime_ms);
            self.add(of, what, before.date_done, size, -1);
        }
        if let Some(what) = What::parse(change.status.as_str()) {
            let at = change.date_done.min(now);
            self.add(of, what, at, size_of(change.runtime_ms), 1);
        }
    }

    /// A line of history that is new.
    pub(crate) fn line(&mut self, line: &HistoryLine, now: DateTime<Utc>) {
        let lineage = line.lineage;
        if let Some(started_at) = line.first_start()
            && !self.known_starts.contains(line.task_id.as_str())
        {
            let first = self.starts.entry(line.task_id.to_string());
            let first = first.or_insert(started_at);
            *first = started_at.min(*first);
        }
        if line.is_retry() {
            let task_id = line.task_id.to_string();
            let execution = (
                task_id.clone(),
                lineage.run,
                lineage.rescue,
                lineage.retries(),
            );
            if self.known_retries.insert(execution) {
                self.retries
                    .push((task_id, line.happened_at.unwrap_or(now)));
            }
        }
    }

    /// Tasks of which more has to be known.
    pub(crate) fn asks_about(&self) -> BTreeSet<&str> {
        let started = self.starts.keys();
        let retried = self.retries.iter().map(|(task_id, _)| task_id);
        started.chain(retried).map(String::as_str).collect()
    }

    /// What is known of them.
    pub(crate) fn know(&mut self, waited: Vec<Waited>) {
        let waited: HashMap<_, _> = waited
            .into_iter()
            .map(|task| (task.task_id.clone(), task))
            .collect();
        for (task_id, at) in std::mem::take(&mut self.starts) {
            let Some(task) = waited.get(&task_id) else {
                continue;
            };
            let ms = task.since.map(|since| (at - since).num_milliseconds());
            self.add(
                (&task.service, &task.r#type),
                What::Queued,
                at,
                size_of(ms),
                1,
            );
        }
        for (task_id, at) in std::mem::take(&mut self.retries) {
            if let Some(task) = waited.get(&task_id) {
                let of = (task.service.as_str(), task.r#type.as_str());
                self.add(of, What::Retry, at, UNKNOWN, 1);
            }
        }
    }

    /// All that is to be written, as `insert_rollup_deltas.sql` takes it; `None`: nothing.
    pub(crate) fn deltas(&self) -> Option<String> {
        let counted = self.counts.iter().filter(|(_, tasks)| **tasks != 0);
        let deltas: Vec<_> = counted
            .map(|(key, tasks)| Delta { key, tasks: *tasks })
            .collect();
        let json = || serde_json::to_string(&deltas).expect("texts and numbers are JSON");
        (!deltas.is_empty()).then(json)
    }
}
