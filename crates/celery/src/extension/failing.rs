//! What is said and called because a task did not succeed.

use super::Celery;
use crate::canvas::{Embed, NewStyle, Skipped, after_failure, as_task, skipped};
use crate::json::raw;
use crate::raised::raised;
use crate::reply::because_of;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{After, Exception, TaskFault};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use counterfoil_worker::extension::{Message, Subject};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

impl Celery {
    /// Calls errbacks (`link_error`) of this type with the request, the exception and the traceback of the task that
    /// failed, as Celery calls an errback of three arguments that is a task of the same worker. Default: with the id of
    /// that task, as Celery calls all others. Errbacks of the body of a chord get its id in any case.
    ///
    /// Before arguments of its own come three: an object with `id`, `task`, `args`, `kwargs`, `root_id`, `parent_id`,
    /// `retries` and `hostname`; one with `exc_type`, `exc_message` and `exc_module`; a text or null.
    #[must_use]
    pub fn new_style_errback(mut self, name: TaskName) -> Self {
        self.new_style.insert(name);
        self
    }

    /// The arguments of such an errback.
    fn told_to_errbacks(&self, task: &Subject<'_>, fault: &TaskFault) -> Vec<Box<RawValue>> {
        let envelope = task.envelope;
        // As texts: what Python wrote may be more than a tree of values holds.
        let of_payload = |json: Option<&str>, nothing: &str| {
            let json = json.unwrap_or(nothing).to_owned();
            RawValue::from_string(json).unwrap_or_else(|_| raw(&()))
        };
        let exception = raised(task, fault);
        let request = BTreeMap::from([
            ("id", raw(&envelope.id)),
            ("task", raw(&envelope.name)),
            (
                "args",
                of_payload(task.payload.map(|payload| payload.args()), "[]"),
            ),
            (
                "kwargs",
                of_payload(task.payload.map(|payload| payload.kwargs()), "{}"),
            ),
            ("root_id", raw(&envelope.root_id)),
            ("parent_id", raw(&envelope.parent_id)),
            ("retries", raw(&envelope.retries)),
            ("hostname", raw(&task.worker)),
        ]);
        let traceback = raw(&fault.traceback_of(&exception));
        vec![raw(&request), raw(&exception.to_celery()), traceback]
    }

    /// The caller learns it, also of all steps that will not be taken any more, and of a failure errbacks are called, as
    /// Celery does. What cannot be read of all that keeps nobody from learning how the task itself ended.
    pub(super) fn ended_early(
        &self,
        task: &Subject<'_>,
        (status, fault): (&str, &TaskFault),
        now: DateTime<Utc>,
        calls_errbacks: bool,
    ) -> Result<Vec<Message>, String> {
        let mut messages = self.told(task, status, fault, now)?;
        let follows = Embed::of(task).and_then(|embed| {
            let mut follows = self.skipped(task, &embed, fault, now)?;
            if calls_errbacks {
                let raised = || self.told_to_errbacks(task, fault);
                let told = NewStyle {
                    names: &self.new_style,
                    raised: &raised,
                };
                follows.extend(after_failure(self.parent(task, now), &embed, Some(&told))?);
            }
            Ok(follows)
        });
        match follows {
            Ok(follows) => messages.extend(follows),
            Err(reason) => {
                let Envelope { id, name, .. } = task.envelope;
                tracing::error!(task_id = %id, task_name = %name, reason, "errbacks and further steps of a task that did not succeed are not told");
            }
        }
        Ok(messages)
    }

    /// Answers for the steps that will not be taken.
    fn skipped(
        &self,
        task: &Subject<'_>,
        embed: &Embed,
        fault: &TaskFault,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        let skipped = skipped(embed)?;
        let exception = raised(task, fault);
        let mut messages = self.in_vain(task, &skipped, &exception, fault, now)?;
        messages.push(Message::After(After {
            skipped: skipped.into_iter().map(|it| it.step).collect(),
            ..After::default()
        }));
        Ok(messages)
    }

    /// Tells those who wait for tasks that will never be sent.
    pub(super) fn in_vain(
        &self,
        task: &Subject<'_>,
        skipped: &[Skipped],
        exception: &Exception,
        fault: &TaskFault,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        let mut answers = Vec::new();
        for step in skipped {
            let Some(caller) = self.way.to(step.reply_to.as_deref(), task) else {
                continue;
            };
            let of_step = as_task(step, task.envelope);
            let reply = because_of((&of_step, "FAILURE"), exception, fault).over_at(now);
            answers.push(caller.message(&reply)?);
        }
        Ok(answers)
    }

    /// That the task ended in this state because of a fault.
    fn told(
        &self,
        task: &Subject<'_>,
        status: &str,
        fault: &TaskFault,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        let Some(caller) = self.caller(task) else {
            return Ok(Vec::new());
        };
        let reply = because_of((task.envelope, status), &raised(task, fault), fault).over_at(now);
        Ok(vec![caller.message(&reply)?])
    }
}
