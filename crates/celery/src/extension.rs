//! The extension of a worker that answers Celery's callers.

mod failing;
mod unlocking;

use crate::builtin;
use crate::caller::{Caller, Way};
use crate::canvas::{Embed, Ids, Parent, after_success, children};
use crate::events::Events;
use crate::json::raw;
use crate::node::Node;
use crate::outcome::Awaited;
use crate::raised::raised;
use crate::remote::{self, Facts, Scheduled};
use crate::reply::{Reply, because_of, too_large};
use crate::route::Routes;
use crate::status::Status;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::chord::UNLOCK;
use counterfoil_toolbox::event::After;
use counterfoil_toolbox::ids::{WorkerId, hostname};
use counterfoil_toolbox::names::{ExchangeName, QueueName, TaskName};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Publication;
use counterfoil_worker::WorkerBuilder;
use counterfoil_worker::extension::{Beside, Extension, Message, Step, Subject};
use futures::future::{BoxFuture, OptionFuture};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::time::Instant;

/// Speaks with Celery: give it to [`WorkerBuilder::extension`](counterfoil_worker::WorkerBuilder::extension).
///
/// Callers in Python whose results come by `rpc://` get them, with states and exceptions; callbacks, errbacks, groups
/// and the next steps of chains are called. What follows after a task is with the broker before the task is over, under
/// ids that follow from the task's own: a worker that crashes in between sends the same tasks again, and no others.
///
/// Answers go to queues of the callers through the broker's default exchange, if the user of the worker is allowed to write
/// to `amq.default`. If not, the platform's daemon passes on those that tell how a task ended, and the log says so: see
/// [`Self::replies_by_platform`]. Tasks that follow go through the exchange of
/// tasks, where the platform learns of them.
///
/// Celery's monitors, `celery events` and Flower among them, see the worker by its signs of life, and what it does by
/// events of its tasks: see [`Self::task_events`]. Its user has to be allowed to write to the exchange `celeryev`.
#[derive(Debug, Clone)]
pub struct Celery {
    routes: Routes,
    way: Way,
    tracks_started: bool,
    status: Status,
    pub(crate) node: Node,
    pub(crate) events: Option<Events>,
    has_remote_control: bool,
    tells_of_sent: bool,
    scheduled: Scheduled,
    /// Errbacks that get the exception.
    new_style: BTreeSet<TaskName>,
}

impl Celery {
    /// `names` are those of the broker's settings.
    #[must_use]
    pub fn new(names: &Names) -> Self {
        Self {
            routes: Routes::new(names),
            way: Way::Direct,
            tracks_started: false,
            status: Status::default(),
            node: Node::default(),
            has_remote_control: true,
            tells_of_sent: false,
            scheduled: Scheduled::default(),
            new_style: BTreeSet::new(),
            events: Some(Events::default()),
        }
    }

    /// Sends tasks that follow to this queue where their signatures name none, as Celery's `task_default_queue` does.
    /// Default: to the service that the first part of their name says.
    #[must_use]
    pub fn default_queue(mut self, queue: QueueName) -> Self {
        self.routes.default_queue = Some(queue);
        self
    }

    /// Sends no answers to the queues of callers.
    #[must_use]
    pub fn without_replies(mut self) -> Self {
        self.way = Way::None;
        self
    }

    /// Leaves answers to the platform's daemon without trying: for a worker whose user may not write to `amq.default`, since
    /// whoever may writes into every queue. The daemon passes on how tasks ended, when it has written that into the
    /// database, and nothing of what they are before: progress, retries. It does so to callers of Celery alone, whose queues
    /// are called by a UUID. `names` are those of the broker's settings. Default: the worker writes to the queues of callers.
    #[must_use]
    pub fn replies_by_platform(mut self, names: &Names) -> Self {
        self.way = Way::Platform(names.events.clone());
        self
    }

