//! Metrics for Prometheus, and the one HTTP server of workers and daemons.

use super::metrics::{Kind, MESSAGES, METRICS, SECONDS};
use crate::transport::{Transport, spawn_beside};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How often recorded times are gathered into their buckets: else they would pile up while nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// The text format that Prometheus reads.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Metrics that cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Another recorder has the metrics of this process already.
    #[error(
        "something else records the metrics of this process; take out worker.metrics_bind, or that"
    )]
    Taken,
    /// The address cannot be listened at.
    #[error(
        "metrics cannot be served at {bind:?}: worker.metrics_bind must be a free address such as \"127.0.0.1:9100\""
    )]
    Bind {
        /// The address.
        bind: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A server of metrics. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Serving {
    _task: AbortOnDropHandle<()>,
    address: Option<std::net::SocketAddr>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.address
    }
}

/// Records the metrics of this process from now on. Parts that were made before (producers, workers, their
/// handlers) are not heard. It may be called again.
///
/// Recorded times pile up until somebody asks for them, so whoever does not [`serve`] them has to ask for them, or let
/// [`answer`] do so.
///
/// # Errors
/// [`MetricsError::Taken`] when there is another recorder.
pub fn install() -> Result<(), MetricsError> {
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    let by_name = |name: &str| Matcher::Full(name.to_owned());
    let builder = PrometheusBuilder::new();
    let recorder = builder
        .set_buckets_for_metric(by_name(super::metrics::BATCH_MESSAGES), &MESSAGES)
        .and_then(|builder| builder.set_buckets(&SECONDS))
        .expect("there are buckets")
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
    // An error: somebody was faster, with the same recorder.
    let _ = INSTALLED.set(handle);
    super::metrics::now_served();
    Ok(())
}

/// `GET /metrics`, once they are [recorded](install).
pub fn routes() -> Router {
    match INSTALLED.get() {
        None => Router::new(),
        Some(handle) => Router::new().route("/metrics", get(|| async { render(handle) })),
    }
}

/// The answer to `GET /metrics`, for whoever answers HTTP already; `None`: nothing is [recorded](install).
pub fn text() -> Option<impl IntoResponse + use<>> {
    INSTALLED.get().map(render)
}

fn render(handle: &PrometheusHandle) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, TEXT)], handle.render())
}

/// Records the metrics of this process and serves them at `bind`, where `transport` works: handlers that
/// block their threads do not hold it up. Call it before the worker is built. `None`: does nothing.
///
/// `GET /healthz` answers there as well, `alive`: that the threads which talk to the broker go round. Whether the
/// broker is there it does not say, since no restart mends that.
///
/// # Errors
/// [`MetricsError`] when the address is taken or none, or something else records.
pub async fn serve(
    transport: &dyn Transport,
    bind: Option<&str>,
) -> Result<Option<Serving>, MetricsError> {
    let Some(bind) = bind.map(str::to_owned) else {
        return Ok(None);
    };
    install()?;
    let failed = |bind: &str, source| MetricsError::Bind {
        bind: bind.to_owned(),
        source,
    };
    let at = bind.clone();
    // There, too: a socket is looked after by the threads that it was opened on.
    let bound = spawn_beside(transport, async move { TcpListener::bind(&at).await }).await;
    let bound = bound.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let listener = bound.map_err(|source| failed(&bind, source))?;
    let address = listener.local_addr().ok();
    tracing::info!(
        address = address.map(tracing::field::display),
        "metrics are served"
    );
    let routes = routes().route("/healthz", get(|| async { "alive\n" }));
    let serving = answer(listener, routes, CancellationToken::new());
    Ok(Some(Serving {
        _task: AbortOnDropHandle::new(spawn_beside(transport, serving)),
        address,
    }))
}

/// Keeps metrics in order, for as long as it is waited for. Whoever answers with [`text`] needs it: recorded times
/// would pile up while nobody asks.
pub async fn upkeep() {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        if let Some(handle) = INSTALLED.get() {
            handle.run_upkeep();
        }
    }
}

/// Answers HTTP at `listener` until `stop`, and keeps metrics in order meanwhile.
pub async fn answer(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::error!(%error, "HTTP is not answered any more");
        },
        () = upkeep() => {}
    }
}
