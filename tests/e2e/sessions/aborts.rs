//! Sessions that somebody aborts: what is told of them is what happened.

use super::*;
use crate::platform::wait_for_state;
use counterfoil_store::SessionFilter;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::failpoint::Point;
use std::collections::BTreeSet;

#[tokio::test]
async fn an_aborted_session_runs_its_finalizer_and_starts_nothing_more() -> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let few = [
        ("COUNTERFOIL_WORKER__CONCURRENCY", "4"),
        ("COUNTERFOIL_WORKER__CANCEL_GRACE", "1s"),
    ];
    let _worker = platform.worker_with(&few)?;
    let started = start(&platform, session(|_| sleep(0.5))?).await?;
    attempted(&platform, &started, 5).await?;
    let text = said(&platform, &["session", "show", started.id.as_str()])?;
    ensure!(
        text.contains("open for") && !text.contains("took"),
        "{text}"
    );
    let text = said(&platform, &["session", "abort", started.id.as_str()])?;
    ensure!(
        text.contains("workers were told to start no subtask"),
        "{text}"
    );
    let row = ended(&platform, &started, Executed::Once).await?;
    ensure!(row.status == SessionStatus::Aborted, "{row:#?}");
    ensure!(row.succeeded >= 5 && row.failed > 50, "{row:#?}");
    // Those that were never started are not started any more.
    let starts = platform.starts()?.len();
    ensure!(starts < 50, "{starts} executions");
    let text = said(&platform, &["session", "show", started.id.as_str()])?;
    ensure!(text.contains("ABORTED") && text.contains("100 %"), "{text}");
    let revoked = format!("revoked      {}, which count as failed", row.revoked);
    ensure!(
        row.revoked == row.failed && text.contains(&revoked),
        "{text}"
    );
    ensure!(
        text.contains("took") && !text.contains("open for"),
        "{text}"
    );
    let text = said(&platform, &["session", "list"])?;
    let revoked = row.revoked.to_string();
    let is_listed = |line: &str| {
        let mut words = line.split_whitespace();
        line.contains(started.id.as_str()) && words.any(|word| word == revoked)
    };
    ensure!(
        text.contains("REVOKED") && text.lines().any(is_listed),
        "{text}"
    );
    let by = row.aborted_by.as_deref().unwrap_or_default();
    ensure!(text.contains("ABORTED BY") && text.contains(by), "{text}");
    Ok(())
}

