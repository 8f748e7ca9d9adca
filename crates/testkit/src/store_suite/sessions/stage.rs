//! A session of one test.

use crate::store_suite::samples::{event, lineage};
use crate::store_suite::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Applied, Batch, SessionRow, TimeOut};
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::session::{ErrorPolicy, Finalizer, Opening, Subtask};
use counterfoil_toolbox::{Priority, TaskName, TaskState};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A session with its subtasks.
pub(super) struct Site<'a> {
    pub(super) site: &'a StoreSite,
    pub(super) opening: Opening,
}

pub(super) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

pub(in crate::store_suite) fn opening(subtasks: usize) -> Opening {
    let name = |name| TaskName::new(name).expect("a task name");
    Opening {
        id: SessionId::random(),
        action: "harvest".into(),
        policy: ErrorPolicy::Complete,
        estimated_ms: None,
        buffer_ms: None,
        finalizer: Finalizer {
            id: TaskId::random(),
            task: name("demo.end"),
            args: raw("[7]"),
            kwargs: raw(r#"{"session": null}"#),
            takes_summary: true,
            max_retries: None,
            time_limit_ms: None,
            soft_time_limit_ms: None,
            retention_s: None,
            priority: Priority::Normal,
            parent_id: None,
            root_id: None,
            creator: Some("ana".into()),
            related: Some("project:17".into()),
            identifier: None,
            traceparent: None,
            tracestate: None,
        },
        subtasks: (0..subtasks)
            .map(|_| Subtask {
                id: TaskId::random(),
                task: name("demo.add"),
            })
            .collect(),
    }
}

pub(super) fn told(opening: &Opening, subtask: usize, executions: i32, state: TaskState) -> Event {
    let id = &opening.subtasks[subtask].id;
    let mut event = event(id, lineage(0, executions, 0), state);
    event.session_id = Some(opening.id.as_str().into());
    event
}

impl<'a> Site<'a> {
    pub(super) async fn opened(site: &'a StoreSite, subtasks: usize) -> anyhow::Result<Self> {
        let opening = opening(subtasks);
        let this = Self { site, opening };
        this.open().await?;
        Ok(this)
    }

    pub(super) async fn open(&self) -> anyhow::Result<()> {
        let mut batch = Batch::new();
        batch.open_session(&self.opening);
        self.site.store().apply(&batch).await?;
        Ok(())
    }

    pub(super) async fn tell(&self, events: &[Event]) -> anyhow::Result<Applied> {
        let mut batch = Batch::new();
        events.iter().for_each(|event| batch.event(event));
        Ok(self.site.store().apply(&batch).await?)
    }

    pub(super) async fn all(&self, state: TaskState) -> anyhow::Result<()> {
        let all = 0..self.opening.subtasks.len();
        let events: Vec<_> = all.map(|n| told(&self.opening, n, 0, state)).collect();
        self.tell(&events).await.map(drop)
    }

    pub(super) async fn row(&self) -> anyhow::Result<SessionRow> {
        let row = self.site.store().session(&self.opening.id).await?;
        row.context("the session's row")
    }

    /// The summary that its finalizer would get; `None`: no finalizer has been queued.
    pub(super) async fn summary(&self) -> anyhow::Result<Option<Value>> {
        let of = self.opening.id.as_str();
        let key = format!("key = 'finalizer:{of}'");
        let count = self
            .site
            .text(&format!(
                "SELECT CAST(count(*) AS text) FROM outbox WHERE {key}"
            ))
            .await?;
        if count.as_deref() == Some("0") {
            return Ok(None);
        }
        ensure!(count.as_deref() == Some("1"), "{count:?} finalizers");
        let body = match self.site.url().starts_with("sqlite") {
            true => "CAST(message AS text)",
            false => "convert_from(message, 'UTF8')",
        };
        let message = format!("SELECT {body} FROM outbox WHERE {key}");
        let message = self.site.text(&message).await?.context("a body")?;
        let (args, kwargs, _): (Value, Value, Value) = serde_json::from_str(&message)?;
        ensure!(args == json!([7]), "{args}");
        Ok(Some(kwargs["session"].clone()))
    }
}

/// The time of an open session is over; everything is written twice.
pub(super) async fn time_out(session: &Site<'_>) -> anyhow::Result<()> {
    let store = session.site.store();
    let now = store.clock().await?;
    let mut end = TimeOut::new(&session.opening.id, None, now);
    while let Some(batch) = end.next(store).await? {
        store.apply(&batch).await?;
        store.apply(&batch).await?;
    }
    Ok(())
}
