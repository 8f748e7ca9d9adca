//! From what Celery's workers say of tasks to events as ours tell them.
//!
//! They say of which task, and when they get it how often it was retried, but not which attempt is meant later. So that
//! is remembered from when they got it, or taken from the row.

use crate::literal;
use crate::read::Record;
use crate::read::celery::{Said, What};
use chrono::{DateTime, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::{ServiceName, TaskName};
use counterfoil_toolbox::state::Lineage;
use std::collections::{BTreeSet, HashMap, VecDeque};
use uuid::{Builder, Uuid};

/// Name space of the ids of what is said.
const SAYINGS: Uuid = Uuid::from_u128(0x0d4f_76b1_2c88_4e0a_b5b3_77ae_90d1_6c1f);

/// Rows of tasks, by their ids.
pub(crate) type Rows = HashMap<TaskId, TaskRow>;

/// The rows of those tasks of which Celery's workers said something.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn rows(
    store: &dyn Store,
    records: impl IntoIterator<Item = &Record>,
) -> Result<Rows, StoreError> {
    let said = records.into_iter().filter_map(Record::said);
    let ids: BTreeSet<_> = said.map(|said| said.task_id.clone()).collect();
    if ids.is_empty() {
        return Ok(Rows::new());
    }
    let ids: Vec<_> = ids.into_iter().collect();
    let rows = store.tasks_with_ids(&ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.task_id.clone(), row))
        .collect())
}

/// Tasks whose attempts are remembered.
const MEMORY: usize = 50_000;

/// What Celery's workers said when they got a task: its name, and how often it was retried before.
#[derive(Debug, Default)]
struct Attempts {
    begun: HashMap<TaskId, (TaskName, i32)>,
    /// The oldest first.
    order: VecDeque<TaskId>,
}

impl Attempts {
    fn begin(&mut self, id: &TaskId, name: &TaskName, retries: i32) {
        let begun = (name.clone(), retries);
        if self.begun.insert(id.clone(), begun).is_none() {
            self.order.push_back(id.clone());
        }
        while self.order.len() > MEMORY {
            if let Some(oldest) = self.order.pop_front() {
                self.begun.remove(&oldest);
            }
        }
    }

    fn of(&self, said: &Said, row: Option<&TaskRow>) -> i32 {
        let begun = self.begun.get(&said.task_id).map(|(_, retries)| *retries);
        let Some(row) = row else {
            return begun.unwrap_or(0);
        };
        // The message of the next attempt is sent before the end of this one is told.
        let is_next_sent = matches!(row.state, TaskState::Pending | TaskState::Retry);
        match begun {
            // Another daemon heard that the next one was begun.
            Some(begun) if begun < row.executions && !is_next_sent => row.executions,
            Some(begun) => begun,
            None if is_next_sent && matches!(said.what, What::Retried { .. }) => {
                row.executions.saturating_sub(1).max(0)
            }
            None => row.executions,
        }
    }
}

/// What something that was said comes to.
#[derive(Debug)]
pub(crate) enum Meaning {
    Event(Box<Event>),
    /// Nobody knows the task yet.
    TooEarly,
    /// It is of a service that Celery's workers do not run.
    NotTheirs,
}

/// Who Celery's workers are believed for, and what they have said before.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) services: Vec<ServiceName>,
    attempts: Attempts,
}

impl Listener {
    pub(crate) fn new(services: &[ServiceName]) -> Self {
        Self {
            services: services.to_vec(),
            attempts: Attempts::default(),
        }
    }

    /// What it means of a task with this row.
    pub(crate) fn meaning(&mut self, said: &Said, row: Option<&TaskRow>) -> Meaning {
        if self.services.is_empty() {
            return Meaning::NotTheirs;
        }
        let is_theirs = |service: &str| self.services.iter().any(|it| it.as_str() == service);
        let told = match (&said.what, row) {
            (_, Some(row)) => Some(row.name.split('.').next().unwrap_or_default()),
            (What::Received { name, .. }, None) => Some(name.service()),
            (_, None) => None,
        };
        if told.is_some_and(|service| !is_theirs(service)) {
            return Meaning::NotTheirs;
        }
        match event(said, row, &mut self.attempts) {
            Some(event) => Meaning::Event(Box::new(event)),
            None => Meaning::TooEarly,
        }
    }
}

