//! Somebody mends what a task died of, and runs it again.

use crate::platform::{PATIENCE, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::{DeadFilter, Store};
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::process::Output;

const EXPORT: &str =
    r#"{"org_slug": "acme", "project_slug": "north", "api_key": "k", "output_type": "csv"}"#;

fn told(output: Output) -> anyhow::Result<String> {
    anyhow::ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Exports into a folder that is not there: retried until the retries are used up.
async fn exhausted(platform: &Platform, store: &dyn Store) -> anyhow::Result<String> {
    let id = told(platform.cli(&["send", "export.project", EXPORT])?)?;
    let row = wait_for_state(store, &id, TaskState::Failure, PATIENCE).await?;
    assert_eq!((row.run, row.error_kind.as_deref()), (0, Some("exhausted")));
    Ok(id)
}

async fn dead_messages(store: &dyn Store, wanted: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    eventually("the dead letters", PATIENCE, async || {
        let dead = store.dead(&DeadFilter::default()).await?;
        let bodies: Vec<_> = dead
            .into_iter()
            .map(|row| row.message.content.body.to_vec())
            .collect();
        Ok((bodies.len() == wanted).then_some(bodies))
    })
    .await
}

async fn succeeds_in_run_1(store: &dyn Store, id: &str) -> anyhow::Result<()> {
    let row = wait_for_state(store, id, TaskState::Success, PATIENCE).await?;
    assert_eq!(
        (row.run, row.attempt().to_string()),
        (1, "0.0.0".to_owned())
    );
    let id: TaskId = id.parse()?;
    for (run, status) in [(0, TaskState::Failure), (1, TaskState::Success)] {
        let result = store.result(&id, run).await?.context("the run's outcome")?;
        assert_eq!(result.status, status, "run {run}");
    }
    let history = store.history(&id).await?;
    let of_run = |run: i32| history.iter().filter(move |line| line.run == run);
    assert_eq!(
        of_run(0)
            .filter(|line| line.kind == TaskState::Started)
            .count(),
        4
    );
    let last: Vec<_> = of_run(1).map(|line| line.kind).collect();
    let (first, rest) = last.split_first().context("the new run")?;
    assert_eq!(
        (*first, rest.last()),
        (TaskState::Pending, Some(&TaskState::Success))
    );
    Ok(())
}

async fn nothing_is_left(vhost: &Vhost, store: &dyn Store) -> anyhow::Result<()> {
    dead_messages(store, 0).await?;
    for queue in ["export.dead", "export"] {
        let depth = vhost.depth(queue).await?;
        assert_eq!((depth.ready, depth.unacked), (0, 0), "{queue}");
    }
    Ok(())
}

#[tokio::test]
async fn tasks_that_used_up_their_retries_are_redriven_or_run_again_once_the_fault_is_mended()
-> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let shelf = platform.folder().join("shelf");
    platform.set("COUNTERFOIL_EXPORT_DIR", shelf.join("exports"));
    let (_daemon, _worker) = (platform.daemon()?, platform.worker()?);
    let store = platform.store().await?;
    let redriven = exhausted(&platform, &*store).await?;
    let rerun = exhausted(&platform, &*store).await?;
    let bodies = dead_messages(&*store, 2).await?;
    let ids: [TaskId; 2] = [redriven.parse()?, rerun.parse()?];
    let sent = store.stored_tasks(&ids).await?;
    assert!(
        sent.iter()
            .all(|task| bodies.contains(&task.message.content.body.to_vec()))
    );
    let bodies_sent: Vec<_> = sent
        .iter()
        .map(|task| task.message.content.body.clone())
        .collect();

    std::fs::create_dir(shelf)?;
    told(platform.cli(&[
        "dead",
        "redrive",
        "export",
        "--id",
        &redriven,
        "--reason",
        "exhausted",
    ])?)?;
    succeeds_in_run_1(&*store, &redriven).await?;
    assert_eq!(vhost.depth("export.dead").await?.ready, 1);
    told(platform.cli(&["task", "rerun", &rerun])?)?;
    succeeds_in_run_1(&*store, &rerun).await?;
    nothing_is_left(&vhost, &*store).await?;

    let last = store.stored_tasks(&ids).await?;
    let last: Vec<_> = last
        .iter()
        .map(|task| task.message.content.body.clone())
        .collect();
    assert!(last.len() == 2 && last.iter().all(|body| bodies_sent.contains(body)));
    let starts = platform.starts()?;
    assert_eq!((starts[&redriven], starts[&rerun]), (5, 5));
    told(platform.cli(&["task", "delete", &redriven])?)?;
    assert!(store.task(&redriven).await?.is_none());
    Ok(())
}
