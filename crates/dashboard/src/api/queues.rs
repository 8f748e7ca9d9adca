//! How full queues are.

use crate::app::Shared;
use crate::page::queues::lines;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// A queue. Numbers are absent for one that does not exist.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Queue {
    queue: String,
    /// Whose it is; absent for the platform's own queues.
    service: Option<String>,
    /// Messages that wait.
    ready: Option<u32>,
    consumers: Option<u32>,
    /// Messages in the service's dead queue, told with the first of its queues.
    dead: Option<u32>,
    /// Tasks of the service that were sent within the last minute, told with the first of its queues.
    sent_per_minute: Option<i64>,
    /// Whether somebody paused the service.
    paused: Option<bool>,
}

/// All queues, those of services first.
#[utoipa::path(get, path = "/api/queues", tag = "queues", responses(
    (status = 200, body = Vec<Queue>),
    (status = 503, description = "Broker or database do not answer."),
))]
pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Vec<Queue>>, Trouble> {
    let lines = lines(&app).await?.into_iter();
    let queue = |line: counterfoil_operations::queues::QueueLine| Queue {
        queue: line.queue.to_string(),
        service: line.service.map(|service| service.to_string()),
        ready: line.ready,
        consumers: line.consumers,
        dead: line.dead,
        sent_per_minute: line.sent_per_minute,
        paused: line.paused,
    };
    Ok(Json(lines.map(queue).collect()))
}
