//! Doing what was decided about a task.
//!
//! The order is always the same: what must exist elsewhere is confirmed first (a retry copy, a
//! dead letter), then the last event, and only then is the delivery acknowledged, by the reporter.
//! A crash in between repeats a step; it never loses one.

use crate::dead::bury;
use crate::execute::{Execution, Next, Retry};
use crate::extension::Step;
use crate::held::Held;
use crate::metrics::OfType;
use crate::outcome::Outcome;
use crate::publish::Sent;
use crate::retry::{Due, SHORTEST, Tally, later, send_copy};
use crate::say::Said;
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{After, Event, EventKind, FaultKind, TaskFault};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a message may have been here for its task to be retried here. The broker takes back
/// what is unacknowledged for too long, and each execution may use up its whole time limit.
const RETRIED_HERE_FOR: Duration = Duration::from_secs(60);

impl Execution {
    /// Acts on a decision. What needs the broker is boxed: most tasks end without, and carry no room for it.
    pub(crate) async fn perform(&mut self, outcome: Outcome) -> Next {
        let says = !self.shared.extensions.is_empty();
        if (outcome.sends_on() || says)
            && let Some(reason) = Box::pin(self.is_elsewhere(&outcome)).await
        {
            let id = &self.held.envelope.id;
            tracing::warn!(task_id = %id, reason, "whoever has the task by now goes on with it");
            self.release(Held::hand_back);
            return Next::Over;
        }
        self.metrics().note(&outcome);
        match outcome {
            Outcome::Done(output) if says => Box::pin(self.succeed(output, None)).await,
            Outcome::Done(output) => self.succeeded(output, None, None),
            Outcome::Skipped(reason) if says => Box::pin(self.succeed(None, Some(reason))).await,
            Outcome::Skipped(reason) => self.succeeded(None, Some(reason), None),
            Outcome::RetryIn {
                delay,
                counted,
                fault,
                arguments,
            } => {
                let executions = self.tally.executions;
                let retry = Retry {
                    counted,
                    fault,
                    executions,
                    arguments,
                };
                return Box::pin(self.retry(delay, retry)).await;
            }
            Outcome::Replaced(by) => Box::pin(self.go_on_as(by)).await,
            Outcome::Later(wait) => return Box::pin(self.wait_for_its_time(wait)).await,
            Outcome::HeldBack(wait) => Box::pin(self.come_again(wait, Due::AsBefore)).await,
            Outcome::Dead(fault) => Box::pin(self.die(fault)).await,
            Outcome::Failed(fault) => Box::pin(self.fail(TaskState::Failure, fault)).await,
            Outcome::Revoked(fault) => Box::pin(self.fail(TaskState::Revoked, fault)).await,
            Outcome::HandBack => Box::pin(self.hand_back()).await,
            Outcome::LetGo => self.release(Held::hand_back),
        }
        Next::Over
    }

    fn metrics(&self) -> &OfType {
        let registered = self.shared.registry.get(&self.held.envelope.name);
        registered.map_or(self.shared.metrics.unknown(), |task| &task.metrics)
    }