fn said(platform: &Platform, arguments: &[&str]) -> anyhow::Result<String> {
    let output = platform.cli(arguments)?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What waited is nowhere, and what ran waits again: nobody is there who could say so.
#[tokio::test]
async fn an_aborted_session_ends_though_its_queue_was_purged_and_its_worker_was_killed()
-> anyhow::Result<()> {
    let (vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let few = [
        ("COUNTERFOIL_WORKER__CONCURRENCY", "4"),
        ("COUNTERFOIL_WORKER__HEARTBEAT", "1s"),
    ];
    let worker = platform.worker_with(&few)?;
    let started = start(&platform, session(|_| sleep(0.5))?).await?;
    attempted(&platform, &started, 5).await?;
    vhost.purge("demo").await?;
    worker.kill9()?;
    said(&platform, &["session", "abort", started.id.as_str()])?;
    let store = platform.store().await?;
    let row = eventually("its end", PATIENCE, async || {
        let row = store.session(&started.id).await?;
        Ok(row.filter(|row| !row.status.is_open()))
    })
    .await?;
    ensure!(row.status == SessionStatus::Aborted, "{row:#?}");
    ensure!(row.succeeded >= 5 && row.revoked == row.failed, "{row:#?}");
    // Whoever works next runs the finalizer, and nothing of what waits again.
    let ran = platform.starts()?.len();
    let _worker = platform.worker()?;
    ended(&platform, &started, Executed::Once).await?;
    let starts = platform.starts()?.len();
    ensure!(starts == ran + 1, "{starts} executions, {ran} before");
    Ok(())
}

/// Its worker goes on for a while before it hears of it, and the rows are behind all the time.
#[tokio::test]
async fn a_session_aborted_while_everything_lags_counts_what_ran_as_what_it_was()
-> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let daemon = platform.daemon_with(&WATCHFUL)?;
    let _worker = platform.worker_with(&[("COUNTERFOIL_WORKER__CONCURRENCY", "8")])?;
    let started = start(&platform, session_of(2000, |_| sleep(0.05))?).await?;
    attempted(&platform, &started, 100).await?;
    daemon.kill9()?;
    let output = platform.cli(&["session", "abort", started.id.as_str()])?;
    ensure!(output.status.success(), "{output:?}");
    let before = platform.ends()?.len();
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let row = ended(&platform, &started, Executed::Once).await?;
    ensure!(row.status == SessionStatus::Aborted, "{row:#?}");
    ensure!(
        before > 200 && row.succeeded < row.total,
        "{before}: {row:#?}"
    );
    assert_told_as_it_was(&platform, &started, &row).await
}

/// Its opener hangs while it sends: up to a thousand are under way at a time, so many are left.
#[tokio::test]
async fn a_session_that_is_aborted_while_a_task_opens_it_ends_with_that_task() -> anyhow::Result<()>
{
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let armed = format!("{}:hang@50", Point::SubtaskSent.as_str());
    let env = [
        ("COUNTERFOIL_FAILPOINT", armed.as_str()),
        ("COUNTERFOIL_WORKER__CANCEL_GRACE", "60s"),
    ];
    let _worker = platform.worker_with(&env)?;
    let resources: Vec<_> = (0..3000).map(|n| format!("acme/{n}")).collect();
    let source = raw("harvest.source", &json!({ "resources": resources }))?;
    let producer = platform.producer()?;
    let opener = producer.send_raw(source, SendOptions::new()).await?;
    let store = platform.store().await?;
    let session = eventually("some of its sends", PATIENCE, async || {
        let row = store.sessions(&SessionFilter::default()).await?.pop();
        Ok(row.filter(|row| row.succeeded >= 50))
    })
    .await?;
    let output = platform.cli(&["session", "abort", session.id.as_str()])?;
    ensure!(output.status.success(), "{output:?}");
    let opener = wait_for_state(&*store, opener.as_str(), TaskState::Revoked, PATIENCE).await?;
    let aborted = FaultKind::Aborted.as_str();
    ensure!(opener.error_kind.as_deref() == Some(aborted), "{opener:#?}");
    let row = eventually("its end", PATIENCE, async || {
        let row = store.session(&session.id).await?;
        Ok(row.filter(|row| !row.status.is_open()))
    })
    .await?;
    ensure!(row.status == SessionStatus::Aborted, "{row:#?}");
    ensure!(row.revoked > 0 && row.revoked == row.failed, "{row:#?}");
    let never_sent = store.unsent_subtasks(&row.id).await?;
    ensure!(
        never_sent > 1000 && never_sent <= row.revoked.into(),
        "{never_sent}"
    );
    assert_balanced(&platform).await
}

/// Those that really ran are those that succeeded: as their rows have it, and as the session counts.
async fn assert_told_as_it_was(
    platform: &Platform,
    started: &StartedSession,
    row: &SessionRow,
) -> anyhow::Result<()> {
    let store = platform.store().await?;
    let ran = platform.ends()?.into_keys();
    let mut ran: BTreeSet<_> = ran.collect();
    ran.remove(started.finalizer.as_str());
    let mut succeeded = BTreeSet::new();
    for id in &started.subtasks {
        let task = store.task(id.as_str()).await?.context("a row")?;
        ensure!(task.state.is_terminal(), "{task:#?}");
        if task.state == TaskState::Success {
            succeeded.insert(id.to_string());
        }
    }
    ensure!(
        ran == succeeded && usize::try_from(row.succeeded)? == ran.len(),
        "{} ran, {} succeeded, and the session counts {}",
        ran.len(),
        succeeded.len(),
        row.succeeded
    );
    Ok(())
}
