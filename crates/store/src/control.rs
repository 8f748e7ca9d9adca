//! What people ask of workers, as the database keeps it, and what a task's row shows of it at once.

use crate::batch::Batch;
use crate::record::TaskRow;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::control::{Instruction, Order};
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::session::Inquiry;
use counterfoil_toolbox::state::Lineage;
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

/// Something that is asked, on its way into the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) order: Order,
    pub(crate) by: Option<Box<str>>,
    pub(crate) at: DateTime<Utc>,
}

impl Asked {
    /// Since when it does not hold.
    pub(crate) fn ends_at(&self) -> Option<DateTime<Utc>> {
        (!self.order.lasts()).then_some(self.at)
    }

    /// The kinds of what held about the same subject and is replaced or taken back by it.
    pub(crate) const fn ends(&self) -> &'static [&'static str] {
        match self.order {
            // Who is cancelled has nothing to wait for.
            Order::Revoke { .. } => &["revoke", "hold"],
            Order::RevokeFamily { .. } => &["revoke_family"],
            Order::RevokeSession { .. } => &["revoke_session"],
            Order::TimeOutSession { .. } => &["time_out_session"],
            Order::Hold { .. } | Order::Release { .. } => &["hold"],
            Order::PauseService { .. } | Order::ResumeService { .. } => &["pause_service"],
            Order::SessionIs { .. } | Order::Quiet { .. } | Order::Stop { .. } => &[],
        }
    }
}

/// A row of `control`.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ControlRow {
    /// Id of what is asked.
    #[sqlx(try_from = "String")]
    pub id: Uuid,
    /// What is asked: see [`Order::kind`].
    pub kind: String,
    /// Of whom: a task, the first task of a family, a session, a service or a worker.
    pub subject: String,
    /// Revocations: the run of the task up to which it is meant.
    pub run: Option<i32>,
    /// Who asked.
    pub created_by: Option<String>,
    /// When it was asked.
    pub created_date: DateTime<Utc>,
    /// When it was last published.
    pub published_at: Option<DateTime<Utc>>,
    /// Since when it does not hold any more.
    pub ends_at: Option<DateTime<Utc>>,
}

impl ControlRow {
    /// The same as workers read it. `None`: somebody wrote into the table what they could not read.
    #[must_use]
    pub fn instruction(&self, sent_at: DateTime<Utc>) -> Option<Instruction> {
        Some(Instruction {
            id: self.id,
            at: self.created_date,
            sent_at,
            by: self.created_by.as_deref().map(Into::into),
            order: Order::from_parts(&self.kind, &self.subject, self.run)?,
        })
    }
}

/// What a cancellation means for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelling<'a> {
    /// It has not been started: it never will be.
    BeforeStart,
    /// It runs, and its worker is asked to stop it.
    Running {
        /// Which worker, if it is known.
        worker: Option<&'a str>,
    },
    /// It is over: there is nothing to cancel.
    Over,
}

impl<'a> Cancelling<'a> {
    /// What it means for a task with this row.
    #[must_use]
    pub fn of(task: &'a TaskRow) -> Self {
        match task.state {
            // A retry that waits is not running either.
            TaskState::Pending | TaskState::Unroutable | TaskState::Received | TaskState::Retry => {
                Self::BeforeStart
            }
            TaskState::Started | TaskState::Progress => Self::Running {
                worker: task.worker.as_deref(),
            },
            TaskState::Rejected | TaskState::Failure | TaskState::Revoked | TaskState::Success => {
                Self::Over
            }
        }
    }
}

/// Whether a task is held back before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// It waits until somebody releases it.
    Yes,
    /// It may start.
    No,
}

impl Batch {
    /// Adds something that is asked of workers, `at` a time of the [database's](crate::Store::clock)
    /// clock. Returns its id.
    pub fn ask(&mut self, order: Order, by: Option<&str>, at: DateTime<Utc>) -> Uuid {
        let id = Uuid::now_v7();
        let by = by.map(|by| crate::text::boxed(by, crate::text::INDEXED));
        self.controls.insert(id, Asked { order, by, at });
        id
    }

    /// Adds that somebody asks what has become of a session, and was heard `at` a time of the
    /// [database's](crate::Store::clock) clock. The answer is found
    /// when it is [published](crate::Asking::unanswered), so it is as true as what was written before.
    pub fn inquire(&mut self, inquiry: &Inquiry, at: DateTime<Utc>) {
        let order = Order::SessionIs {
            session_id: inquiry.session_id.clone(),
            status: None,
            sent: 0,
        };
        let by = None;
        self.controls.insert(inquiry.id, Asked { order, by, at });
    }

    /// Adds that a task is held back, or is not any more.
    pub fn hold_back(&mut self, task_id: &TaskId, held: HeldBack) {
        self.held.insert(task_id.clone(), held);
    }

    /// Adds that a task which was cancelled before it started is REVOKED, without waiting for the
    /// worker that meets its message. One that is running, or over, is left alone: see [`Cancelling`].
    /// Should it have been started meanwhile and succeed, the success is what counts.
    pub fn revoke(&mut self, task: &TaskRow, by: Option<&str>, at: DateTime<Utc>) {
        self.hold_back(&task.task_id, HeldBack::No);
        if Cancelling::of(task) != Cancelling::BeforeStart {
            return;
        }
        let Ok(name) = task.name.parse() else {
            return;
        };
        let kind = EventKind::State(TaskState::Revoked);
        let mut event = Event::new(task.task_id.clone(), name, task.attempt(), kind, at);
        event.service = task.service.as_str().into();
        let id = |id: &Option<String>| TaskId::new(id.as_deref()?).ok();
        event.parent_id = id(&task.parent_id);
        event.root_id = id(&task.root_id);
        event.session_id = task.session_id.as_deref().map(Into::into);
        let by = by.map_or(String::new(), |by| format!(" by {by}"));
        let again = match task.attempt() == Lineage::default() {
            true => "",
            false => " again",
        };
        let text = format!("it was cancelled{by} before it was started{again}");
        event.error = Some(TaskFault::new(FaultKind::Cancelled, text));
        self.event(&event);
    }
}

/// What is wanted of what holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlFilter {
    /// Of this kind: see [`Order::kind`].
    pub kind: Option<String>,
    /// About this task, family, service or worker.
    pub subject: Option<String>,
    /// At most so many; 0: 10,000, the most that is given.
    pub limit: u32,
}
