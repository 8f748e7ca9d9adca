//! The JSON API, under `/api`. Everything is found by public ids; the keys are the names of the columns.

pub(crate) mod deeds;
pub(crate) mod queues;
pub(crate) mod send;
pub(crate) mod sessions;
pub(crate) mod task;
pub(crate) mod tasks;
pub(crate) mod workers;

use axum::Json;
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
