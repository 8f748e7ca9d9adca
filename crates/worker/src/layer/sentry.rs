//! Telling Sentry of tasks that do not succeed.

use super::{Answer, Call, HandlerService, Layer, Service};
use crate::context::Context;
use crate::task_error::TaskError;
use futures::FutureExt;
use futures::future::BoxFuture;
use sentry_core::protocol::{Event, Level};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::task::{self, Poll};

/// Sends an event to Sentry for every execution that fails or panics, with the task's name, id and
/// attempt. Executions that only ask to be retried without being counted are none.
///
/// The application sets Sentry up (`sentry::init`), and keeps its guard until the worker has ended.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_worker::{Context, TaskError, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// use counterfoil_worker::layer::SentryLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// let worker = platform.worker().handle(resize).layer(SentryLayer).build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SentryLayer;

/// What [`SentryLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct SentryService(HandlerService);

impl Layer<HandlerService> for SentryLayer {
    type Service = SentryService;

    fn layer(&self, inner: HandlerService) -> SentryService {
        SentryService(inner)
    }
}

impl Service<Call> for SentryService {
    type Response = super::Output;
    type Error = TaskError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), TaskError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let cx = call.cx().clone();
        let answer = self.0.call(call);
        Box::pin(async move {
            match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(Ok(output)) => Ok(output),
                Ok(Err(error)) => {
                    if error.is_failure() {
                        tell(&cx, error.to_string());
                    }
                    Err(error)
                }
                Err(panic) => {
                    let text = panic.downcast_ref::<&str>().copied();
                    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                    tell(&cx, format!("panicked: {}", text.unwrap_or("no text")));
                    resume_unwind(panic)
                }
            }
        })
    }
}

fn tell(cx: &Context, message: String) {
    let mut event = Event::new();
    event.level = Level::Error;
    event.message = Some(message);
    event.transaction = Some(cx.task_name().to_string());
    let tags = [
        ("task_id", cx.task_id().to_string()),
        ("task_name", cx.task_name().to_string()),
        ("attempt", cx.lineage().to_string()),
    ];
    event.tags = tags.map(|(name, value)| (name.to_owned(), value)).into();
    // One issue per task and error, however many tasks fail with it.
    let task = cx.task_name().to_string().into();
    event.fingerprint = vec!["{{ default }}".into(), task].into();
    sentry_core::capture_event(event);
}
