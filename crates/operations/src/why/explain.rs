//! From facts to plain words, and what to do: pure.

use super::explanation::{Explanation, UNKNOWN};
use super::facts::{Facts, Lag, QueueState};
use super::waiting::{tokens, waiting};
use super::{gone, over};
use crate::time::shown;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::TaskState;

/// Explains the task.
pub(super) fn explain(facts: &Facts) -> Explanation {
    let mut explanation = match facts.task.state {
        TaskState::Unroutable => unroutable(facts),
        TaskState::Pending => pending(facts),
        TaskState::Received => received(facts),
        TaskState::Started | TaskState::Progress => running(facts),
        TaskState::Retry => retry(facts),
        TaskState::Success => Explanation::new("over", "it succeeded"),
        TaskState::Rejected => Explanation::new("over", "its queue was full; the sender was told")
            .remedy("send it again when the queue has room: see `counterfoil queues`"),
        TaskState::Revoked => over::revoked(facts),
        TaskState::Failure => over::failed(facts),
    };
    if let Some((id, status)) = &facts.session {
        let text = format!("it is part of session {id}, which is {status}");
        explanation.details.push(text);
    }
    for reason in &facts.parked {
        explanation
            .details
            .push(format!("a report about it is parked: {reason}"));
    }
    if facts.lag.is_unread() && !facts.task.state.is_terminal() {
        let at = shown(facts.task.last_updated);
        explanation.answer = format!(
            "nobody reads what happens: start `counterfoil-sync`. What was known last, at {at}: {}",
            explanation.answer
        );
    } else if let Some(note) = facts.lag.note() {
        explanation.details.push(note);
    }
    explanation
}

/// For an id that nobody has heard of.
pub(super) fn unknown(id: &str, lag: &Lag) -> Explanation {
    let explanation = Explanation::new(UNKNOWN, format!("no task has the id {id:?}"))
        .detail("it was never sent, or its id is mistyped, or it was deleted, or the database was restored as it was before")
        .remedy("see `counterfoil task list`; a sender whose send failed has sent nothing")
        .remedy("what cannot be read is listed by `counterfoil parked list`");
    match lag.note() {
        Some(note) => explanation.detail(note),
        None => explanation.detail("the daemon has read all that was sent"),
    }
}

fn unroutable(facts: &Facts) -> Explanation {
    let queue = &facts.queue.name;
    let explanation = Explanation::new(
        "unroutable",
        format!("no service owns it: its key leads to queue {queue}"),
    );
    match facts.queue.state {
        QueueState::There { .. } => explanation
            .detail("the queue is there by now: the daemon sends the task on within seconds")
            .remedy("if it stays so, a binding is missing: `counterfoil topology apply` sets it"),
        QueueState::Missing | QueueState::Unknown { .. } => explanation
            .detail("it is sent again by itself as soon as that queue is there")
            .remedy("start a worker of the service, or name it in broker.services and run `counterfoil topology apply`")
            .remedy(format!("if its name is mistyped: counterfoil task cancel {}", facts.task.id)),
    }
}

fn pending(facts: &Facts) -> Explanation {
    let task = &facts.task;
    if task.held {
        let by = asked_by(facts, "hold");
        return Explanation::new(
            "held",
            format!("it is held back{by} and waits in the delay levels"),
        )
        .remedy(format!("counterfoil task resume {}", task.id));
    }
    if let Some(why) = &facts.refusal {
        let answer = format!("it is in the outbox, and can never be sent as it is: {why}");
        return Explanation::new("refused", answer)
            .remedy(format!(
                "mend what it is refused for, then counterfoil outbox retry {}",
                task.id
            ))
            .remedy(format!("counterfoil outbox discard {}", task.id));
    }
    // Before the time by which it is due: the copy of one that was put off may have one too.
    if let Some(at) = task.retry_at.filter(|at| *at > facts.now) {
        let wait = span(at - facts.now);
        let answer = format!(
            "a worker put it off: it comes again at {}, in {wait}",
            shown(at)
        );
        return Explanation::new("put_off", answer)
            .detail("it waits in the delay levels, for its turn by a limit of its type or for what people held back")
            .details_of(tokens(facts));
    }
    if let Some(eta) = task.eta.filter(|eta| *eta > facts.now) {
        let wait = span(eta - facts.now);
        return Explanation::new(
            "delayed",
            format!("it is not due before {}, in {wait}", shown(eta)),
        );
    }
    if facts.is_unsent {
        return Explanation::new(
            "outbox",
            "it is in the outbox of the database, and the daemon has not sent it yet",
        )
        .remedy("it is sent in its turn; if it stays so, `counterfoil doctor` tells what the outbox waits for");
    }
    waiting(facts)
}

fn received(facts: &Facts) -> Explanation {
    if let Some(worker) = gone::lost(facts) {
        return gone::explain(facts, worker, "waited for a free place on")
            .details_of(cancelled(facts));
    }
    let worker = worker_name(&facts.task);
    let explanation = Explanation::new(
        "received",
        format!("{worker} has it, and waits for a free place"),
    );
    with_worker(facts, explanation).remedy("more workers, or worker.concurrency, make places")
}

