//! Doing something to tasks.

use crate::access::Visitor;
use crate::act::{Choice, Deed, perform};
use crate::app::Shared;
use crate::trail::Came;
use crate::trouble::Trouble;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use counterfoil_operations::{Outcome, Told};
use serde::Serialize;
use utoipa::ToSchema;

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Became {
    /// Public id of the task.
    id: String,
    /// `done`, or `asked`: its worker may be done with the task before it stops.
    #[schema(value_type = String)]
    outcome: &'static str,
    /// What else there is to say.
    detail: Option<String>,
    /// What people should know.
    warnings: Vec<String>,
}

/// Does `deed` to one task.
pub(crate) async fn one(
    deed: Deed,
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<(Extension<Came>, Json<Became>), Trouble> {
    let mut done = perform(&app, &visitor, deed, Choice::One(id)).await?;
    let came = done.came();
    let Some(Told { subject, outcome }) = done.told.pop() else {
        return Err(Trouble::not_found("the task was deleted meanwhile"));
    };
    let (outcome, detail) = match outcome {
        Outcome::Done(detail) => ("done", detail),
        Outcome::Asked(whom) => ("asked", Some(whom)),
        Outcome::Failed(why) => {
            return Err(Trouble::new(StatusCode::CONFLICT, why.to_string()));
        }
    };
    let became = Became {
        id: subject.id,
        outcome,
        detail,
        warnings: done.warnings,
    };
    Ok((Extension(came), Json(became)))
}

/// How the deeds stand in the document. What answers is [`one`].
macro_rules! document {
    ($name:ident, $method:ident, $path:literal, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path($method, path = $path, tag = "tasks", params(("id" = String, Path, description = "Public id")), responses(
            (status = 200, body = Became),
            (status = 404, description = "No task has this id."),
            (status = 409, description = "It cannot be done to it as it stands."),
            (status = 503, description = "Broker or database do not answer."),
        ))]
        #[allow(dead_code, reason = "it only stands in the document")]
        pub(crate) fn $name() {}
    };
}

document!(
    cancel,
    post,
    "/api/tasks/{id}/cancel",
    "Cancels a task: what has not been started never will be, what runs is asked to stop."
);
document!(
    rerun,
    post,
    "/api/tasks/{id}/rerun",
    "Runs a task that is over again, as the next run of the same task."
);
document!(
    pause,
    post,
    "/api/tasks/{id}/pause",
    "Keeps a task that has not been started from starting."
);
document!(
    resume,
    post,
    "/api/tasks/{id}/resume",
    "Lets a task start that was paused."
);
document!(
    delete,
    delete,
    "/api/tasks/{id}",
    "Removes a task that is over, with its result, history and log."
);
