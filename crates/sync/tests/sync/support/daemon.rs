//! A daemon that runs in the background of a test.

use super::SOON;
use counterfoil_sync::health::{Health, Report};
use counterfoil_sync::{Daemon, SyncError};
use counterfoil_testkit::eventually;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Running {
    pub(crate) health: Arc<Health>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), SyncError>>,
}

impl Running {
    pub(crate) fn start(daemon: Daemon) -> Self {
        let stop = CancellationToken::new();
        let health = daemon.health();
        let running = tokio::spawn(daemon.run_until(stop.clone().cancelled_owned()));
        Self {
            health,
            stop,
            running,
        }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) async fn stop(self) -> Result<(), SyncError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Result<(), SyncError> {
        self.running.await.expect("the daemon does not panic")
    }

    /// Ends it as a crash would: nothing more is written or acknowledged.
    pub(crate) async fn crash(self) {
        self.running.abort();
        let _ = self.running.await;
    }

    /// Waits until its report is as wanted, and returns it.
    pub(crate) async fn reports(
        &self,
        what: &str,
        wanted: impl Fn(&Report) -> bool,
    ) -> anyhow::Result<Report> {
        eventually(what, SOON, async || {
            let report = self.health.report();
            Ok(wanted(&report).then_some(report))
        })
        .await
    }

    /// Waits until it consumes and writes.
    pub(crate) async fn ready(&self) -> anyhow::Result<Report> {
        self.reports("the daemon to be ready", |report| report.ready)
            .await
    }
}
