//! What a sender can say about one task, beyond its arguments.

mod origin;

use super::raw::RawTask;
use crate::ids::{SessionId, TaskId};
use crate::message::{Envelope, TimeLimits};
use crate::priority::Priority;
use crate::task::Task;
use crate::telemetry::TraceContext;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// Name space of the ids of tasks that are unique for a while.
const UNIQUE: Uuid = Uuid::from_u128(0x2b1c_7f5a_93de_4c0e_8d11_5e0a_6a54_77c3);

/// The most that a message can say.
const MAX_RETRIES: u32 = 1_000_000;

/// Options of one send. `SendOptions::default()` says nothing.
///
/// ```
/// # use counterfoil_toolbox::producer::Draft;
/// # use chrono::Utc;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Export { project: u32 }
/// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
/// use counterfoil_toolbox::Priority;
/// use counterfoil_toolbox::producer::SendOptions;
/// use std::time::Duration;
///
/// let now = Utc::now();
/// let options = SendOptions::new()
///     .priority(Priority::High)
///     .countdown(Duration::from_secs(60))
///     .expires(now + Duration::from_secs(3600))
///     .max_retries(0)
///     .creator("anna")
///     .related("project", "17")
///     .identifier("export of project 17");
/// let draft = Draft::of(&Export { project: 17 }, options, now)?; // as `send_with` does
/// assert_eq!(draft.routing_key, "export~high.project");
/// assert_eq!(draft.due, Some(now + Duration::from_secs(60)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct SendOptions {
    pub(crate) id: Option<TaskId>,
    pub(crate) unique_for: Option<Duration>,
    pub(crate) countdown: Option<Duration>,
    pub(crate) eta: Option<DateTime<Utc>>,
    pub(crate) expires: Option<DateTime<Utc>>,
    pub(crate) time_limits: TimeLimits,
    pub(crate) max_retries: Option<u32>,
    pub(crate) priority: Option<Priority>,
    pub(crate) retention: Option<Duration>,
    pub(crate) parent: Option<(TaskId, TaskId)>,
    pub(crate) session_id: Option<SessionId>,
    pub(crate) creator: Option<String>,
    pub(crate) related: Option<(String, String)>,
    pub(crate) identifier: Option<String>,
    pub(crate) is_result: bool,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) inherited_trace: Option<TraceContext>,
}

