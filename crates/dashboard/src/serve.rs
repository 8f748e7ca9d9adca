//! Answering, until it is time to end.

use crate::app::Dashboard;
use crate::{connections, headers, live, routes, trouble};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use counterfoil_toolbox::telemetry::prometheus;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long answers that are being written may take at the end.
const CLOSING: Duration = Duration::from_secs(5);

impl Dashboard {
    /// All routes, with what stands before them.
    pub(crate) fn router(&self) -> Router {
        routes::router(&self.app)
            .layer(from_fn(trouble::tell))
            .layer(from_fn_with_state(self.app.clone(), headers::add))
    }

    /// Answers at `listener` until `stop`, and then for at most 5 s what is being answered.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let (router, ending) = (self.router(), self.app.stop.clone());
        let limits = connections::Limits::default();
        let serving = connections::answer(listener, router, limits, ending.clone());
        let watching = live::watch(self.app.clone(), ending.clone());
        let late = async {
            stop.cancelled().await;
            ending.cancel();
            tokio::time::sleep(CLOSING).await;
        };
        let answering = async {
            tokio::select! {
                () = serving => {}
                () = late => tracing::warn!("some answers were not written in time"),
            }
            ending.cancel();
            self.app.deeds.close();
            let done = tokio::time::timeout(CLOSING, self.app.deeds.wait()).await;
            if done.is_err() {
                tracing::warn!("something that somebody did was not done in time");
            }
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(answering, watching) } => {}
            () = prometheus::upkeep() => {}
        }
    }
}
