//! The stages of stopping, each including those before it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How far stopping has come, shared by everything that a worker runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    draining: CancellationToken,
    leaving: CancellationToken,
    killed: CancellationToken,
    at_once: CancellationToken,
}

impl Stop {
    /// Nothing new is started.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Running handlers are asked to leave.
    pub(crate) fn leave(&self) {
        self.drain();
        self.leaving.cancel();
    }

    /// Running handlers are dropped.
    pub(crate) fn kill(&self) {
        self.leave();
        self.killed.cancel();
    }

    /// Not even the last events are waited for.
    pub(crate) fn at_once(&self) {
        self.kill();
        self.at_once.cancel();
    }

    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    pub(crate) fn killed(&self) -> &CancellationToken {
        &self.killed
    }

    pub(crate) fn is_at_once(&self) -> &CancellationToken {
        &self.at_once
    }
}

/// Ends what is still running when a worker is dropped instead of stopped.
#[derive(Debug)]
pub(crate) struct StopOnDrop(pub(crate) Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.at_once();
    }
}

/// Stops a worker from elsewhere. Cheap to clone; see [`Worker::stopper`](crate::Worker::stopper).
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_worker::{Context, TaskError, Worker};
/// # use counterfoil_worker::Exit;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// let worker = platform.worker().handle(resize).build()?;
/// let stopper = worker.stopper();
/// let running = tokio::spawn(worker.run_until(std::future::pending()));
/// stopper.drain();
/// assert_eq!(running.await?, Exit::Drained);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Stopper(pub(crate) Stop);

impl Stopper {
    /// As the first signal does: takes nothing new, lets running tasks finish, then ends.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// As the second signal does: ends at once. What was running is delivered again.
    pub fn stop_now(&self) {
        self.0.at_once();
    }
}

/// Each signal takes the worker one step further.
pub(crate) async fn stop_on_signals(stopper: Stopper) -> std::convert::Infallible {
    let mut terminate = signal(SignalKind::terminate()).expect("the system has SIGTERM");
    let mut interrupt = signal(SignalKind::interrupt()).expect("the system has SIGINT");
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    tracing::info!("asked to stop: draining; a second signal stops at once");
    stopper.drain();
    next().await;
    tracing::warn!("asked to stop again: stopping at once");
    stopper.stop_now();
    std::future::pending().await
}
