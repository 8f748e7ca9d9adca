//! The JSON API, under `/api`. Everything is found by public ids; the keys are the names of the columns.

pub(crate) mod dead;
pub(crate) mod deeds;
pub(crate) mod parked;
pub(crate) mod queues;
pub(crate) mod schedules;
pub(crate) mod send;
pub(crate) mod services;
pub(crate) mod sessions;
pub(crate) mod task;
pub(crate) mod tasks;
pub(crate) mod workers;

use crate::page::outcome::Done;
use crate::trail::Came;
use crate::trouble::Trouble;
use axum::{Extension, Json};
use counterfoil_operations::Outcome;
use serde::de::DeserializeOwned;
use utoipa::OpenApi;

/// A list, and where it goes on.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// The things, in their order.
    pub(crate) items: Vec<T>,
    /// `before` of the page before this one; absent on the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// What became of several things.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Dealt {
    /// To how many it was done.
    done: usize,
    /// To how many it could not be done.
    failed: usize,
    /// What became of each.
    outcomes: Vec<Fared>,
    /// What people should know.
    warnings: Vec<String>,
}

/// One of several things, and what became of it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Fared {
    /// Public id of its task; absent where no task has the message, or where there is no row of it.
    task: Option<String>,
    /// Type of that task.
    r#type: Option<String>,
    /// `done` or `failed`.
    #[schema(value_type = String)]
    outcome: &'static str,
    /// What else there is to say, or why it failed.
    detail: Option<String>,
}

impl Dealt {
    /// The answer, and what the trail is told of it. Tasks have their public ids by then.
    fn of(done: Done) -> (Extension<Came>, Json<Self>) {
        let came = Extension(done.came());
        let outcomes = done.told.into_iter().map(|told| {
            let (outcome, detail) = match told.outcome {
                Outcome::Done(detail) => ("done", detail),
                Outcome::Asked(whom) => ("done", Some(whom)),
                Outcome::Failed(why) => ("failed", Some(why.to_string())),
            };
            Fared {
                task: told.subject.task_id,
                r#type: told.subject.name,
                outcome,
                detail,
            }
        });
        let outcomes: Vec<Fared> = outcomes.collect();
        let failed = outcomes.iter().filter(|fared| fared.outcome == "failed");
        let failed = failed.count();
        let dealt = Self {
            done: outcomes.len() - failed,
            failed,
            outcomes,
            warnings: done.warnings,
        };
        (came, Json(dealt))
    }
}

/// Things that one request may name.
const NAMED: usize = 1000;

/// Whether a request names as many things as it may: a program whose list came out empty means none, not all.
///
/// # Errors
/// When it does not.
fn names_some<T>(ids: &[T]) -> Result<(), Trouble> {
    match (1..=NAMED).contains(&ids.len()) {
        true => Ok(()),
        false => Err(Trouble::bad("ids: from 1 to 1000 were expected")),
    }
}

/// What a request asks for.
///
/// # Errors
/// What is wrong with it.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body)
        .map_err(|error| Trouble::bad(format!("the request is none: {error}")))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "counterfoil",
        description = "Tasks of a platform: what became of them, and what people do about them. Programs send \
            `Authorization: Bearer` and a token. What goes wrong is told as `application/problem+json` (RFC 9457)."
    ),
    paths(
        tasks::list,
        send::send,
        task::show,
        task::history,
        task::log,
        task::tree,
        deeds::cancel,
        deeds::rerun,
        deeds::pause,
        deeds::resume,
        deeds::delete,
        sessions::list,
        sessions::show,
        sessions::abort,
        queues::list,
        workers::list,
        services::list,
        services::pause,
        services::resume,
        dead::list,
        dead::redrive,
        dead::discard,
        parked::list,
        parked::redrive,
        parked::discard,
        schedules::list,
        schedules::run,
        schedules::pause,
        schedules::resume,
        schedules::remove,
        crate::live::stream::events,
        crate::embed::link,
        crate::embed::json
    )
)]
struct Document;

/// What the API can do.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// `GET /api/openapi.json`
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