fn running(facts: &Facts) -> Explanation {
    let task = &facts.task;
    if let Some(worker) = gone::lost(facts) {
        return gone::explain(facts, worker, "ran on")
            .details_of(cancelled(facts))
            .details_of(progress(task))
            .details_of(attempt(task));
    }
    let worker = worker_name(task);
    // Every report moves the row's time, and where there was progress it was not the first.
    let when = match (task.state, task.progress_current) {
        (TaskState::Started, None) => "since",
        _ => "and last told of itself at",
    };
    let answer = format!("it runs on {worker} {when} {}", shown(task.last_updated));
    let explanation = Explanation::new("running", answer).details_of(progress(task));
    let is_asked = facts.asked.iter().any(|row| row.kind.starts_with("revoke"));
    let asked = is_asked.then(|| {
        format!(
            "its worker is asked to stop it{}",
            asked_by(facts, "revoke")
        )
    });
    with_worker(facts, explanation)
        .details_of(idle(facts))
        .details_of(asked)
        .details_of(attempt(task))
}

/// That its worker says by a later sign of life that it runs nothing.
fn idle(facts: &Facts) -> Option<String> {
    let worker = facts.worker.as_ref().filter(|worker| worker.running == 0)?;
    let told = facts.now - worker.age;
    (told > facts.task.last_updated + worker.interval).then(|| {
        format!(
            "by its last sign of life the worker runs nothing: the report of the task's end is on its way, or its \
             message goes back to queue {}",
            facts.queue.name
        )
    })
}

/// That somebody cancelled it, where its worker cannot hear that any more.
fn cancelled(facts: &Facts) -> Option<String> {
    let is_asked = facts.asked.iter().any(|row| row.kind.starts_with("revoke"));
    is_asked.then(|| {
        let by = asked_by(facts, "revoke");
        format!(
            "it was cancelled{by}: whichever worker gets its message does not start it, and ends it"
        )
    })
}

fn progress(task: &TaskRow) -> Option<String> {
    let current = task.progress_current?;
    let total = task
        .progress_total
        .map_or(String::new(), |total| format!(" of {total}"));
    let message = task.progress_message.as_deref().unwrap_or_default();
    Some(
        format!("progress: {current}{total} {message}")
            .trim_end()
            .to_owned(),
    )
}

/// What is known of the worker that has it.
fn with_worker(facts: &Facts, explanation: Explanation) -> Explanation {
    let explanation = match &facts.worker {
        Some(worker) => {
            let is_late = worker.age > worker.interval * 3 / 2 && !facts.lag.is_unread();
            let late = match is_late {
                true => format!(
                    ", and gives a sign every {}: it may be gone",
                    span(worker.interval)
                ),
                false => String::new(),
            };
            explanation.detail(format!(
                "the worker was heard of {} ago{late}",
                span(worker.age)
            ))
        }
        None => explanation.detail("no sign of life of that worker is known"),
    };
    match facts.task.lease_until {
        Some(until) => explanation.detail(format!(
            "acknowledged early; its lease holds until {}",
            shown(until)
        )),
        None => explanation,
    }
}

fn retry(facts: &Facts) -> Explanation {
    let task = &facts.task;
    if task.held {
        return pending(facts);
    }
    let error = task
        .error_message
        .as_deref()
        .unwrap_or("no reason is known");
    let most = option(task, "max_retries").map_or(String::new(), |most| format!(" of {most}"));
    let number = task.attempt().retries() + 1;
    let due = |at: DateTime<Utc>| at > facts.now;
    match task.retry_at {
        Some(at) if due(at) => Explanation::new(
            "retry",
            format!(
                "retry {number}{most} begins at {}, in {}",
                shown(at),
                span(at - facts.now)
            ),
        ),
        Some(_) | None => {
            let waits = waiting(facts);
            Explanation {
                answer: format!("retry {number}{most} is due: {}", waits.answer),
                ..waits
            }
        }
    }
    .detail(format!("the last error: {error}"))
}

/// How often it was sent again, and why.
pub(super) fn attempt(task: &TaskRow) -> Option<String> {
    let rescues =
        (task.rescue > 0).then(|| format!("the platform has sent it again {} times", task.rescue));
    let why = task
        .error_message
        .as_deref()
        .filter(|_| task.state == TaskState::Pending);
    rescues.map(|text| match why {
        Some(why) => format!("{text}: {why}"),
        None => text,
    })
}

/// By whom and since when something of this kind is asked, if it is.
pub(super) fn asked_by(facts: &Facts, kind: &str) -> String {
    let row = facts.asked.iter().find(|row| row.kind.starts_with(kind));
    row.map_or(String::new(), |row| {
        let by = row.created_by.as_deref().unwrap_or("somebody");
        format!(" by {by} since {}", shown(row.created_date))
    })
}

fn option(task: &TaskRow, name: &str) -> Option<i64> {
    task.options.as_ref()?.to_value().get(name)?.as_i64()
}

fn worker_name(task: &TaskRow) -> String {
    task.worker
        .as_deref()
        .map_or("a worker".to_owned(), |id| format!("worker {id}"))
}

/// A span of time in the two largest units.
pub(super) fn span(time: TimeDelta) -> String {
    let seconds = u64::try_from(time.num_seconds()).unwrap_or(0);
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}
