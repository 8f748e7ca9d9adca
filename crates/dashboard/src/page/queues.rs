//! How full queues are, and services that are paused.

use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::act::warn_unless_passed_on;
use crate::app::{App, Shared};
use crate::shown::{When, grouped, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::Extension;
use axum::extract::{Path, State as Shares};
use axum::response::{IntoResponse, Redirect, Response};
use counterfoil_operations::queues::{QueueLine, known, look};
use counterfoil_operations::services::{Wanted, paused, set};
use counterfoil_operations::{Doer, OperationError};
use counterfoil_store::DelayedOf;
use counterfoil_toolbox::config::AccessRole;
use counterfoil_toolbox::names::ServiceName;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the broker may take to tell of all queues.
const LOOKING: Duration = Duration::from_secs(3);

#[derive(Debug, Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    layout: Layout,
    may_act: bool,
    services: Vec<Row>,
    platform: Vec<Row>,
    /// Tasks that wait for a time, as the database knows them: the broker has them all in the same queues.
    delayed: Vec<Delayed>,
    /// Whether there may be more of them.
    has_more_delayed: bool,
    /// Why the broker tells nothing.
    away: Option<String>,
}

#[derive(Debug)]
struct Row {
    queue: String,
    /// Absent for the platform's own queues.
    service: Option<String>,
    ready: String,
    consumers: String,
    /// Nobody takes what waits there.
    is_stuck: bool,
    /// Told with the first queue of each service.
    dead: Option<String>,
    sent: String,
    /// Who paused the service; told with the first of its queues, as are the buttons.
    paused_by: Option<String>,
    is_first: bool,
}

/// Tasks of a service that wait for a time that is to come.
#[derive(Debug)]
struct Delayed {
    service: String,
    tasks: String,
    next: Option<When>,
}

/// `GET /queues`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
) -> Answer {
    let pauses = paused(&*app.store).await?.into_iter();
    let pauses: BTreeMap<String, String> = pauses
        .map(|row| {
            (
                row.subject,
                row.created_by.unwrap_or_else(|| "somebody".to_owned()),
            )
        })
        .collect();
    let (lines, away) = match lines(&app).await {
        Ok(lines) => (lines, None),
        Err(OperationError::Store(error)) => return Err(error.into()),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let mut last = None;
    let mut rows = Vec::with_capacity(lines.len());
    for line in &lines {
        let is_first = line.service != last;
        last.clone_from(&line.service);
        rows.push(row(line, is_first, &pauses));
    }
    let delayed = app.store.delayed().await?;
    let (services, platform) = rows.into_iter().partition(|row| row.service.is_some());
    render(&QueuesPage {
        layout: Layout::new(&visitor, "/queues", "Queues"),
        may_act: visitor.role >= AccessRole::Operator,
        services,
        platform,
        has_more_delayed: !delayed.is_whole,
        delayed: delayed.services.into_iter().map(waiting).collect(),
        away,
    })
}

pub(crate) async fn lines(app: &App) -> Result<Vec<QueueLine>, OperationError> {
    let known = known(&*app.store).await?;
    let platform = &app.platform;
    let looking = look(
        &*platform.transport,
        &platform.names,
        &app.broker,
        Some(&known),
    );
    match tokio::time::timeout(LOOKING, looking).await {
        Ok(lines) => lines,
        Err(_) => Err(OperationError::Transport(
            counterfoil_toolbox::transport::TransportError::Timeout {
                what: "an answer of the broker".to_owned(),
                after: LOOKING,
            },
        )),
    }
}

fn waiting(of: DelayedOf) -> Delayed {
    Delayed {
        service: visible(&of.service),
        tasks: grouped(of.tasks),
        next: of.next_at.map(When::of),
    }
}

fn row(line: &QueueLine, is_first: bool, pauses: &BTreeMap<String, String>) -> Row {
    let number = |number: Option<u32>| number.map(|n| grouped(n.into()));
    let service = line.service.as_ref().map(ToString::to_string);
    let paused_by = service.as_ref().and_then(|service| pauses.get(service));
    Row {
        queue: line.queue.to_string(),
        ready: number(line.ready).unwrap_or_else(|| "missing".to_owned()),
        consumers: number(line.consumers).unwrap_or_default(),
        is_stuck: line.ready.is_some_and(|ready| ready > 0) && line.consumers == Some(0),
        dead: number(line.dead.filter(|dead| *dead > 0)),
        sent: line.sent_per_minute.map_or(String::new(), grouped),
        paused_by: paused_by.map(|by| visible(by)),
        is_first,
        service,
    }
}

/// `POST /services/{name}/pause` and `/resume`
pub(crate) async fn change(
    wanted: Wanted,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let service = ServiceName::new(&name).map_err(|error| Trouble::bad(error.to_string()))?;
    let doer = Doer::new(Some(visitor.name.clone()));
    let asked = set(&*app.store, &service, wanted, &doer).await?;
    let mut warnings = Vec::new();
    warn_unless_passed_on(&*app.store, asked.as_slice(), &mut warnings).await;
    match warnings.pop() {
        None => Ok(Redirect::to("/queues").into_response()),
        Some(warning) => super::said::page(&visitor, "/queues", "Queues", &[warning]),
    }
}