    /// Lets tasks that follow go to this exchange, too, where their signatures name it. Whoever may send tasks to the
    /// worker writes there with the worker's rights. Default: to the exchange of tasks alone.
    #[must_use]
    pub fn exchange(mut self, exchange: ExchangeName) -> Self {
        self.routes.others.push(exchange);
        self
    }

    /// Lets nobody ask or change the worker by `celery inspect`, `celery control` or Flower. Default: whoever may write to
    /// the exchange `celery.pidbox` of the virtual host can see its tasks with their arguments, revoke them, change its
    /// limits, have it consume other queues, and end it, as Celery's workers do.
    ///
    /// For remote control the user of the worker has to be allowed to configure and read `celery.pidbox`, to configure, write
    /// and read `<name of the node>.celery.pidbox`, and to write to `reply.celery.pidbox`: `deploy/rabbitmq/permissions
    /// --remote-control worker …`. A worker that is not works without, and says so once.
    #[must_use]
    pub fn without_remote_control(mut self) -> Self {
        self.has_remote_control = false;
        self
    }

    /// Tells callers that a task was started, too, as Celery's `task_track_started` does. Default: it does not.
    #[must_use]
    pub fn track_started(mut self) -> Self {
        self.tracks_started = true;
        self
    }

    /// Sends events of tasks from the beginning, as Celery's `worker --task-events` does: that one was received, began,
    /// and how it ended, with arguments and results as Python prints them, cut at 1,024 characters. They are for whoever
    /// looks right now, and are dropped rather than that a task waits for them. Default: signs of life of the worker
    /// alone.
    #[must_use]
    pub fn task_events(self) -> Self {
        self.node.tell_of_tasks(true);
        self
    }

    /// Sends an event of each task that the worker sends, too, as Celery's `task_send_sent_event` does: children of its tasks,
    /// and those that follow after them. Programs have [`SentEvents`](crate::SentEvents). Default: none.
    #[must_use]
    pub fn sent_events(mut self) -> Self {
        self.tells_of_sent = true;
        self
    }

    /// Sends no events, and no signs of life: Celery's monitors do not see the worker.
    #[must_use]
    pub fn without_events(mut self) -> Self {
        self.events = None;
        self
    }

    /// Where the caller waits for the task, if he does.
    fn caller<'a>(&self, task: &Subject<'a>) -> Option<Caller<'a>> {
        let queue = task.envelope.reply_to.as_deref();
        self.way.to(queue.filter(|_| !task.ignores_result), task)
    }

    fn succeeded(
        &self,
        task: &Subject<'_>,
        embed: &Embed,
        result: Option<&RawValue>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        let parent = self.parent(task, now);
        let follows = after_success(parent, embed, result)?;
        let mut messages = follows.messages;
        messages.push(Message::After(After {
            children: children(&follows.children),
            ..After::default()
        }));
        if let Some(caller) = self.caller(task) {
            let result = result.map_or_else(|| raw(&()), ToOwned::to_owned);
            let mut reply = Reply::new(task.envelope, "SUCCESS", result).over_at(now);
            reply.children = follows.children.iter().map(Awaited::to_json).collect();
            let publication = caller.publication(&reply)?;
            let instead = too_large(task, &publication, now);
            let instead = instead.map(|reply| caller.publication(&reply));
            messages.push(Message::Answer {
                publication,
                instead: instead.transpose()?.map(Box::new),
            });
        }
        Ok(messages)
    }

    fn parent<'a>(&'a self, task: &Subject<'a>, now: DateTime<Utc>) -> Parent<'a> {
        Parent::of(task, &self.routes, now, Ids::Follow)
    }

    fn at(
        &self,
        task: &Subject<'_>,
        step: &Step<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        match step {
            Step::Succeeded(_) if task.envelope.name == UNLOCK => self.unlock(task, now),
            Step::Succeeded(result) => self.succeeded(task, &Embed::of(task)?, *result, now),
            Step::Failed(fault) => self.ended_early(task, ("FAILURE", fault), now, true),
            Step::Revoked(fault) => self.ended_early(task, ("REVOKED", fault), now, false),
            Step::Received
            | Step::Started
            | Step::Progress(_)
            | Step::Retried(..)
            | Step::PutOff => Ok(Vec::new()),
        }
    }
}