/// The event that it comes to. `None`: nobody knows the task yet.
fn event(said: &Said, row: Option<&TaskRow>, attempts: &mut Attempts) -> Option<Event> {
    if let What::Received { name, retries } = &said.what {
        attempts.begin(&said.task_id, name, *retries);
    }
    let begun = attempts.begun.get(&said.task_id);
    let name = match begun {
        Some((name, _)) => name.clone(),
        None => TaskName::new(&row?.name).ok()?,
    };
    let lineage = Lineage {
        run: row.map_or(0, |row| row.run),
        rescue: row.map_or(0, |row| row.rescue),
        executions: attempts.of(said, row),
        ..Lineage::default()
    };
    let kind = EventKind::State(state(&said.what));
    let mut event = Event::new(said.task_id.clone(), name, lineage, kind, said.at);
    event.event_id = id_of(said);
    event.worker.clone_from(&said.worker);
    fill(&mut event, &said.what);
    Some(event)
}

const fn state(what: &What) -> TaskState {
    match what {
        What::Received { .. } => TaskState::Received,
        What::Started => TaskState::Started,
        What::Succeeded { .. } => TaskState::Success,
        What::Failed { .. } | What::Rejected { is_requeued: false } => TaskState::Failure,
        What::Retried { .. } => TaskState::Retry,
        What::Revoked { .. } => TaskState::Revoked,
        What::Rejected { is_requeued: true } => TaskState::Pending,
    }
}

fn fill(event: &mut Event, what: &What) {
    match what {
        What::Succeeded { repr, runtime_ms } => {
            event.result = Some(literal::to_json(repr));
            event.runtime_ms = *runtime_ms;
        }
        What::Failed {
            exception,
            traceback,
        } => {
            event.error = Some(fault(FaultKind::Exception, exception, traceback.as_ref()));
        }
        What::Retried {
            exception,
            traceback,
        } => {
            event.error = Some(fault(FaultKind::Exception, exception, traceback.as_ref()));
            event.counted = Some(true);
        }
        What::Revoked {
            is_expired: true, ..
        } => {
            let text = "it expired before it was started";
            event.error = Some(fault(FaultKind::Expired, text, None));
        }
        What::Revoked { was_running, .. } => {
            let text = match was_running {
                true => "it was cancelled while it ran",
                false => "it was cancelled before it was started",
            };
            event.error = Some(fault(FaultKind::Cancelled, text, None));
        }
        What::Rejected { is_requeued: false } => {
            let text = "its worker rejected its message";
            event.error = Some(fault(FaultKind::Rejected, text, None));
        }
        What::Rejected { is_requeued: true } | What::Received { .. } | What::Started => {}
    }
}

fn fault(kind: FaultKind, message: &str, traceback: Option<&String>) -> TaskFault {
    TaskFault {
        traceback: traceback.cloned(),
        ..TaskFault::new(kind, message)
    }
}

/// The same id whenever the same is said: it begins with the time, as those of our events do.
fn id_of(said: &Said) -> Uuid {
    let millis = u64::try_from(said.at.timestamp_millis()).unwrap_or(0);
    let [_, _, time @ ..] = millis.to_be_bytes();
    let worker = said.worker.as_ref().map_or("", |worker| worker.as_str());
    let text = format!(
        "{} {} {worker} {}",
        state(&said.what),
        said.task_id,
        micros(said.at)
    );
    let mut bytes = Uuid::new_v5(&SAYINGS, text.as_bytes()).into_bytes();
    bytes[..6].copy_from_slice(&time);
    Builder::from_custom_bytes(bytes).into_uuid()
}

fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}