impl SendOptions {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// An id of the sender's choice. Sent again under the same id it is one task with one row,
    /// which may run again.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::{TaskId, producer::SendOptions};
    ///
    /// let id = TaskId::new("invoice-17")?; // whoever sends it once more sends the same task
    /// let options = SendOptions::new().id(id.clone());
    /// assert_eq!(Draft::of(&Export { project: 17 }, options, Utc::now())?.id, id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sends of this type within the same window of time are one task: its id is derived from its type, its
    /// [identifier](Self::identifier) (else its arguments), and the number of the window since 1970. An
    /// [id](Self::id) of the sender's choice goes before it.
    ///
    /// One task is one row and one result; a producer that sends it twice still sends two messages. A worker
    /// that has the first in hand settles the second with it; any other may run it once more. Whoever needs
    /// it to run once sends it through the platform's database, which keeps one message per id.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::producer::SendOptions;
    /// use std::time::Duration;
    ///
    /// # let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    /// let day = SendOptions::new().unique_for(Duration::from_secs(24 * 60 * 60));
    /// let first = Draft::of(&Export { project: 17 }, day.clone(), now)?;
    /// let again = Draft::of(&Export { project: 17 }, day.clone(), now + Duration::from_secs(60))?;
    /// let other = Draft::of(&Export { project: 18 }, day, now)?;
    /// assert_eq!(first.id, again.id);
    /// assert_ne!(first.id, other.id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unique_for(mut self, window: Duration) -> Self {
        self.unique_for = Some(window);
        self
    }

    /// Not before `wait` has passed. The task waits at the broker, to the second.
    pub fn countdown(mut self, wait: Duration) -> Self {
        self.countdown = Some(wait);
        self
    }

    /// Not before `time`. The task waits at the broker, to the second.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::producer::SendOptions;
    /// use std::time::Duration;
    ///
    /// let now = Utc::now();
    /// let options = SendOptions::new().eta(now + Duration::from_secs(60));
    /// let options = options.countdown(Duration::from_secs(5)); // an `eta` goes before it
    /// assert_eq!(Draft::of(&Export { project: 17 }, options, now)?.due, Some(now + Duration::from_secs(60)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn eta(mut self, time: DateTime<Utc>) -> Self {
        self.eta = Some(time);
        self
    }

    /// Not after `time`: a worker that gets it later revokes it.
    pub fn expires(mut self, time: DateTime<Utc>) -> Self {
        self.expires = Some(time);
        self
    }

    /// Longest that one execution may take, instead of the task's own limit. Sending refuses zero.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::producer::{SendError, SendOptions};
    /// use std::time::Duration;
    ///
    /// let never = SendOptions::new().time_limit(Duration::ZERO); // none is none, and not no limit
    /// let refused = Draft::of(&Export { project: 17 }, never, Utc::now());
    /// assert!(matches!(refused, Err(SendError::NoTime { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limits.hard = Some(limit);
        self
    }

    /// When the handler of one execution is told that its time is nearly up, instead of the task's
    /// own limit. It should be shorter than the time limit. Sending refuses zero.
    pub fn soft_time_limit(mut self, limit: Duration) -> Self {
        self.time_limits.soft = Some(limit);
        self
    }

    /// Counted retries after the first attempt, instead of the task's own number; 0: none. At most
    /// a million.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::{message::names, producer::SendOptions};
    ///
    /// let once = SendOptions::new().max_retries(0);
    /// let draft = Draft::of(&Export { project: 17 }, once, Utc::now())?;
    /// assert_eq!(draft.content.headers.int(names::MAX_RETRIES), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries.min(MAX_RETRIES));
        self
    }

    /// The class of the task, instead of its type's own. Of a service without classes
    /// (`broker.queues.<service>.priorities`) only [`Normal`](Priority::Normal) reaches a queue at once:
    /// `counterfoil-sync` has to send the others on.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::{Priority, producer::SendOptions};
    ///
    /// let options = SendOptions::new().priority(Priority::High); // somebody waits for it
    /// let draft = Draft::of(&Export { project: 17 }, options, Utc::now())?;
    /// assert_eq!(draft.routing_key, "export~high.project");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long the platform keeps the task once it is over, instead of as long as its type says or
    /// `[sync.retention]` of `counterfoil-sync`: from an hour to a hundred years, which is for ever.
    pub fn retention(mut self, keep: Duration) -> Self {
        self.retention = Some(keep);
        self
    }

    /// What of it does not follow from a place or a time: an execution that is repeated says the same again.
    pub(crate) fn lasting(&self) -> Value {
        // Whole, so that a new option has to be thought of here.
        let Self {
            id: _,
            unique_for,
            countdown,
            eta: _,
            expires: _,
            time_limits: TimeLimits { hard, soft },
            max_retries,
            priority,
            retention,
            parent: _,
            session_id: _,
            creator,
            related,
            identifier,
            is_result,
            trace: _,
            inherited_trace: _,
        } = self;
        json!([
            unique_for,
            countdown,
            hard,
            soft,
            max_retries,
            priority,
            retention,
            creator,
            related,
            identifier,
            is_result
        ])
    }

    /// With what is left unsaid as the type `T` has it, where the message has to tell it.
    pub(crate) fn of_type<T: Task>(mut self) -> Self {
        let of_type = T::options();
        self.priority = self.priority.or(Some(of_type.priority));
        self.retention = self.retention.or(of_type.retention);
        self
    }

    /// The id of a task of this type and with these arguments, sent now.
    pub(super) fn id_of(&self, task: &RawTask, now: DateTime<Utc>) -> TaskId {
        let derived = |window: Duration| {
            let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
            let number = now.timestamp_millis().div_euclid(window.max(1));
            let (kind, what) = match &self.identifier {
                Some(identifier) => ("identifier", identifier.clone()),
                None => ("arguments", format!("{} {}", task.args, task.kwargs)),
            };
            // The name may hold no blank, so nothing else reads the same.
            let text = format!("{} {window} {number} {kind} {what}", task.name);
            TaskId::from(Uuid::new_v5(&UNIQUE, text.as_bytes()))
        };
        let id = self.id.clone().or_else(|| self.unique_for.map(derived));
        id.unwrap_or_else(TaskId::random)
    }

    /// When the task is due; `None`: at once.
    pub(crate) fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let from_now = |wait| {
            let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
            // Further off than the calendar reaches: refused later, as a delay that is too long.
            now.checked_add_signed(wait)
                .unwrap_or(DateTime::<Utc>::MAX_UTC)
        };
        self.eta.or_else(|| self.countdown.map(from_now))
    }

    /// Writes what was said into the envelope.
    pub(crate) fn fill(self, envelope: &mut Envelope, now: DateTime<Utc>) {
        envelope.eta = self.due(now);
        if let Some(trace) = self.trace_of_message() {
            trace.write_to(&mut envelope.extra);
        }
        envelope.expires = self.expires;
        envelope.time_limits = self.time_limits;
        envelope.max_retries = self.max_retries;
        envelope.retention = self.retention;
        if let Some((parent, root)) = self.parent {
            envelope.parent_id = Some(parent);
            envelope.root_id = root;
        }
        envelope.session_id = self.session_id.map(|id| id.as_str().into());
        envelope.creator_id = self.creator.map(Into::into);
        envelope.related = self.related.map(|(kind, id)| format!("{kind}:{id}").into());
        envelope.identifier = self.identifier.map(Into::into);
        envelope.is_result = self.is_result;
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