    /// Why a message that goes on with the task must not be sent: somebody else goes on with it, or will.
    async fn is_elsewhere(&self, outcome: &Outcome) -> Option<&'static str> {
        if self.shared.may_be_lost(&self.held) {
            return Some("nobody has heard of it for a whole lease");
        }
        // What is handed back settles its delivery, if that is there.
        let is_here = matches!(outcome, Outcome::HandBack) || self.is_still_ours().await;
        (!is_here).then_some("its delivery was lost, and it was not delivered here again")
    }

    /// Whether the task is this worker's, or will be once the broker is back: as long as that is away, what is
    /// asked of workers cannot be read either. When it is there and gives the task back to nobody here,
    /// somebody else has got it.
    async fn is_still_ours(&self) -> bool {
        let (held, stop) = (&self.held, &self.shared.stop);
        let control = &self.shared.control;
        let soon = async {
            loop {
                control.until_ready().await;
                // One that works without the stream has to ask.
                let is_there =
                    control.is_following() || self.shared.transport.server().await.is_ok();
                if held.is_ours_soon().await {
                    return true;
                }
                if is_there && control.is_ready() {
                    return false;
                }
            }
        };
        // A worker that drains gets nothing back.
        held.is_ours() || stop.draining().run_until_cancelled(soon).await == Some(true)
    }

    /// Runs again: soon here, later through the broker.
    async fn retry(&mut self, delay: Duration, retry: Retry) -> Next {
        tracing::warn!(task_id = %self.held.envelope.id, task_name = %self.held.envelope.name, error = retry.fault.message, ?delay, "task will be retried");
        let step = Step::Retried(&retry.fault, delay);
        self.shared.tell(&self.held, retry.executions, &step);
        self.tally = self.tally.after(retry.counted);
        let draining = self.shared.stop.draining().clone();
        let is_fresh = self.since.elapsed() < RETRIED_HERE_FOR;
        let stays = is_fresh && self.held.lease().is_none() && retry.arguments.is_none();
        if delay < SHORTEST && stays && !draining.is_cancelled() {
            let event = self.retry_event(&retry, delay);
            self.shared.reporter.between(self.live, &self.held, event);
            self.again = Some(retry);
            let waited = draining.run_until_cancelled(tokio::time::sleep(delay));
            if waited.await.is_some() {
                return Next::Again;
            }
            // This execution is over and told, so nothing is left behind.
            self.pass_on().await;
        } else {
            self.go_on_elsewhere(&retry, self.tally, delay.max(SHORTEST))
                .await;
        }
        Next::Over
    }

    /// Sends the copy that carries on with the task, and reports `retry` as its reason.
    async fn go_on_elsewhere(&self, retry: &Retry, tally: Tally, delay: Duration) {
        let Ok(payload) = &self.held.payload else {
            return self.release(Held::hand_back);
        };
        let due = (delay, Due::Then);
        let what = (payload, retry.arguments.as_deref());
        match send_copy(&self.shared, &self.held, what, tally, due).await {
            Sent::Confirmed => self.finish(self.retry_event(retry, delay)),
            Sent::Impossible(why) => {
                let text = format!("it could not be retried ({why}): {}", retry.fault.message);
                self.die(TaskFault::new(FaultKind::Exhausted, text)).await;
            }
            Sent::GivenUp => self.forget(),
        }
    }

    /// It came before its time: waits here when it is due soon, else at the broker.
    async fn wait_for_its_time(&mut self, wait: Duration) -> Next {
        if wait < SHORTEST {
            let draining = self.shared.stop.draining();
            if draining
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_some()
            {
                return Next::Again;
            }
            self.release(Held::hand_back);
            return Next::Over;
        }
        self.come_again(wait, Due::Then).await;
        Next::Over
    }

    /// The same attempt, through the broker.
    async fn come_again(&self, wait: Duration, due: Due) {
        let Ok(payload) = &self.held.payload else {
            return self.release(Held::hand_back);
        };
        let what = (payload, None);
        match send_copy(&self.shared, &self.held, what, self.tally, (wait, due)).await {
            // It has not been tried, so there is nothing to report but that this worker has it no more. Nor
            // is it finished: the copy is the same attempt, and must run even if it comes to this worker twice.
            Sent::Confirmed => {
                self.tell_put_off();
                let again_at = later(Utc::now(), wait);
                self.shared
                    .reporter
                    .put_off(self.live, &self.held, again_at);
                self.shared.guard.release(&self.held, Held::ack);
            }
            Sent::Impossible(why) => self.die(TaskFault::new(FaultKind::Undecodable, why)).await,
            Sent::GivenUp => self.forget(),
        }
    }

    /// To the dead queue, then FAILURE.
    pub(crate) async fn die(&self, fault: TaskFault) {
        let Some(mut content) = self.held.content() else {
            return self.forget();
        };
        self.tally.write_to(&mut content.headers, &self.held);
        let stop = self.until();
        match bury(&self.shared, &self.held.queue, content, &fault, stop).await {
            Sent::Confirmed => self.fail(TaskState::Failure, fault).await,
            Sent::Impossible(reason) => {
                tracing::error!(task_id = %self.held.envelope.id, %reason, "a dead letter cannot be sent; the broker keeps the message");
                self.release(Held::refuse);
            }
            Sent::GivenUp => self.forget(),
        }
    }

    /// Gives a task away that this worker has started, or would have.
    async fn hand_back(&self) {
        if self.ran_for.is_some() {
            let id = self.held.envelope.id.clone();
            self.shared.given_back().push(id);
        }
        self.pass_on().await;
    }

    /// Gives the task to whoever gets its message next. One that has been retried here goes on
    /// with the retries that it has behind it, which its message does not know.
    async fn pass_on(&self) {
        match &self.again {
            Some(retry) if self.may_send() => {
                self.go_on_elsewhere(retry, self.tally, SHORTEST).await;
            }
            None if self.must_send() && self.may_send() => {
                let tally = self.tally.after(false);
                let retry = self.given_back();
                self.go_on_elsewhere(&retry, tally, SHORTEST).await;
            }
            // Its message goes on with it: whoever gets that tells of the next attempt.
            None if self.ran_for.is_some() && self.held.is_ours() && !self.was_delivered() => {
                let event = self.retry_event(&self.given_back(), Duration::ZERO);
                self.shared.reporter.between(self.live, &self.held, event);
                self.release(Held::hand_back);
            }
            Some(_) | None => self.release(Held::hand_back),
        }
    }

    /// Why a task that was started is begun again, without any fault of its own.
    fn given_back(&self) -> Retry {
        Retry {
            counted: false,
            fault: TaskFault::new(FaultKind::WorkerLost, "its worker stopped"),
            executions: self.tally.executions,
            arguments: None,
        }
    }

    /// Whether its message would not do for the next execution, or is not there any more.
    fn must_send(&self) -> bool {
        self.held.has_new_checkpoint()
            || self.held.lease().is_some()
            || self.held.is_orphaned()
            || self.was_delivered() && self.ran_for.is_some()
    }

    /// Whether its message may come with the same count again, as not every queue counts: what this worker
    /// told of its end would outrank what the next one tells.
    fn was_delivered(&self) -> bool {
        self.held.lineage(self.tally.executions).deliveries > 0
    }

    /// Whether a copy may go on with it: it is this worker's, and there is time to send one.
    fn may_send(&self) -> bool {
        self.held.is_ours() && !self.until().is_cancelled()
    }

    /// How long this worker tries to send what goes on with the task.
    pub(crate) fn until(&self) -> &CancellationToken {
        self.held.worth_trying_until(&self.shared.stop)
    }

    /// Settles the deliveries without a last event. Who has lost the task takes nothing back: whoever has it by now
    /// may have told so with the same count, as not every queue counts.
    pub(crate) fn release(&self, settle: impl FnOnce(&Held)) {
        self.tell_put_off();
        match self.held.is_ours() {
            true => self.shared.reporter.put_off(self.live, &self.held, None),
            false => self.forget(),
        }
        self.shared.guard.release(&self.held, settle);
    }

    pub(crate) fn tell_put_off(&self) {
        let executions = self.tally.executions;
        self.shared.tell(&self.held, executions, &Step::PutOff);
    }

    /// What is not settled comes back by itself, or has: nothing more is told.
    pub(crate) fn forget(&self) {
        self.shared.reporter.abandon(self.live);
    }

    /// Sends what follows from its success, and then tells of that.
    async fn succeed(&self, output: Option<Box<RawValue>>, skipped: Option<String>) {
        match self.say(&Step::Succeeded(output.as_deref())).await {
            Said::All(after) => self.succeeded(output, skipped, after),
            Said::GivenUp => self.forget(),
            Said::Impossible(why) => {
                let why = format!("it succeeded, and what is to follow cannot be sent: {why}");
                self.die(TaskFault::new(FaultKind::Undecodable, why)).await;
            }
        }
    }

    fn succeeded(
        &self,
        output: Option<Box<RawValue>>,
        skipped: Option<String>,
        after: Option<Box<After>>,
    ) {
        let mut event = self.event(TaskState::Success);
        (event.result, event.after) = (output, after);
        event.skipped = skipped.map(Into::into);
        self.finish(event);
    }

    async fn fail(&self, state: TaskState, fault: TaskFault) {
        let step = if state == TaskState::Revoked {
            Step::Revoked(&fault)
        } else {
            Step::Failed(&fault)
        };
        let after = match self.say(&step).await {
            Said::All(after) => after,
            Said::GivenUp => return self.forget(),
            Said::Impossible(reason) => {
                let id = &self.held.envelope.id;
                tracing::error!(task_id = %id, reason, "nobody can be told that a task failed");
                None
            }
        };
        tracing::warn!(task_id = %self.held.envelope.id, task_name = %self.held.envelope.name, %state, error = fault.message, "task did not succeed");
        let mut event = self.event(state);
        (event.error, event.after) = (Some(fault), after);
        self.finish(event);
    }

    pub(crate) fn finish(&self, event: Event) {
        let held = Arc::clone(&self.held);
        self.shared.reporter.finish(self.live, held, event);
    }

    pub(crate) fn retry_event(&self, retry: &Retry, delay: Duration) -> Event {
        let kind = EventKind::State(TaskState::Retry);
        let (held, at) = (&self.held, Utc::now());
        let mut event = self.shared.reporter.event(held, retry.executions, kind, at);
        event.error = Some(retry.fault.clone());
        event.counted = Some(retry.counted);
        event.retry_at = later(at, delay);
        event.runtime_ms = self.runtime_ms();
        event
    }

    fn event(&self, state: TaskState) -> Event {
        let kind = EventKind::State(state);
        let executions = self.tally.executions;
        let reporter = &self.shared.reporter;
        let mut event = reporter.event(&self.held, executions, kind, Utc::now());
        event.runtime_ms = self.runtime_ms();
        event
    }

    fn runtime_ms(&self) -> Option<i64> {
        i64::try_from(self.ran_for?.as_millis()).ok()
    }
}
