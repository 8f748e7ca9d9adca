//! Whether tasks whose concurrency is limited over all workers have their tokens.

use super::super::workers::is_alive;
use crate::open;
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::doctor::{Check, broker_fault};
use counterfoil_toolbox::tokens::LimitReport;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::collections::BTreeMap;

/// Looks for the tokens of every limit that workers keep. What broker and database say of themselves
/// is told elsewhere: here, one that does not answer has nothing to tell.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    let (Ok(names), Ok(transport)) = (config.broker.names(), AmqpTransport::new(&config.broker))
    else {
        return Vec::new();
    };
    let limits = limits(config).await.unwrap_or_default();
    if limits.is_empty() {
        return Vec::new();
    }
    let looked = looked_at(&*transport, &names, limits).await;
    transport.close().await;
    looked.unwrap_or_else(|error| vec![broker_fault(&error)])
}

/// The limits that workers keep which are alive.
async fn limits(config: &Config) -> Option<BTreeMap<TaskName, u32>> {
    let store = open::database(config).await.ok()?;
    let (now, workers) = (store.clock().await, store.workers().await);
    store.close().await;
    let (now, workers) = (now.ok()?, workers.ok()?);
    let alive = workers.iter().filter(|worker| is_alive(worker, now));
    Some(alive.flat_map(limits_of).collect())
}

fn limits_of(worker: &WorkerRow) -> BTreeMap<TaskName, u32> {
    let reports = serde_json::from_str::<BTreeMap<TaskName, LimitReport>>(worker.limits.get());
    // Written by the daemon; by anybody else, it is no limit.
    let reports = reports.unwrap_or_default().into_iter();
    reports.map(|(task, report)| (task, report.limit)).collect()
}

async fn looked_at(
    transport: &dyn Transport,
    names: &Names,
    limits: BTreeMap<TaskName, u32>,
) -> Result<Vec<Check>, TransportError> {
    let mut checks = Vec::new();
    for (task, limit) in limits {
        let Ok(queue) = names.token_queue(&task) else {
            continue;
        };
        checks.push(match transport.depth(&queue).await? {
            Some(depth) => {
                let free = depth.ready;
                let what = format!("{free} of {limit} tokens of {task} are free");
                Check::ok("tokens", what)
            }
            None => Check::warn(
                "tokens",
                format!("there is no queue {queue}, so no task {task} is run"),
                "start counterfoil-sync, and let its broker user configure, write and read platform.tokens.*",
            ),
        });
    }
    Ok(checks)
}
