//! Tasks that are sent at fixed times.

use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::Shared;
use crate::shown::{When, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::State as Shares;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use counterfoil_operations::schedules;
use counterfoil_store::ScheduleRow;
use counterfoil_toolbox::config::AccessRole;
use serde::Deserialize;

#[derive(Debug, Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    layout: Layout,
    rows: Vec<Row>,
    may_act: bool,
    may_remove: bool,
}

#[derive(Debug)]
struct Row {
    /// As it is, for forms.
    key: String,
    name: String,
    cron: String,
    zone: String,
    task: String,
    arguments: String,
    enabled: bool,
    next: Option<When>,
    last: Option<When>,
    catch_up: &'static str,
}

/// `GET /schedules`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
) -> Answer {
    let rows = app.store.schedules(None).await?;
    let arguments = |row: &ScheduleRow| {
        let parts = [(&row.args, "[]"), (&row.kwargs, "{}")];
        let told = parts.iter().filter(|(json, empty)| json != empty);
        let told = told.map(|(json, _)| app.mask.json(json));
        visible(&told.collect::<Vec<_>>().join(" "))
    };
    let row = |row: &ScheduleRow| Row {
        key: row.name.clone(),
        name: visible(&row.name),
        cron: visible(&row.cron),
        zone: visible(&row.time_zone),
        task: visible(&row.task),
        arguments: arguments(row),
        enabled: row.enabled,
        next: row.next_at.filter(|_| row.enabled).map(When::of),
        last: row.last_at.map(When::of),
        catch_up: row.catch_up.as_str(),
    };
    render(&SchedulesPage {
        layout: Layout::new(&visitor, "/schedules", "Schedules"),
        rows: rows.iter().map(row).collect(),
        may_act: visitor.role >= AccessRole::Operator,
        may_remove: visitor.role >= AccessRole::Admin,
    })
}

#[derive(Debug, Deserialize)]
pub(crate) struct Name {
    name: String,
}

/// What can be done to a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Run,
    Pause,
    Resume,
    Remove,
}

/// `POST /schedules/{run,pause,resume,remove}`
pub(crate) async fn change(
    wish: Wish,
    Shares(app): Shares<Shared>,
    Form(Name { name }): Form<Name>,
) -> Result<Response, Trouble> {
    let store = &*app.store;
    let to = match wish {
        Wish::Run => {
            let id = schedules::run_now(store, &name).await?;
            format!("/tasks/{}", store.public_id(&id)?)
        }
        Wish::Pause => {
            schedules::pause(store, &name).await?;
            "/schedules".to_owned()
        }
        Wish::Resume => {
            schedules::resume(store, &name).await?;
            "/schedules".to_owned()
        }
        Wish::Remove => {
            schedules::remove(store, &name).await?;
            "/schedules".to_owned()
        }
    };
    Ok(Redirect::to(&to).into_response())
}
