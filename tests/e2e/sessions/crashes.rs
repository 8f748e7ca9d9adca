//! Sessions while the daemon, or whoever opens them, ends at its worst moments.

use super::*;
use crate::platform::{Process, wait_for_state};
use counterfoil_store::SessionFilter;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::failpoint::Point;

#[tokio::test]
async fn a_session_ends_once_though_the_daemon_ends_at_any_point() -> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _worker = platform.worker()?;
    for (point, executed) in [
        (Point::Buffered, Executed::Once),
        (Point::TxOpen, Executed::Once),
        (Point::Committed, Executed::Once),
        (Point::Acked, Executed::Once),
        (Point::PublishWritten, Executed::AtLeastOnce),
        (Point::ConfirmSeen, Executed::AtLeastOnce),
        (Point::RelayMarked, Executed::Once),
    ] {
        let armed = format!("{}:abort", point.as_str());
        let mut daemon = platform.daemon_with(&[("COUNTERFOIL_FAILPOINT", &armed)])?;
        let started = start(&platform, session(add)?).await?;
        eventually("the daemon to end", PATIENCE, async || {
            Ok(daemon.has_ended()?.then_some(()))
        })
        .await
        .with_context(|| armed.clone())?;
        let _daemon = platform.daemon()?;
        let row = ended(&platform, &started, executed).await;
        let row = row.with_context(|| armed.clone())?;
        expect(&row, SessionStatus::Success, SUBTASKS)?;
    }
    Ok(())
}

/// Waits for the process to have ended where it was told to.
async fn ended_at(process: &mut Process, point: Point) -> anyhow::Result<()> {
    eventually("the process to end", PATIENCE, async || {
        Ok(process.has_ended()?.then_some(()))
    })
    .await?;
    let log = process.log_tail();
    ensure!(
        log.contains(&format!("Abort at {}", point.as_str())),
        "{log}"
    );
    Ok(())
}

/// The only session that there is, once the platform knows it.
async fn the_only_one(platform: &Platform) -> anyhow::Result<StartedSession> {
    let store = platform.store().await?;
    let row = eventually("the session to be known", PATIENCE, async || {
        let mut rows = store.sessions(&SessionFilter::default()).await?;
        ensure!(rows.len() <= 1, "{rows:#?}");
        Ok(rows.pop())
    })
    .await?;
    let subtasks = store.subtasks(&row.id, None, 0).await?.into_iter();
    Ok(StartedSession {
        id: row.id,
        status: row.status,
        finalizer: row.finalizer_id.parse()?,
        subtasks: subtasks.map(|subtask| subtask.task_id).collect(),
        unsent: Vec::new(),
    })
}

#[tokio::test]
async fn a_session_whose_producer_was_killed_after_fifty_of_its_sends_ends() -> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let _worker = platform.worker()?;
    let armed = format!("{}:abort@50", Point::SubtaskSent.as_str());
    let env = [("COUNTERFOIL_FAILPOINT", armed.as_str())];
    let mut producer = platform.producer_with(&["1500", "--each", "10"], &env)?;
    ended_at(&mut producer, Point::SubtaskSent).await?;
    let started = the_only_one(&platform).await?;
    let row = ended(&platform, &started, Executed::Once).await?;
    // Up to a thousand are under way at a time: those may have got through.
    ensure!(row.status == SessionStatus::TimedOut, "{row:#?}");
    ensure!(row.succeeded >= 50 && row.failed >= 450, "{row:#?}");
    let store = platform.store().await?;
    let never_sent = store.unsent_subtasks(&row.id).await?;
    let is_right = never_sent >= 450 && never_sent <= row.failed.into();
    ensure!(is_right, "{never_sent}: {row:#?}");
    let output = platform.cli(&["session", "show", row.id.as_str()])?;
    let text = String::from_utf8(output.stdout)?;
    let told = format!("never seen   {never_sent} of 1500");
    ensure!(text.contains(&told), "{text}");
    Ok(())
}

/// Sends a task that opens a session of `SUBTASKS` subtasks, and returns its id.
async fn send_opener(platform: &Platform) -> anyhow::Result<TaskId> {
    let resources: Vec<_> = (0..SUBTASKS).map(|n| format!("acme/{n}")).collect();
    let source = raw("harvest.source", &json!({ "resources": resources }))?;
    let options = SendOptions::new();
    Ok(platform.producer()?.send_raw(source, options).await?)
}

#[tokio::test]
async fn a_task_whose_worker_died_while_it_opened_a_session_opens_the_same_one_again()
-> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let opener = send_opener(&platform).await?;
    let armed = format!("{}:abort@50", Point::SubtaskSent.as_str());
    let env = [("COUNTERFOIL_FAILPOINT", armed.as_str())];
    let mut worker = platform.worker_with(&env)?;
    ended_at(&mut worker, Point::SubtaskSent).await?;
    let _worker = platform.worker()?;
    let store = platform.store().await?;
    let opened = wait_for_state(&*store, opener.as_str(), TaskState::Success, PATIENCE).await?;
    let started = the_only_one(&platform).await?;
    let row = ended(&platform, &started, Executed::Once).await?;
    expect(&row, SessionStatus::Success, SUBTASKS)?;
    let told = store
        .result(&opened.task_id, 0)
        .await?
        .context("a result")?;
    let told = told.result.context("the session's id")?;
    ensure!(told.get() == format!("{:?}", row.id.as_str()), "{told:?}");
    the_only_one(&platform).await.map(drop)
}

#[tokio::test]
async fn a_task_that_is_delivered_again_after_its_session_has_ended_sends_nothing_again()
-> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let opener = send_opener(&platform).await?;
    // All is sent, and it hangs.
    let armed = format!("{}:hang@{SUBTASKS}", Point::SubtaskSent.as_str());
    let env = [("COUNTERFOIL_FAILPOINT", armed.as_str())];
    let worker = platform.worker_with(&env)?;
    let started = the_only_one(&platform).await?;
    let row = ended(&platform, &started, Executed::Once).await?;
    expect(&row, SessionStatus::Success, SUBTASKS)?;
    worker.kill9()?;
    let _worker = platform.worker()?;
    let store = platform.store().await?;
    wait_for_state(&*store, opener.as_str(), TaskState::Success, PATIENCE).await?;
    // Whatever it had sent would have been taken before this.
    let last = raw("harvest.resource", &json!({"resource": "acme/last"}))?;
    let options = SendOptions::new();
    let last = platform.producer()?.send_raw(last, options).await?;
    wait_for_state(&*store, last.as_str(), TaskState::Success, PATIENCE).await?;
    let starts = platform.starts()?;
    for id in &started.subtasks {
        ensure!(starts.get(id.as_str()) == Some(&1), "{id}: {starts:?}");
    }
    Ok(())
}
