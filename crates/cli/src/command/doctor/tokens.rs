//! Whether tasks whose concurrency is limited over all workers have their tokens.

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_operations::workers::is_alive;
use counterfoil_store::Store;
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::doctor::{Check, broker_fault};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::tokens::LimitReport;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::collections::BTreeMap;

/// So long a worker may run before the tokens of its limits are there: its first sign of life, a look of the
/// daemon, and a moment in which the new queue becomes safe.
const MADE_WITHIN: TimeDelta = TimeDelta::seconds(15);

/// A limit that workers keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    most: u32,
    /// Whether all of them began only now.
    is_new: bool,
}

/// Looks for the tokens of every limit that workers keep. What broker and database say of themselves
/// is told elsewhere: here, one that does not answer has nothing to tell.
pub(super) async fn look(
    store: &dyn Store,
    transport: &dyn Transport,
    names: &Names,
) -> Vec<Check> {
    let limits = limits(store).await.unwrap_or_default();
    let looked = looked_at(transport, names, limits).await;
    looked.unwrap_or_else(|error| vec![broker_fault(&error)])
}

/// The limits that workers keep which are alive.
async fn limits(store: &dyn Store) -> Option<BTreeMap<TaskName, Limit>> {
    let (now, workers) = (store.clock().await.ok()?, store.workers().await.ok()?);
    let mut limits = BTreeMap::new();
    for worker in workers.iter().filter(|worker| is_alive(worker, now)) {
        for (task, limit) in limits_of(worker, now) {
            let known = limits.entry(task).or_insert(limit);
            known.is_new &= limit.is_new;
        }
    }
    Some(limits)
}

fn limits_of(worker: &WorkerRow, now: DateTime<Utc>) -> BTreeMap<TaskName, Limit> {
    let reports = serde_json::from_str::<BTreeMap<TaskName, LimitReport>>(worker.limits.get());
    // Written by the daemon; by anybody else, it is no limit.
    let reports = reports.unwrap_or_default().into_iter();
    let began = worker.started_at.is_some_and(|at| now - at < MADE_WITHIN);
    let limit = |report: LimitReport| Limit {
        most: report.limit,
        // Whoever had some has seen their queue.
        is_new: began && report.tokens.is_empty(),
    };
    reports
        .map(|(task, report)| (task, limit(report)))
        .collect()
}

async fn looked_at(
    transport: &dyn Transport,
    names: &Names,
    limits: BTreeMap<TaskName, Limit>,
) -> Result<Vec<Check>, TransportError> {
    let mut checks = Vec::new();
    for (task, limit) in limits {
        let Ok(queue) = names.token_queue(&task) else {
            continue;
        };
        let free = transport.depth(&queue).await?.map(|depth| depth.ready);
        checks.push(check(&task, &queue, limit, free));
    }
    Ok(checks)
}

/// What there is to say when so many tokens are in the queue; `None`: there is no queue.
fn check(task: &TaskName, queue: &QueueName, limit: Limit, free: Option<u32>) -> Check {
    let Limit { most, is_new } = limit;
    match free {
        Some(free) => Check::ok(
            "tokens",
            format!("{free} of {most} tokens of {task} are free"),
        ),
        None if is_new => Check::ok(
            "tokens",
            format!(
                "those of {task} are made within {} s of the start of its first worker",
                MADE_WITHIN.num_seconds()
            ),
        ),
        None => Check::warn(
            "tokens",
            format!("there is no queue {queue}, so no task {task} is run"),
            "start counterfoil-sync, and let its broker user configure, write and read platform.tokens.*",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::doctor::Outcome;

    #[test]
    fn tokens_that_are_still_to_be_made_are_missed_only_after_a_while() {
        let told = |is_new, free| {
            let task = TaskName::new("demo.limited").expect("a name");
            let queue = QueueName::new("platform.tokens.demo.limited").expect("a name");
            check(&task, &queue, Limit { most: 3, is_new }, free).outcome
        };
        assert_eq!(told(true, None), Outcome::Ok);
        assert_eq!(told(false, None), Outcome::Warn);
        assert_eq!(told(false, Some(0)), Outcome::Ok);
    }
}
