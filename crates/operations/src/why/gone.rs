//! Tasks that a worker had which is gone: who goes on.

use super::explanation::Explanation;
use super::facts::{Facts, QueueState, WorkerFact};
use super::waiting::in_queue;
use crate::time::shown;

/// The worker that has the task, when there are signs that it has it no more: nothing was heard of it for too
/// long, or nobody consumes the queue, which it would do.
pub(super) fn lost(facts: &Facts) -> Option<&WorkerFact> {
    if facts.lag.is_unread() {
        // Whoever is silent may just not be heard.
        return None;
    }
    let is_missed = |worker: &WorkerFact| {
        let nobody = matches!(facts.queue.state, QueueState::There { consumers: 0, .. });
        nobody && worker.phase == "running" && facts.paused_by.is_none()
    };
    let worker = facts.worker.as_ref();
    worker.filter(|worker| !worker.is_alive || is_missed(worker))
}

/// What there is to say of a task that `worker` had, which is not heard of any more. `had` says what it did
/// with it.
pub(super) fn explain(facts: &Facts, worker: &WorkerFact, had: &str) -> Explanation {
    let since = shown(facts.now - worker.age);
    let gone = match worker.phase.as_str() {
        "stopped" => format!("which has stopped at {since}"),
        _ if worker.is_alive => {
            format!("of which the broker has no consumer any more; it was last heard of at {since}")
        }
        _ => format!("which is not heard of any more since {since}"),
    };
    let answer = format!("it {had} worker {}, {gone}", worker.id);
    let explanation = Explanation::new("worker_gone", answer);
    if let Some(until) = facts.task.lease_until {
        return explanation
            .detail(format!(
                "it was acknowledged early: the daemon sends it again soon after its lease ends, at {}",
                shown(until)
            ))
            .remedy("start a worker, if none is left");
    }
    let queue = &facts.queue.name;
    match facts.queue.state {
        QueueState::There { ready: 0, consumers: 0 } => explanation
            .detail(format!(
                "the broker gives its message back to queue {queue} as soon as it notices, at the latest after \
                 two heartbeats of the connection; the queue is empty now"
            ))
            .detail("should it stay so, its message is gone: `counterfoil audit` tells")
            .remedy("start a worker of the service"),
        QueueState::There { ready: 0, .. } => explanation
            .detail(format!(
                "queue {queue} is empty: another worker has its message already and has not told yet, or the \
                 broker has not noticed yet, and gives it to another then"
            )),
        QueueState::There { ready, consumers } => {
            let waits = in_queue(facts, ready, consumers);
            let answer = format!("the broker has its message again: {}", waits.answer);
            let mut explanation = explanation.detail(answer);
            explanation.details.extend(waits.details);
            explanation.remedies.extend(waits.remedies);
            explanation
        }
        QueueState::Missing => explanation
            .detail(format!("queue {queue} is gone, and its message with it"))
            .remedy(format!("counterfoil topology apply, then counterfoil task rerun --force {}", facts.task.id)),
        QueueState::Unknown { .. } => explanation
            .detail("the broker gives the message to another worker as soon as it notices"),
    }
}

#[cfg(test)]
#[path = "gone_tests.rs"]
mod tests;
