//! Running one handler once, under its limits.

use crate::context::Context;
use crate::ended::Ended;
use crate::extension::Step;
use crate::handler::{Returned, Running, Slot};
use crate::held::Held;
use crate::hung::see_off;
use crate::outcome::Revocation;
use crate::panic;
use crate::registry::Registered;
use crate::report::Live;
use crate::shared::{RunFor, Shared};
use crate::task_log::span_of;
use crate::tokens::Token;
use crate::watchdog::Watched;
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::LogLine;
use counterfoil_toolbox::message::{Envelope, Payload};
use counterfoil_toolbox::telemetry::trace::{Part, failed, join};
use futures::FutureExt;
use futures::future::CatchUnwind;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// How long a handler that has lost its token may take to leave.
const LEAVE: Duration = Duration::from_secs(1);

/// How late a handler may end after its time limit without a word: timers are late by some of it.
const LATE: Duration = Duration::from_millis(10);

/// How exactly it is known how long a handler was on its thread.
const TICK: Duration = Duration::from_millis(1);

/// A task that is about to be run.
pub(crate) struct Start<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) held: &'a Arc<Held>,
    pub(crate) live: Live,
    /// Retries behind this execution.
    pub(crate) executions: i32,
    pub(crate) task: &'a Registered,
    pub(crate) payload: &'a Payload,
    pub(crate) slot: Slot,
}

/// Runs the handler: how it ended, and how long it took if it was started at all.
pub(crate) async fn run(start: Start<'_>) -> (Ended, Option<Duration>) {
    let Start {
        shared,
        held,
        live,
        executions,
        task,
        payload,
        slot,
    } = start;
    let cancelled = shared.stop.leaving().child_token();
    let soft = cancelled.child_token();
    let limits = shared.limits.time_of(held, task);
    let limit = limits.soft.or(limits.hard);
    let slot = Arc::new(slot);
    let context = Context::new(
        shared.clone(),
        held.clone(),
        live,
        executions,
        cancelled.clone(),
        soft.clone(),
        limit.map(|limit| Instant::now() + limit),
    )
    .in_slot(&slot);
    let span = span(held, &context);
    let lost = slot.token.as_ref().map(Token::lost);
    if lost.as_ref().is_some_and(CancellationToken::is_cancelled) {
        // Others may run by it by now: one handler more must not even begin.
        return (Ended::Dispossessed, None);
    }
    // Reading arguments runs code of the task's type, which may panic too.
    let handler = |context| task.handler.start(payload, context, Some(slot));
    let started = panic::catch(|| span.in_scope(|| shared.layers.start(context, handler)));
    let running = match started {
        Ok(Ok(running)) => running,
        Ok(Err(bad_arguments)) => return (Ended::BadArguments(bad_arguments.to_string()), None),
        Err(note) => return (Ended::Panicked(note), None),
    };
    let (began, _counted) = (Instant::now(), shared.counts.begin());
    let (now, _running) = (Utc::now(), shared.metrics.run());
    task.metrics.started(held, executions, now);
    task.begins();
    held.course.begins(now);
    // What was taken over was told before.
    if held.lease().is_none() {
        let (state, reporter) = (TaskState::Started, &shared.reporter);
        reporter.entered(live, executions, state, now);
    }
    shared.tell(held, executions, &Step::Started);
    let mut running = AssertUnwindSafe(running).catch_unwind();
    let watched = Watched {
        handler: &mut running,
        on_thread: &held.on_thread,
        began: shared.began,
    };
    let called_off = shared.control.call_off(held, &cancelled);
    let watching = watch(
        watched,
        limits,
        &cancelled,
        &soft,
        shared.stop.killed(),
        called_off,
    );
    let ended = match lost {
        None => watching.instrument(span.clone()).await,
        Some(lost) => {
            let watching = watching.instrument(span.clone());
            match lost.run_until_cancelled(watching).await {
                Some(ended) => ended,
                None => {
                    let leaving = leave(&mut running, &cancelled);
                    leaving.instrument(span.clone()).await
                }
            }
        }
    };
    let took = began.elapsed();
    held.course.ends();
    task.metrics.ran_for(took);
    if let Some(how) = ended.failed_how() {
        failed(&span, how);
    }
    if let Some(limit) = limits
        .hard
        .filter(|limit| took > *limit + LATE && ended.is_by_handler())
    {
        let blocked = held.on_thread.last_poll() + TICK >= took - limit;
        tell_overrun((shared, held, live, executions), (limit, took), blocked);
    }
    let is_left_alone = matches!(
        ended,
        Ended::TimedOut(_) | Ended::Revoked(_) | Ended::Dispossessed
    );
    if is_left_alone && task.handler.is_blocking() {
        let seeing_off = see_off(shared.clone(), held.clone(), running);
        shared.executions.spawn(seeing_off);
    } else {
        let_go(running);
    }
    (ended, Some(took))
}

