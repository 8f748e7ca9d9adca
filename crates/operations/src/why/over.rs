//! Tasks that ended without success: of what, and how they run again.

use super::explain::{asked_by, attempt};
use super::explanation::Explanation;
use super::facts::{DeadFact, Facts};
use counterfoil_store::record::TaskRow;

pub(super) fn revoked(facts: &Facts) -> Explanation {
    let why = facts.task.error_message.as_deref();
    let why = why.map_or_else(
        || format!("it was cancelled{}", asked_by(facts, "revoke")),
        str::to_owned,
    );
    Explanation::new("revoked", why).remedy(format!("counterfoil task rerun {}", facts.task.id))
}

pub(super) fn failed(facts: &Facts) -> Explanation {
    let Facts { task, .. } = facts;
    let kind = task.error_kind.as_deref().unwrap_or("failure");
    let why = task
        .error_message
        .as_deref()
        .unwrap_or("no reason is known");
    let explanation =
        Explanation::new("failed", format!("it failed ({kind}): {why}")).details_of(attempt(task));
    match &facts.dead {
        Some(dead) => in_dead_queue(dead, task, explanation),
        None => explanation.remedy(format!("counterfoil task rerun {}", task.id)),
    }
}

fn in_dead_queue(dead: &DeadFact, task: &TaskRow, explanation: Explanation) -> Explanation {
    let DeadFact {
        service,
        reason,
        ready,
    } = dead;
    let explanation = Explanation {
        place: "dead",
        ..explanation
    };
    match ready {
        Some(0) => explanation
            .detail(format!(
                "its message was in the dead queue of {service} ({reason}), which is empty: somebody took it"
            ))
            .remedy(format!("counterfoil task rerun {} runs it", task.id))
            .remedy(format!(
                "counterfoil dead discard {service} --id {} strikes it out",
                task.id
            )),
        Some(_) | None => explanation
            .detail(format!(
                "its message is in the dead queue of {service} ({reason})"
            ))
            .remedy(format!(
                "{}: counterfoil dead redrive {service} --id {}",
                before_redrive(reason),
                task.id
            )),
    }
}

/// What has to be done first, or it dies of the same once more.
fn before_redrive(reason: &str) -> &'static str {
    match reason {
        "unknown_task" | "bad_arguments" => "once a worker that can take it is deployed",
        _ => "once what it died of is mended",
    }
}
