//! `/healthz`, `/readyz`, and `/metrics` where they are recorded.

use super::{Health, Report};
use crate::error::SyncError;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use counterfoil_toolbox::telemetry::prometheus;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Opens the address where health checks are answered.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, SyncError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| SyncError::HealthBind {
            bind: address.to_owned(),
            source,
        })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health checks are answered");
    }
    Ok(listener)
}

/// Answers until `stop`.
pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>, stop: CancellationToken) {
    let app = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(prometheus::routes());
    prometheus::answer(listener, app, stop).await;
}

/// Whether the process should live: its loop goes round, whatever broker and database do.
async fn healthz(State(health): State<Arc<Health>>) -> (StatusCode, Json<Report>) {
    let report = health.report();
    (code(report.alive), Json(report))
}

/// Whether it does its work.
async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, Json<Report>) {
    let report = health.report();
    (code(report.ready), Json(report))
}

fn code(good: bool) -> StatusCode {
    if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
