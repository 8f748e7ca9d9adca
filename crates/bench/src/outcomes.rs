//! `outcomes`: rows per second from full queues of tracking copies and outcomes, and `session`: the same with all
//! tasks the subtasks of one session, which shows what its counters cost.
//!
//! Before, some small sessions make every connection to the database know its statements, as those of a daemon do that
//! has run for a minute: what is compared are rows, not beginnings. Counted from the daemon's start until it has written
//! all of both queues: every task has its copy and its result, and the session is over. To wait for the results alone
//! would compare runs that have written a fifth of the copies with runs that have written a third. Single times: between
//! one look at the number of results and the next one that found more.

use crate::mirrored::{Rows, daemon, wait_until};
use crate::report::{Latencies, Report};
use crate::setting::Setting;
use crate::task::ExportProject;
use anyhow::Context as _;
use chrono::Utc;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::session::{Session, StartedSession};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use counterfoil_toolbox::{Producer, SessionId, Task, TaskId, TaskState};
use futures::StreamExt as _;
use std::collections::VecDeque;
use std::time::Instant;

/// Events in one message, as workers send them when they have much to tell.
const EVENTS: usize = 200;

/// Tasks that run at a time: so many have been started when the first of them ends.
const RUNNING: usize = 1000;

/// Sends under way at a time.
const UNDER_WAY: usize = 1000;

/// Batches beforehand. A connection parses a statement when it first meets it, and a store has ten connections.
const WARM_UP: usize = 80;

/// Measures the daemon on tasks and their outcomes, without a session.
///
/// # Errors
/// When broker or database cannot be reached, or rows are missing.
pub async fn outcomes(amqp_url: &str, database_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let (setting, rows) = prepare(amqp_url, database_url).await?;
    let producer = Producer::new(setting.transport.clone(), setting.names.clone());
    let ids: Vec<_> = (0..tasks).map(|_| TaskId::random()).collect();
    let send = |id: &TaskId| {
        let options = SendOptions::new().id(id.clone());
        let producer = &producer;
        async move { producer.send_with(ExportProject::example(), options).await }
    };
    let mut sends = futures::stream::iter(&ids).map(send).buffered(UNDER_WAY);
    while let Some(sent) = sends.next().await {
        sent?;
    }
    drop(sends);
    measure("outcomes", setting, &rows, &ids, None).await
}

/// The same as one session.
///
/// # Errors
/// When broker or database cannot be reached, or rows are missing.
pub async fn session(amqp_url: &str, database_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let (setting, rows) = prepare(amqp_url, database_url).await?;
    let started = open(&setting, tasks).await?;
    let ids = &started.subtasks;
    measure("session", setting, &rows, ids, Some(&started.id)).await
}

/// Broker and database, and a daemon's work on both that is not measured.
async fn prepare(amqp_url: &str, database_url: &str) -> anyhow::Result<(Setting, Rows)> {
    let mut rows = Rows::open(database_url).await?;
    let setting = Setting::create(amqp_url).await?;
    let running = daemon(&setting, rows.store.clone());
    for nth in 1..=WARM_UP {
        let started = open(&setting, 1).await?;
        tell(&setting, &started.subtasks, Some(&started.id)).await?;
        rows.wait_for(Some(TaskState::Success), nth, |_| {}).await?;
    }
    running.stop().await?;
    rows.forget();
    Ok((setting, rows))
}

async fn open(setting: &Setting, tasks: usize) -> anyhow::Result<StartedSession> {
    let producer = Producer::new(setting.transport.clone(), setting.names.clone());
    let finalizer = RawTask::of(&ExportProject::example())?;
    let subtasks = (0..tasks).map(|_| ExportProject::example());
    let session = Session::raw("bench", finalizer, false).subtasks(subtasks)?;
    let started = producer.start_session(session).await?;
    anyhow::ensure!(started.unsent.is_empty(), "not all were sent");
    Ok(started)
}

async fn measure(
    scenario: &'static str,
    setting: Setting,
    rows: &Rows,
    ids: &[TaskId],
    session: Option<&SessionId>,
) -> anyhow::Result<Report> {
    tell(&setting, ids, session).await?;
    let (start, mut last) = (Instant::now(), None);
    let mut latencies = Latencies::default();
    let running = daemon(&setting, rows.store.clone());
    rows.wait_for(Some(TaskState::Success), ids.len(), |there| {
        let now = Instant::now();
        if last.is_some_and(|(_, seen)| seen == there) {
            return;
        }
        if let Some((at, _)) = last.replace((now, there)) {
            latencies.push(now.duration_since(at));
        }
    })
    .await?;
    if let Some(id) = session {
        let row = rows.store.session(id).await?.context("the session's row")?;
        let succeeded = usize::try_from(row.succeeded)?;
        anyhow::ensure!(succeeded == ids.len(), "{row:?}");
    }
    // Counting copies takes the database's time, so that is left until they are on their way into it.
    let taken = async || Ok(ids.len().saturating_sub(tracking_copies(&setting).await?));
    wait_until(ids.len(), taken, |_| {}).await?;
    rows.wait_for_copies(ids).await?;
    let report = Report::new(scenario, ids.len(), start.elapsed(), latencies);
    running.stop().await?;
    setting.remove().await?;
    Ok(report)
}

/// How many the daemon has not taken yet.
async fn tracking_copies(setting: &Setting) -> anyhow::Result<usize> {
    let depth = setting
        .transport
        .depth(&setting.names.tracking_queue)
        .await?;
    Ok(usize::try_from(depth.map_or(0, |depth| depth.ready))?)
}

/// Publishes that each task was started and, after a while, has succeeded.
async fn tell(
    setting: &Setting,
    ids: &[TaskId],
    session: Option<&SessionId>,
) -> anyhow::Result<()> {
    let publisher = setting.transport.publisher(PublisherOptions::mandatory());
    let say = async |ids: &[TaskId], state| {
        let events = ids.iter().map(|id| event(id, session, state));
        let events = events.collect::<anyhow::Result<Vec<_>>>()?;
        let publication = Publication {
            exchange: setting.names.events.clone(),
            routing_key: event_key("export"),
            content: Content::json(serde_json::to_vec(&events)?),
        };
        anyhow::Ok(publisher.publish(publication).await?)
    };
    let mut running = VecDeque::new();
    for started in ids.chunks(EVENTS) {
        say(started, TaskState::Started).await?;
        running.push_back(started);
        if running.len() > RUNNING / EVENTS {
            let ended = running.pop_front().unwrap_or_default();
            say(ended, TaskState::Success).await?;
        }
    }
    for ended in running {
        say(ended, TaskState::Success).await?;
    }
    Ok(())
}

fn event(id: &TaskId, session: Option<&SessionId>, state: TaskState) -> anyhow::Result<Event> {
    let (kind, name) = (EventKind::State(state), ExportProject::NAME.parse()?);
    let mut event = Event::new(id.clone(), name, Lineage::default(), kind, Utc::now());
    event.session_id = session.map(|id| id.as_str().into());
    if state == TaskState::Success {
        event.result = serde_json::value::to_raw_value("done").ok();
    }
    Ok(event)
}
