//! Sessions of a hundred, whatever happens to them: the finalizer is recorded once and the counters add up.

mod aborts;
mod crashes;
mod ends;

use crate::audit::assert_balanced;
use crate::platform::{PATIENCE, Platform};
use anyhow::{Context as _, ensure};
use counterfoil_store::{SessionRow, Store};
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::session::{Session, SessionStatus, SessionSummary, StartedSession};
use serde_json::json;

/// Subtasks of each session.
const SUBTASKS: i32 = 100;

/// A daemon that looks often, and does not wait for long for others that may work unheard.
const WATCHFUL: [(&str, &str); 2] = [
    ("COUNTERFOIL_SYNC__SESSION_INTERVAL", "500ms"),
    ("COUNTERFOIL_SYNC__LOST_AFTER", "5s"),
];

/// A platform on the servers of all tests, and where it is.
async fn platform() -> anyhow::Result<(Vhost, Database, Platform)> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let platform = Platform::init(&vhost.amqp_url(), database.url())?;
    Ok((vhost, database, platform))
}

fn raw(name: &str, kwargs: &serde_json::Value) -> anyhow::Result<RawTask> {
    Ok(RawTask {
        name: TaskName::new(name)?,
        args: "[]".to_owned(),
        kwargs: kwargs.to_string(),
    })
}

/// A session that ends with the report of a harvest.
fn session(
    subtask: impl Fn(i32) -> anyhow::Result<(RawTask, SendOptions)>,
) -> anyhow::Result<Session> {
    session_of(SUBTASKS, subtask)
}

fn session_of(
    subtasks: i32,
    subtask: impl Fn(i32) -> anyhow::Result<(RawTask, SendOptions)>,
) -> anyhow::Result<Session> {
    let finalizer = raw(
        "harvest.finalize",
        &json!({"session": SessionSummary::default()}),
    )?;
    let mut session = Session::raw("harvest", finalizer, true);
    for n in 0..subtasks {
        let (task, options) = subtask(n)?;
        session = session.subtask_raw(task, options);
    }
    Ok(session)
}

fn add(_: i32) -> anyhow::Result<(RawTask, SendOptions)> {
    Ok((
        raw("demo.add", &json!({"x": 1, "y": 2}))?,
        SendOptions::new(),
    ))
}

fn sleep(seconds: f64) -> anyhow::Result<(RawTask, SendOptions)> {
    Ok((
        raw("demo.sleep", &json!({ "seconds": seconds }))?,
        SendOptions::new(),
    ))
}

async fn start(platform: &Platform, session: Session) -> anyhow::Result<StartedSession> {
    let started = platform.producer()?.start_session(session).await?;
    ensure!(started.unsent.is_empty(), "{:?}", started.unsent);
    Ok(started)
}

/// What the finalizer of a session did: once, or twice where a crash lay between its sending and the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Executed {
    Once,
    AtLeastOnce,
}

/// Waits until the session is over and its finalizer has run, and looks whether all of it adds up.
async fn ended(
    platform: &Platform,
    started: &StartedSession,
    executed: Executed,
) -> anyhow::Result<SessionRow> {
    let store = platform.store().await?;
    let finalizer = eventually("the finalizer to be recorded", PATIENCE * 2, async || {
        let row = store.task(started.finalizer.as_str()).await?;
        Ok(row.filter(|row| row.state.is_terminal()))
    });
    let finalizer = match finalizer.await {
        Ok(finalizer) => finalizer,
        Err(error) => {
            let session = store.session(&started.id).await?;
            return Err(error.context(format!("{session:#?}")));
        }
    };
    ensure!(finalizer.state == TaskState::Success, "{finalizer:#?}");
    let row = store.session(&started.id).await?.context("its row")?;
    ensure!(
        !row.status.is_open() && row.finished_at.is_some(),
        "{row:#?}"
    );
    ensure!(
        row.attempted() == row.total && usize::try_from(row.total)? == started.subtasks.len(),
        "{row:#?}"
    );
    adds_up(&*store, &row).await?;
    let starts = platform.starts()?;
    let starts = starts.get(started.finalizer.as_str()).copied();
    match executed {
        Executed::Once => ensure!(starts == Some(1), "{starts:?} executions"),
        Executed::AtLeastOnce => ensure!(starts.is_some(), "no execution"),
    }
    let history = store.history(&started.finalizer).await?;
    let ends = history.iter().filter(|it| it.kind == TaskState::Success);
    ensure!(ends.count() >= 1 && finalizer.run == 0);
    let result = store.result(&started.finalizer, 0).await?;
    let result = result.context("its result")?.result.context("a report")?;
    let report = format!(
        "harvest ended as {}: {} resources, {} succeeded ({} skipped), {} failed",
        row.status, row.total, row.succeeded, row.skipped, row.failed
    );
    let told: serde_json::Value = serde_json::from_str(result.get())?;
    ensure!(
        told == json!({ "report": report }),
        "{told} and not {report}"
    );
    assert_balanced(platform).await?;
    Ok(row)
}

/// The counters are those of the subtasks, and the subtasks are as their own rows say.
async fn adds_up(store: &dyn Store, row: &SessionRow) -> anyhow::Result<()> {
    let subtasks = store.subtasks(&row.id, None, 0).await?;
    let count = |state| subtasks.iter().filter(|it| it.status == state).count();
    let succeeded = count(TaskState::Success);
    ensure!(i32::try_from(succeeded)? == row.succeeded, "{row:#?}");
    let over = subtasks.iter().filter(|it| it.status.is_terminal()).count();
    ensure!(i32::try_from(over)? == row.total, "{row:#?}");
    let counted: i32 = subtasks.iter().map(|it| it.retried_counted).sum();
    ensure!(counted == row.retried_counted, "{row:#?}");
    Ok(())
}

/// Waits until so many of its subtasks are over.
async fn attempted(
    platform: &Platform,
    started: &StartedSession,
    count: i32,
) -> anyhow::Result<()> {
    let store = platform.store().await?;
    let what = format!("{count} subtasks to be over");
    eventually(&what, PATIENCE, async || {
        let row = store.session(&started.id).await?;
        Ok(row.filter(|row| row.attempted() >= count).map(drop))
    })
    .await
}

fn expect(row: &SessionRow, status: SessionStatus, succeeded: i32) -> anyhow::Result<()> {
    ensure!(row.status == status, "{row:#?}");
    ensure!(row.succeeded == succeeded, "{row:#?}");
    Ok(())
}
