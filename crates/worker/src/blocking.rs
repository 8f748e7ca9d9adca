//! Blocking code that an async handler runs on a thread of its own.

use crate::held::Held;
use crate::hung::see_off;
use crate::panic::{self, PanicNote};
use crate::shared::Shared;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Span;

/// Blocking code at work: see [`Context::spawn_blocking`](crate::Context::spawn_blocking).
///
/// Dropping it does not end the code, for no thread can be ended from outside. A worker that drains
/// does not wait for it; one that has too many which do not end, ends itself.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Hash { parts: u64 }
/// # impl counterfoil_toolbox::Task for Hash { const NAME: &'static str = "files.hash"; type Output = u64; }
/// async fn hash(task: Hash, cx: Context) -> Result<u64, TaskError> {
///     // Both are at work at the same time, each on a thread of its own.
///     let evens = cx.spawn_blocking(move || (0..task.parts).step_by(2).sum::<u64>());
///     let odds = cx.spawn_blocking(move || (1..task.parts).step_by(2).sum::<u64>());
///     Ok(evens.await + odds.await)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(Hash { parts: 10 }).by(|worker| worker.handle(hash)).await?;
/// assert_eq!(done.output(), &45);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "its outcome is lost unless it is awaited"]
pub struct Blocking<T: Send + 'static> {
    /// `None`: its outcome has been taken.
    thread: Option<JoinHandle<Result<T, PanicNote>>>,
    shared: Arc<Shared>,
    held: Arc<Held>,
}

impl<T: Send + 'static> Blocking<T> {
    pub(crate) fn start(
        shared: Arc<Shared>,
        held: Arc<Held>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let span = Span::current();
        let work = move || span.in_scope(|| panic::catch(work));
        Self {
            thread: Some(tokio::task::spawn_blocking(work)),
            shared,
            held,
        }
    }
}

impl<T: Send + 'static> Future for Blocking<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(thread) = &mut self.thread else {
            return Poll::Pending;
        };
        let joined = ready!(Pin::new(thread).poll(cx));
        self.thread = None;
        match joined {
            Ok(Ok(output)) => Poll::Ready(output),
            Ok(Err(note)) => panic::again(note),
            // The runtime has ended before the code began, so the handler ends too.
            Err(_) => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> Drop for Blocking<T> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take().filter(|it| !it.is_finished()) else {
            return;
        };
        // Outside of a runtime nothing can wait for it, and nothing is left to be protected.
        if let Ok(runtime) = Handle::try_current() {
            let (shared, held) = (self.shared.clone(), self.held.clone());
            let seeing_off = see_off(shared, held, thread);
            self.shared.executions.spawn_on(seeing_off, &runtime);
        }
    }
}
