//! Who acts: one worker with all demo tasks, and the sync daemon.

use super::stage::Stage;
use crate::failure::{Code, Failure};
use counterfoil_demo::export::ExportFolder;
use counterfoil_demo::{Playground, register};
use counterfoil_store::Store;
use counterfoil_sync::{Daemon, SyncError};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_worker::{Exit, Stopper, Worker};
use std::future::Future;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long each may take to finish what it has.
const LEAVE: Duration = Duration::from_secs(60);

/// How long each may take to drop what it has.
const DISMISS: Duration = Duration::from_secs(10);

/// How long the worker's last words may take to the database. They may get lost: its silence says the same.
const HEARD: Duration = Duration::from_secs(5);

/// How often the database is asked for them.
const ASK: Duration = Duration::from_millis(20);

/// The worker and the daemon at work.
pub(super) struct Cast {
    store: Arc<dyn Store>,
    worker_id: WorkerId,
    worker: JoinHandle<Exit>,
    stop_worker: Stopper,
    daemon: JoinHandle<Result<(), SyncError>>,
    stop_daemon: Option<oneshot::Sender<()>>,
}

impl Cast {
    /// Starts both.
    pub(super) fn enter(stage: &Stage) -> Result<Self, Failure> {
        hush(std::panic::take_hook());
        let (transport, names) = (stage.transport.clone(), stage.names.clone());
        let playground = Playground {
            exports: ExportFolder::new(stage.exports()),
            ..Playground::from_env().map_err(|error| Failure::new(Code::Failed, error))?
        };
        let builder = Worker::builder(
            transport.clone(),
            names.clone(),
            stage.config.worker.clone(),
        );
        let worker = register(builder, playground)
            .broker(&stage.config.broker)
            .build()
            .map_err(|error| Failure::new(Code::Configuration, error))?;
        let daemon = Daemon::new(
            transport,
            names,
            stage.store.clone(),
            stage.config.sync.clone(),
        );
        let (stop_daemon, stopped) = oneshot::channel::<()>();
        Ok(Self {
            store: stage.store.clone(),
            worker_id: worker.id().clone(),
            stop_worker: worker.stopper(),
            worker: tokio::spawn(worker.run_until(std::future::pending())),
            daemon: tokio::spawn(daemon.run_until(async {
                // Dropped or told: both mean the end.
                let _ = stopped.await;
            })),
            stop_daemon: Some(stop_daemon),
        })
    }

    /// Does `work`, unless worker or daemon end before it is done.
    pub(super) async fn guard<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            exit = &mut self.worker => Err(Failure::failed(format!("the worker ended too early: {exit:?}"))),
            ended = &mut self.daemon => Err(match ended {
                Ok(Err(error)) => Failure::new(Code::Failed, error),
                other => Failure::failed(format!("the daemon ended too early: {other:?}")),
            }),
        }
    }

    /// Lets both finish what they have.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        self.stop_worker.drain();
        let exit = tokio::time::timeout(LEAVE, &mut self.worker).await;
        if !matches!(exit, Ok(Ok(Exit::Drained))) {
            return Err(Failure::failed(format!(
                "the worker did not end well: {exit:?}"
            )));
        }
        // Last: it mirrors what the worker said at its end.
        let _ = tokio::time::timeout(HEARD, self.hears_the_worker_stop()).await;
        if let Some(stop_daemon) = self.stop_daemon.take() {
            let _ = stop_daemon.send(());
        }
        match tokio::time::timeout(LEAVE, &mut self.daemon).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Failure::new(Code::Failed, error)),
            other => Err(Failure::failed(format!(
                "the daemon did not end well: {other:?}"
            ))),
        }
    }

    async fn hears_the_worker_stop(&self) {
        let id = self.worker_id.to_string();
        loop {
            let rows = self.store.workers().await.unwrap_or_default();
            if rows.iter().any(|row| row.id == id && row.has_stopped()) {
                return;
            }
            tokio::time::sleep(ASK).await;
        }
    }

    /// Ends both where they are, if they have not left, and waits until neither writes any more.
    pub(super) async fn dismiss(mut self) {
        self.stop_worker.stop_now();
        ended(&mut self.worker).await;
        // Dropped, it tells the daemon to end.
        self.stop_daemon.take();
        ended(&mut self.daemon).await;
    }
}

/// Waits for what was told to end, and ends it where it does not.
async fn ended<T>(acting: &mut JoinHandle<T>) {
    if acting.is_finished() {
        return;
    }
    if tokio::time::timeout(DISMISS, &mut *acting).await.is_err() {
        acting.abort();
        let _ = acting.await;
    }
}

/// One kind of demo task panics on purpose, which is recorded like any failure and need not fill the
/// screen. Any other panic is news, and `loud` tells it.
fn hush(loud: Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>) {
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(counterfoil_demo::is_on_purpose) {
            tracing::warn!(reason = %info, "a task panicked");
        } else {
            loud(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_that_no_task_was_asked_for_is_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let before = std::panic::take_hook();
        let heard = told.clone();
        hush(Box::new(move |info| {
            heard
                .lock()
                .expect("no panic in here")
                .push(info.to_string());
        }));
        let panicked = std::panic::catch_unwind(|| panic!("the mirror broke")).is_err();
        std::panic::set_hook(before);
        let told = told.lock().expect("as above");
        assert!(
            panicked && told.len() == 1 && told[0].contains("the mirror broke"),
            "{told:?}"
        );
    }
}
