//! Whether the dashboard lives, and whether it can do its work.

use crate::app::Shared;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use counterfoil_toolbox::telemetry::prometheus;
use serde::Serialize;
use std::time::Duration;

/// How long the database may take for the one who asks whether it is there.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct Report {
    /// Whether the database answers.
    database: bool,
    /// Whether tasks can be sent: without the broker, everything can still be looked at.
    broker: bool,
}

/// `GET /healthz`: the process answers, whatever broker and database do.
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// `GET /readyz`
pub(crate) async fn ready(State(app): State<Shared>) -> Response {
    let database = tokio::time::timeout(PATIENCE, app.store.ping()).await;
    let report = Report {
        database: matches!(database, Ok(Ok(()))),
        broker: app.can_send(),
    };
    let status = match report.database {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

/// `GET /metrics`
pub(crate) async fn metrics() -> Result<Response, Trouble> {
    let text = prometheus::text();
    let text = text.ok_or_else(|| Trouble::not_found("no metrics are recorded here"))?;
    Ok(text.into_response())
}