impl Celery {
    /// Calls the worker so in Celery's world, where `celery inspect` shows it: `name@%h`, in which `%h` is the name of the
    /// host, as for `celery worker --hostname`. No two workers may have the same name. Default: the id under which the
    /// worker reports to the platform, `service@host.pid.chance`.
    #[must_use]
    pub fn node_name(self, name: &str) -> Self {
        self.node.named(name, &hostname());
        self
    }

    fn remote_control(&self, worker: Beside) -> Option<impl Future<Output = ()> + use<>> {
        let facts = Facts {
            names: worker.names.clone(),
            broker: worker.transport.address(),
            began: Instant::now(),
            replies: !matches!(self.way, Way::None),
            tracks_started: self.tracks_started,
            default_queue: self.routes.default_queue.as_ref().map(ToString::to_string),
        };
        let (node, scheduled) = (self.node.clone(), self.scheduled.clone());
        self.has_remote_control
            .then(|| remote::serve(worker, node, facts, scheduled))
    }

    /// What a caller is told of a task that is not over.
    fn meanwhile<'a>(&self, task: &Subject<'a>, step: &Step<'a>) -> Option<Reply<'a>> {
        match step {
            Step::Progress(progress) => Some(Reply::new(task.envelope, "PROGRESS", raw(progress))),
            Step::Started if self.tracks_started => {
                let started =
                    json!({"pid": std::process::id(), "hostname": self.node.name(task.worker)});
                Some(Reply::new(task.envelope, "STARTED", raw(&started)))
            }
            Step::Retried(fault, _) => {
                let exception = raised(task, fault);
                Some(because_of((task.envelope, "RETRY"), &exception, fault))
            }
            Step::Started
            | Step::Received
            | Step::PutOff
            | Step::Succeeded(_)
            | Step::Failed(_)
            | Step::Revoked(_) => None,
        }
    }
}

impl Extension for Celery {
    fn join(&self, worker: WorkerBuilder) -> WorkerBuilder {
        // For what handlers call: see `send`.
        builtin::join(worker).state(self.routes.clone())
    }

    fn messages(&self, task: &Subject<'_>, step: &Step<'_>) -> Result<Vec<Message>, String> {
        self.status.over(&task.envelope.id);
        self.at(task, step, Utc::now())
    }

    fn beside(&self, worker: Beside) -> Option<BoxFuture<'static, ()>> {
        let events = self.events.as_ref();
        let events = events.and_then(|events| events.send(&self.node, worker.clone()));
        let status = self.status.send(worker.clone());
        let remote = self.remote_control(worker);
        Some(Box::pin(async move {
            let events = OptionFuture::from(events);
            let status = OptionFuture::from(status);
            let remote = OptionFuture::from(remote);
            futures::join!(events, status, remote);
        }))
    }

    fn sent(&self, worker: &WorkerId, task: &Publication) {
        if let Some(events) = self.events.as_ref().filter(|_| self.tells_of_sent) {
            events.tell_sent(&self.node, worker, task);
        }
    }

    fn heard(&self, task: &Subject<'_>, step: &Step<'_>) {
        if self.has_remote_control && matches!(step, Step::PutOff) {
            let node = self.node.name(task.worker);
            self.scheduled.put_off(task, node, Utc::now());
        }
        if self.node.tells_of_tasks()
            && let Some(events) = &self.events
        {
            events.tell(&self.node, task, step);
        }
        let Some(caller) = self.caller(task) else {
            return;
        };
        if let Some(reply) = self.meanwhile(task, step) {
            self.status.say(&task.envelope.id, &reply, &caller);
        }
    }
}

#[cfg(test)]
#[path = "extension_tests.rs"]
mod tests;
