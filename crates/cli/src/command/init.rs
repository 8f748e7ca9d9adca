//! `init`: a database and a broker that are ready for tasks.

use super::topology::{Wanted, apply_wanted, mismatch, print, wanted};
use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::topology::{Finding, Item, ItemState, plan};
use counterfoil_toolbox::transport::Transport;
use serde::Serialize;
use std::time::Duration;

/// A quorum queue younger than about one second can lose confirmed messages when its node dies.
pub(crate) const QUEUE_AGE: Duration = Duration::from_millis(1500);

#[derive(Debug, Serialize)]
struct Done {
    database: String,
    migrations_applied: usize,
    exchanges_and_queues: usize,
    queues_created: usize,
}

/// What applying a topology came to.
pub(crate) struct Applied {
    /// Exchanges and queues.
    pub(crate) declared: usize,
    pub(crate) queues_created: usize,
    /// Exchanges and queues that are missing or differ.
    pub(crate) wrong: Vec<Finding>,
}

pub(crate) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BOTH)?;
    let store = open::create_database(&config).await?;
    let migrations_applied = store.migrate().await?;
    store.prepare_months().await?;
    if let Some(encoding) = config.sync.celery_results {
        // Whoever runs this may make tables, which the daemon's user should not.
        store.keep_celery_results(encoding).await?;
    }
    let transport = open::broker(&config.broker).await?;
    let applied = apply_topology(&*transport, wanted(&config.broker)?).await?;
    if !applied.wrong.is_empty() {
        print(&applied.wrong, output)?;
        return Err(mismatch(applied.wrong.len()));
    }
    if applied.queues_created > 0 {
        tokio::time::sleep(QUEUE_AGE).await;
    }
    let done = Done {
        database: store.server().to_owned(),
        migrations_applied,
        exchanges_and_queues: applied.declared,
        queues_created: applied.queues_created,
    };
    transport.close().await;
    store.close().await;
    if output.is_json() {
        return output.document(&done);
    }
    output.line(format_args!(
        "database {}: {migrations_applied} migrations applied",
        done.database
    ))?;
    output.line(format_args!(
        "broker {}: {} exchanges and queues as declared, {} queues new",
        open::addresses(&config.broker),
        done.exchanges_and_queues,
        done.queues_created
    ))
}

/// Applies a topology, and counts the queues that were not there before.
pub(crate) async fn apply_topology(
    transport: &dyn Transport,
    wanted: Wanted,
) -> Result<Applied, Failure> {
    let is_queue = |item: &&Item| matches!(item, Item::Queue(_));
    let queues: Vec<Item> = wanted.ours.iter().filter(is_queue).cloned().collect();
    let before = plan(transport, queues).await?;
    let mut findings = apply_wanted(transport, wanted).await?;
    findings.retain(|finding| !matches!(finding.item, Item::Binding(_)));
    let missing = |finding: &&Finding| finding.state == ItemState::Missing;
    Ok(Applied {
        declared: findings.len(),
        queues_created: before.iter().filter(missing).count(),
        wrong: findings
            .into_iter()
            .filter(|f| matches!(f.state, ItemState::Missing | ItemState::Differs { .. }))
            .collect(),
    })
}