/// The span of an execution, in the trace that its message came with.
fn span(held: &Held, context: &Context) -> Span {
    let span = span_of(context, || {
        tracing::info_span!(
            "task.run",
            task_id = %held.envelope.id,
            task_name = %held.envelope.name,
            queue = %held.queue,
            attempt = context.attempt(),
            otel.kind = tracing::field::Empty,
        )
    });
    join(&span, Part::Runs, || context.trace());
    span
}

/// Says that a handler came to its end after its time limit, and that this stands: what it did is done.
fn tell_overrun(
    (shared, held, live, executions): (&Shared, &Held, Live, i32),
    (limit, took): (Duration, Duration),
    blocked: bool,
) {
    let Envelope { id, name, .. } = &held.envelope;
    let why = match blocked {
        true => {
            "it blocked its thread, where nothing can end it: let cx.spawn_blocking do what blocks"
        }
        false => "others blocked its thread: the log names them",
    };
    let message =
        format!("it ended {took:.1?} after its start, past its time limit of {limit:?}: {why}");
    let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // Outside of the task's span: its own log gets the line that follows.
    tracing::warn!(task_id = %id, task_name = %name, elapsed_ms, reason = message, "a handler ended after its time limit; its outcome stands");
    let line = LogLine {
        level: "warn".into(),
        message,
        fields: serde_json::Map::new(),
    };
    shared.reporter.log(live, executions, line);
}

/// Drops a handler. What it leaves behind may panic then; its outcome stands.
fn let_go<T>(running: T) {
    if let Err(note) = panic::catch(|| drop(running)) {
        let error = note.message;
        tracing::warn!(error, "a handler panicked while it was dropped");
    }
}

/// Waits for the handler, its time limit, or the end of the worker.
async fn watch(
    running: Watched<'_, &mut CatchUnwind<AssertUnwindSafe<Running>>>,
    limits: RunFor,
    cancelled: &CancellationToken,
    soft: &CancellationToken,
    killed: &CancellationToken,
    called_off: impl Future<Output = Revocation>,
) -> Ended {
    let mut running = running;
    let mut called_off = pin!(called_off);
    let began = Instant::now();
    let mut soft_at = limits.soft.map(|soft| began + soft);
    let hard_at = limits.hard.map(|hard| (began + hard, hard));
    loop {
        let next = soft_at.or(hard_at.map(|(at, _)| at));
        tokio::select! {
            biased;
            returned = &mut running => return match returned {
                Ok(returned) => ended(returned),
                Err(payload) => Ended::Panicked(panic::note_of(payload)),
            },
            () = sleep_until(next.unwrap_or(began)), if next.is_some() => {
                match (soft_at.take(), hard_at) {
                    (Some(_), _) => soft.cancel(),
                    (None, Some((_, limit))) => {
                        cancelled.cancel();
                        return Ended::TimedOut(limit);
                    }
                    (None, None) => {}
                }
            }
            () = killed.cancelled() => return Ended::Stopped,
            by = &mut called_off => return Ended::Revoked(by),
        }
    }
}

/// Lets a handler leave that has lost its token. One that is done by then is done.
async fn leave(
    running: &mut CatchUnwind<AssertUnwindSafe<Running>>,
    cancelled: &CancellationToken,
) -> Ended {
    cancelled.cancel();
    match tokio::time::timeout(LEAVE, running).await {
        Ok(Ok(Returned::Output(output))) => Ended::Output(output),
        // Whatever else it came back with may be because of that.
        Ok(_) | Err(_) => Ended::Dispossessed,
    }
}

fn ended(returned: Returned) -> Ended {
    match returned {
        Returned::Output(output) => Ended::Output(output),
        Returned::Error(error) => Ended::Error(error),
        Returned::Unwritable(why) => Ended::Unwritable(why),
        Returned::Panicked(note) => Ended::Panicked(note),
        Returned::Abandoned => Ended::Stopped,
    }
}
