//! Tasks in whose place others went on: when one of those fails before the last of them is sent, which was to have the
//! id of the task, nobody else would tell that this is over.

use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, Exception, FaultKind, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use sqlx::FromRow;
use uuid::Uuid;

/// Such a task, column by column.
#[derive(Debug, FromRow)]
pub(crate) struct ReplacedRow {
    task_id: String,
    #[sqlx(rename = "type")]
    name: String,
    run: i32,
    rescue: i32,
    executions: i32,
    tries: i32,
    /// The one that failed.
    after_id: String,
    /// What that raised, as Celery writes it down.
    exception: String,
}

impl ReplacedRow {
    /// The attempt that never came failed. `None`: somebody changed the row so that nobody can read it.
    pub(crate) fn failure(&self, now: DateTime<Utc>) -> Option<Event> {
        let attempt = Lineage {
            run: self.run,
            rescue: self.rescue,
            executions: self.executions.saturating_add(self.tries).saturating_add(1),
            ..Lineage::default()
        };
        let exception = serde_json::from_str(&self.exception).ok();
        let exception = exception.as_ref().and_then(Exception::of_celery);
        let raised = exception.as_ref().map(ToString::to_string);
        let message = format!(
            "task {}, which went on in its place, failed: {}",
            self.after_id,
            raised.as_deref().unwrap_or("nobody knows why")
        );
        let kind = EventKind::State(TaskState::Failure);
        let task_id = TaskId::new(&self.task_id).ok()?;
        let mut event = Event::new(task_id, self.name.parse().ok()?, attempt, kind, now);
        // Two that look at the same time say it once.
        let name = format!("{} {attempt} {}", self.task_id, self.after_id);
        event.event_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let mut fault = TaskFault::new(FaultKind::Exception, message);
        fault.exception = exception.map(Box::new);
        event.error = Some(fault);
        Some(event)
    }
}
