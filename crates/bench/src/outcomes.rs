//! `outcomes`: rows per second from full queues of tracking copies and outcomes, and `session`: the same with all
//! tasks the subtasks of one session, which shows what its counters cost.
//!
//! Counted from the daemon's start until every task has its result, and the session is over. Single times: between
//! one look at the number of results and the next one that found more.

use crate::mirrored::{Rows, daemon};
use crate::report::{Latencies, Report};
use crate::setting::Setting;
use crate::task::ExportProject;
use anyhow::Context as _;
use chrono::Utc;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::session::Session;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use counterfoil_toolbox::{Producer, SessionId, Task, TaskId, TaskState};
use futures::StreamExt as _;
use std::time::Instant;

/// Events in one message, as workers send them when they have much to tell.
const EVENTS: usize = 200;

/// Sends under way at a time.
const UNDER_WAY: usize = 1000;

/// Measures the daemon on tasks and their outcomes, without a session.
///
/// # Errors
/// When broker or database cannot be reached, or rows are missing.
pub async fn outcomes(amqp_url: &str, database_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let rows = Rows::open(database_url).await?;
    let setting = Setting::create(amqp_url).await?;
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
    let rows = Rows::open(database_url).await?;
    let setting = Setting::create(amqp_url).await?;
    let producer = Producer::new(setting.transport.clone(), setting.names.clone());
    let finalizer = RawTask::of(&ExportProject::example())?;
    let subtasks = (0..tasks).map(|_| ExportProject::example());
    let session = Session::raw("bench", finalizer, false).subtasks(subtasks)?;
    let started = producer.start_session(session).await?;
    anyhow::ensure!(started.unsent.is_empty(), "not all were sent");
    let ids = &started.subtasks;
    measure("session", setting, &rows, ids, Some(&started.id)).await
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
    let report = Report::new(scenario, ids.len(), start.elapsed(), latencies);
    running.stop().await?;
    setting.remove().await?;
    Ok(report)
}

/// Publishes that each task has succeeded.
async fn tell(
    setting: &Setting,
    ids: &[TaskId],
    session: Option<&SessionId>,
) -> anyhow::Result<()> {
    let publisher = setting.transport.publisher(PublisherOptions::mandatory());
    for ids in ids.chunks(EVENTS) {
        let mut events = Vec::with_capacity(ids.len());
        for id in ids {
            let kind = EventKind::State(TaskState::Success);
            let name = ExportProject::NAME.parse()?;
            let mut event = Event::new(id.clone(), name, Lineage::default(), kind, Utc::now());
            event.session_id = session.map(|id| id.as_str().into());
            event.result = serde_json::value::to_raw_value("done").ok();
            events.push(event);
        }
        publisher
            .publish(Publication {
                exchange: setting.names.events.clone(),
                routing_key: event_key("export"),
                content: Content::json(serde_json::to_vec(&events)?),
            })
            .await?;
    }
    Ok(())
}
