//! A task that waits for a worker of its queue.

use super::explain::{attempt, span};
use super::explanation::Explanation;
use super::facts::{Facts, QueueState};
use crate::time::shown;
use chrono::{DateTime, TimeDelta, Utc};

/// It waits for a worker of its queue.
pub(super) fn waiting(facts: &Facts) -> Explanation {
    let Facts { task, queue, .. } = facts;
    let place = |answer: String| Explanation::new("waiting", answer);
    if let Some(by) = &facts.paused_by {
        return Explanation::new("paused", format!("its service is paused by {by}"))
            .remedy(format!("counterfoil resume {}", service_of(&queue.name)));
    }
    match &queue.state {
        QueueState::Unknown { .. } => place(format!("it waits in queue {}", queue.name)),
        QueueState::Missing => Explanation::new("lost", format!("queue {} is gone", queue.name))
            .detail(sent_again(facts))
            .remedy("counterfoil topology apply"),
        QueueState::There { ready, consumers } => in_queue(facts, *ready, *consumers),
    }
    .details_of(attempt(task))
}

/// Its queue is there.
pub(super) fn in_queue(facts: &Facts, ready: u32, consumers: u32) -> Explanation {
    let queue = &facts.queue.name;
    if ready == 0 && consumers == 0 {
        return Explanation::new(
            "lost",
            format!("its message is not in queue {queue}, which is empty and has no consumer"),
        )
        .detail(sent_again(facts))
        .remedy("start a worker of the service");
    }
    if ready == 0 {
        return Explanation::new(
            "waiting",
            format!("queue {queue} is empty, so a worker has its message, or the delay levels do"),
        )
        .details_of(tokens(facts))
        .detail("a type with limits (rate, concurrency) waits in the delay levels, unreported")
        .detail(sent_again(facts));
    }
    let answer = match facts.due > ready as usize {
        // Which of them have a message is not known; what waits in a worker's hands is told of soon.
        true => format!(
            "it waits in queue {queue}, or its message is gone: there are {ready} messages, and more tasks that wait"
        ),
        false => format!("it waits in queue {queue}, one of {ready} messages"),
    };
    let audit = "counterfoil audit names those whose messages are gone";
    let audit = (facts.due > ready as usize).then(|| audit.to_owned());
    if consumers == 0 {
        let idle = facts.consumed_by.iter().find(|it| it.phase != "running");
        return Explanation::new("waiting", format!("{answer}, and nobody consumes that"))
            .details_of(
                idle.map(|it| format!("worker {} is {}: it takes nothing", it.id, it.phase)),
            )
            .remedy("start a worker of the service: see `counterfoil workers`")
            .remedies_of(audit);
    }
    let ready_workers = facts.consumed_by.iter().filter(|it| it.phase == "running");
    let (count, running) = ready_workers.fold((0, 0), |(n, sum), it| (n + 1, sum + it.running));
    let explanation = Explanation::new("waiting", answer);
    let explanation = match (count, facts.consumed_by.len()) {
        (0, 0) => explanation.detail(format!(
            "{consumers} consumers, of which no sign of life is heard: not workers of counterfoil"
        )),
        (0, _) => explanation
            .detail("its workers are quiet or draining: they take nothing")
            .remedy("start another worker"),
        (count, _) => explanation.detail(format!(
            "{count} workers consume it, and run {running} tasks now"
        )),
    };
    let explanation = match facts.consumed_by.iter().any(|it| it.knows == Some(true)) {
        false if facts.consumed_by.iter().any(|it| it.knows == Some(false)) => explanation.detail(
            format!("none of them knows {}: the task will fail", facts.task.name),
        ),
        _ => explanation,
    };
    explanation.details_of(tokens(facts)).remedies_of(audit)
}

/// By which tokens it is run, if its type is limited over all workers.
pub(super) fn tokens(facts: &Facts) -> Option<String> {
    let tokens = facts.tokens.as_ref()?;
    let holders = match tokens.held_by.is_empty() {
        true => "nobody".to_owned(),
        false => tokens.held_by.join(", "),
    };
    Some(format!(
        "at most {} of {} run at once over all workers; tokens were lately held by {holders}",
        tokens.limit, facts.task.name
    ))
}

/// When a missing message is sent again.
fn sent_again(facts: &Facts) -> String {
    let after = TimeDelta::from_std(facts.lost_after).unwrap_or(TimeDelta::MAX);
    let heard = facts
        .task
        .last_updated
        .max(facts.task.retry_at.unwrap_or(DateTime::<Utc>::MIN_UTC));
    match heard.checked_add_signed(after) {
        Some(at) if at > facts.now => format!(
            "if its message is gone, the daemon sends it again not before {}",
            shown(at)
        ),
        _ => format!(
            "if its message is gone, the daemon sends it again once its queues have been seen empty, consumed by nobody else and with nothing unreported for {}, and no worker of them fell silent within three minutes before",
            span(after)
        ),
    }
}

fn service_of(queue: &str) -> &str {
    queue.split('~').next().unwrap_or(queue)
}
