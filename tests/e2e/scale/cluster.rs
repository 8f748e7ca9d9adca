//! A cluster of three brokers, of which one is lost: the one that clients are connected to, and on which all queues
//! have their leaders.

use crate::own_nodes::{
    PATIENCE, assert_nothing_is_set_aside, send_all, successes, wait_for_successes,
};
use crate::platform::{Platform, Process, wait_for_count};
use anyhow::Context as _;
use counterfoil_testkit::{Database, PostgresNode, RabbitCluster, RabbitOptions, patience};
use counterfoil_toolbox::TaskState;
use std::time::{Duration, Instant};

const TASKS: usize = 2_000;

/// Longest that the next 100 tasks may take after a node was lost.
const PAUSE: Duration = Duration::from_secs(15);

#[tokio::test]
#[ignore = "three brokers, some minutes: tests/scale/cluster"]
async fn a_cluster_that_loses_the_node_of_all_leaders_loses_none_of_2000_tasks()
-> anyhow::Result<()> {
    let mut cluster = RabbitCluster::start(RabbitOptions::default()).await?;
    let postgres = PostgresNode::start().await?;
    let database = Database::of(&postgres).await?;
    let mut platform = Platform::init(&cluster.amqp_urls("/", 0), database.url())?;
    let elsewhere = cluster.amqp_urls("/", 1);
    let mut processes = [
        platform.daemon()?,
        platform.worker()?,
        platform.worker_with(&[("COUNTERFOIL_BROKER__URL", &elsewhere)])?,
    ];
    let store = platform.store().await?;
    // Before anything is sent: asking takes as long as all tasks may.
    for queue in ["demo", "platform.fifo", "platform.events"] {
        assert_eq!(cluster.leader_of(queue, 1).await?, 0, "{queue}");
    }
    let sending = tokio::spawn(send_all(platform.producer()?, TASKS));
    wait_for_successes(&*store, 300).await?;
    cluster.node_mut(0).kill9().await?;
    let killed_at = Instant::now();
    let before = successes(&*store).await?;
    let most = i64::try_from(TASKS)? - 500;
    anyhow::ensure!(before < most, "{before} were over when the node was killed");
    // More than can have been on their way through the daemon.
    wait_for_successes(&*store, before + 100)
        .await
        .with_context(|| logs(&processes))?;
    let pause = killed_at.elapsed();
    eprintln!("{pause:?} after the node was killed 100 more were over");
    // What follows happens on two nodes, to programs that were begun then too.
    let mut late = [platform.worker()?, platform.daemon()?];
    wait_for_successes(&*store, before + 500)
        .await
        .with_context(|| logs(processes.iter().chain(&late)))?;
    assert_ne!(cluster.leader_of("demo", 1).await?, 0);
    cluster.node_mut(0).restart().await?;
    cluster.wait_for_all().await?;

    sending.await??;
    let all = i64::try_from(TASKS)?;
    let ended = wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
    let mut all_of_them = processes.iter_mut().chain(&mut late);
    all_of_them.try_for_each(Process::assert_running)?;
    ended.with_context(|| logs(processes.iter().chain(&late)))?;
    assert_nothing_is_set_aside(&*store).await?;
    let audit = platform.cli(&["audit"])?;
    let said = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success(), "{said}");
    let starts = platform.starts()?;
    assert_eq!(starts.len(), TASKS, "each began");
    assert!(pause < patience(PAUSE), "100 tasks took {pause:?}");
    Ok(())
}

/// What the programs said last.
fn logs<'a>(processes: impl IntoIterator<Item = &'a Process>) -> String {
    let tails = processes.into_iter().map(Process::log_tail);
    tails.collect::<Vec<_>>().join("\n\n")
}
