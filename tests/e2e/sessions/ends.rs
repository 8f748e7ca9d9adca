//! Sessions of which some subtasks end badly, or not at all.

use super::*;
use chrono::Utc;
use counterfoil_toolbox::event::FaultKind;
use std::time::Duration;

#[tokio::test]
async fn a_session_ends_whether_its_subtasks_succeed_fail_or_expire() -> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let late = Utc::now() - chrono::TimeDelta::seconds(1);
    let good = start(&platform, session(add)?).await?;
    let failing = session(|n| match n {
        42 => Ok((
            raw("demo.fail", &json!({"message": "no"}))?,
            SendOptions::new().max_retries(0),
        )),
        43 => Ok((
            raw("harvest.resource", &json!({"resource": "unchanged/x"}))?,
            SendOptions::new(),
        )),
        44 => Ok((
            raw("demo.flaky", &json!({"key": "k", "failures": 2}))?,
            SendOptions::new(),
        )),
        n => add(n),
    })?;
    let failing = start(&platform, failing).await?;
    let expiring = session(|n| {
        let (task, options) = add(n)?;
        Ok((
            task,
            if n == 7 {
                options.expires(late)
            } else {
                options
            },
        ))
    })?;
    let expiring = start(&platform, expiring).await?;
    let mut worker = platform.worker()?;
    let row = ended(&platform, &good, Executed::Once).await?;
    expect(&row, SessionStatus::Success, 100)?;
    let row = ended(&platform, &failing, Executed::Once).await?;
    expect(&row, SessionStatus::CompletedWithErrors, 99)?;
    ensure!((row.skipped, row.retried_counted) == (1, 2), "{row:#?}");
    let row = ended(&platform, &expiring, Executed::Once).await?;
    expect(&row, SessionStatus::CompletedWithErrors, 99)?;
    let store = platform.store().await?;
    let expired = store.task(expiring.subtasks[7].as_str());
    let expired = expired.await?.context("a row")?;
    ensure!(expired.error_kind.as_deref() == Some(FaultKind::Expired.as_str()));
    worker.assert_running()
}

#[tokio::test]
async fn a_session_ends_though_a_worker_is_killed_in_the_middle_of_it() -> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let worker = platform.worker()?;
    let started = start(&platform, session(|_| sleep(0.2))?).await?;
    attempted(&platform, &started, 1).await?;
    worker.kill9()?;
    let _worker = platform.worker()?;
    let row = ended(&platform, &started, Executed::Once).await?;
    expect(&row, SessionStatus::Success, 100)
}

#[tokio::test]
async fn a_session_whose_queue_was_purged_ends_when_its_time_is_over() -> anyhow::Result<()> {
    let (vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon_with(&WATCHFUL)?;
    let short = Duration::from_millis(50);
    let session = session(add)?.estimated(short).buffer(Duration::ZERO);
    let started = start(&platform, session).await?;
    vhost.purge("demo").await?;
    let _worker = platform.worker()?;
    let row = ended(&platform, &started, Executed::Once).await?;
    expect(&row, SessionStatus::TimedOut, 0)?;
    // And the next one can start.
    let next = start(&platform, super::session(add)?).await?;
    let row = ended(&platform, &next, Executed::Once).await?;
    expect(&row, SessionStatus::Success, 100)
}
