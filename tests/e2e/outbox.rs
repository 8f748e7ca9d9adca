//! Tasks that applications send in transactions of their own, while whatever can goes away.

use crate::audit::assert_balanced;
use crate::platform::{PATIENCE, Platform, Process, all_rows, wait_for_count};
use anyhow::Context as _;
use counterfoil_store::Store;
use counterfoil_store::record::EventRow;
use counterfoil_testkit::{Application, Broker, Database, eventually};
use counterfoil_toolbox::failpoint::Point;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{TaskId, TaskState};
use std::collections::BTreeSet;
use std::sync::Arc;

fn task() -> anyhow::Result<RawTask> {
    Ok(RawTask {
        name: TaskName::new("demo.add")?,
        args: "[1, 2]".to_owned(),
        kwargs: "{}".to_owned(),
    })
}

/// Sends one task in a transaction of its own.
async fn send(store: &dyn Store, application: &Application) -> anyhow::Result<TaskId> {
    let mut transaction = application.begin().await?;
    let sent = store.send_raw_in(transaction.connection(), task()?, SendOptions::new());
    let id = sent.await?;
    transaction.commit().await?;
    Ok(id)
}

/// Sends tasks until the process has ended at `point`, which its log says.
async fn send_until_it_ends(
    store: &dyn Store,
    application: &Application,
    process: &mut Process,
    point: Point,
) -> anyhow::Result<BTreeSet<String>> {
    let mut sent = BTreeSet::new();
    let what = format!("the end at {}", point.as_str());
    eventually(&what, PATIENCE, async || {
        sent.insert(send(store, application).await?.to_string());
        Ok(process.has_ended()?.then_some(()))
    })
    .await?;
    let log = process.log_tail();
    let told = format!("Abort at {}", point.as_str());
    anyhow::ensure!(log.contains(&told), "{log}");
    Ok(sent)
}

/// Each is recorded once, however often it was executed: once, or twice where its message was.
async fn assert_recorded_once(
    store: &dyn Store,
    platform: &Platform,
    sent: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let starts = platform.starts()?;
    let started: BTreeSet<_> = starts.keys().cloned().collect();
    anyhow::ensure!(started == *sent, "others were executed than sent");
    for row in all_rows(store).await? {
        let history = store.history(&row.task_id).await?;
        let scheduled = |line: &&EventRow| line.kind == TaskState::Pending;
        anyhow::ensure!(
            history.iter().filter(scheduled).count() == 1,
            "{history:#?}"
        );
        let result = store.result(&row.task_id, 0).await?.context("a result")?;
        anyhow::ensure!(result.status == TaskState::Success, "{result:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_relay_that_ends_at_any_point_loses_nothing_and_records_each_once() -> anyhow::Result<()>
{
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let (store, application) = (
        platform.store().await?,
        Application::connect(database.url()).await?,
    );
    let mut worker = platform.worker()?;
    let mut sent = BTreeSet::new();
    for point in [
        Point::PublishWritten,
        Point::ConfirmSeen,
        Point::RelayMarked,
    ] {
        for hit in [1, 3] {
            let armed = format!("{}:abort@{hit}", point.as_str());
            let mut daemon = platform.daemon_with(&[("COUNTERFOIL_FAILPOINT", &armed)])?;
            let more = send_until_it_ends(&*store, &application, &mut daemon, point).await?;
            sent.extend(more);
            let _daemon = platform.daemon()?;
            let all = i64::try_from(sent.len())?;
            let ended = wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
            ended.with_context(|| armed)?;
        }
    }
    worker.assert_running()?;
    assert_recorded_once(&*store, &platform, &sent).await?;
    let _daemon = platform.daemon()?;
    assert_balanced(&platform).await
}

mod own_nodes {
    use super::*;
    use counterfoil_testkit::RabbitNode;

    const TASKS: usize = 1_000;
    const APPLICATIONS: usize = 4;

    /// Sends tasks, of which it takes some back; ids of the others.
    async fn send_some(
        store: Arc<dyn Store>,
        application: Application,
        mut seed: u64,
    ) -> anyhow::Result<Vec<String>> {
        let mut committed = Vec::new();
        let mut left = TASKS / APPLICATIONS;
        while left > 0 {
            // The generator of Knuth's MMIX.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let chance = seed >> 33;
            let many = usize::try_from(chance % 4 + 1)?.min(left);
            let mut transaction = application.begin().await?;
            let mut ids = Vec::new();
            for _ in 0..many {
                let connection = transaction.connection();
                let sent = store.send_raw_in(connection, task()?, SendOptions::new());
                ids.push(sent.await?.to_string());
            }
            left -= many;
            match chance % 3 {
                0 => transaction.rollback().await?,
                // Lost, as with the process that held it.
                1 if chance.is_multiple_of(2) => drop(transaction),
                _ => {
                    transaction.commit().await?;
                    committed.extend(ids);
                }
            }
        }
        Ok(committed)
    }

    async fn exactly_what_was_committed_runs(database_url: &str) -> anyhow::Result<()> {
        let mut rabbit = RabbitNode::start().await?;
        let mut platform = Platform::init(&rabbit.amqp_url("/"), database_url)?;
        let mut processes = [platform.daemon()?, platform.worker()?];
        let store = platform.store().await?;
        let application = Application::connect(database_url).await?;
        let sending: Vec<_> = (0..APPLICATIONS)
            .map(|n| {
                let sending = send_some(store.clone(), application.clone(), n as u64);
                tokio::spawn(sending)
            })
            .collect();
        eventually("the first to be done", PATIENCE, async || {
            Ok((platform.starts()?.len() > 20).then_some(()))
        })
        .await?;
        rabbit.kill9().await?;
        let mut committed = BTreeSet::new();
        for sending in sending {
            committed.extend(sending.await??);
        }
        let waiting = store.outbox_state().await?.waiting;
        eprintln!(
            "{} committed, {waiting} wait for the broker",
            committed.len()
        );
        rabbit.restart().await?;
        let all = i64::try_from(committed.len())?;
        let ended = wait_for_count(&*store, TaskState::Success, all, PATIENCE * 2).await;
        processes.iter_mut().try_for_each(Process::assert_running)?;
        ended?;
        assert_recorded_once(&*store, &platform, &committed).await?;
        let rows = all_rows(&*store).await?.len();
        anyhow::ensure!(rows == committed.len(), "{rows} rows");
        assert_balanced(&platform).await
    }

    #[tokio::test]
    async fn of_1000_tasks_in_postgresql_those_that_were_committed_run_though_the_broker_dies()
    -> anyhow::Result<()> {
        let database = Database::fresh().await?;
        exactly_what_was_committed_runs(database.url()).await
    }

    #[tokio::test]
    async fn of_1000_tasks_in_sqlite_those_that_were_committed_run_though_the_broker_dies()
    -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}/platform.db", folder.path().display());
        exactly_what_was_committed_runs(&url).await
    }
}
