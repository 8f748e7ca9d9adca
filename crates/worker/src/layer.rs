//! What users put around their handlers: timing, tracing, error reports.
//!
//! The parts are those of `tower`: a [`Layer`] turns a [`HandlerService`] into another service, and
//! [`from_fn`] makes a layer of an `async fn`.
//!
//! ```
//! use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
//! # use counterfoil_worker::WorkerBuilder;
//!
//! async fn timed(call: Call, next: Next) -> Answer {
//!     let (name, began) = (call.cx().task_name().clone(), std::time::Instant::now());
//!     let answer = next.run(call).await;
//!     println!("{name} took {:?}, and {}", began.elapsed(), if answer.is_ok() { "went well" } else { "did not" });
//!     answer
//! }
//!
//! # fn example(builder: WorkerBuilder) -> WorkerBuilder {
//! builder.layer(from_fn(timed))
//! # }
//! ```

#[cfg(feature = "sentry")]
mod sentry;

#[cfg(feature = "sentry")]
pub use sentry::SentryLayer;
pub use tower_layer::Layer;
pub use tower_service::Service;

use crate::context::Context;
use crate::handler::{Returned, Running};
use crate::task_error::TaskError;
use futures::future::BoxFuture;
use serde_json::value::RawValue;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{self, Poll};

/// One execution on its way to its handler. Its arguments have been read already. [`from_fn`] shows it at work.
pub struct Call {
    cx: Context,
    handler: Running,
}

/// What comes back: what the handler returned. A layer may turn it into another error.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(_: Resize, _: Context) -> Result<u32, TaskError> { Err(TaskError::retry("the disk is full")) }
/// use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
///
/// /// Nothing here gets better by waiting.
/// async fn once_only(call: Call, next: Next) -> Answer {
///     next.run(call).await.map_err(|error| TaskError::fail(error.to_string()))
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(Resize { width: 9 });
/// let done = done.by(|worker| worker.handle(resize).layer(from_fn(once_only))).await?;
/// assert!(done.fault().message.contains("the disk is full"));
/// # Ok(()) }
/// ```
pub type Answer = Result<Output, TaskError>;

/// What a handler returned, as JSON. See [`Answer`].
#[derive(Debug)]
pub struct Output(Option<Box<RawValue>>);

/// Handlers, with the layers inside of yet another one around them.
///
/// Where an `async fn` and [`from_fn`] are not enough, a service of `tower` goes around it:
///
/// ```
/// # use counterfoil_worker::TaskError;
/// # use std::task::{Context, Poll};
/// use counterfoil_worker::layer::{Call, HandlerService, Output, Service};
///
/// #[derive(Clone)]
/// struct Told(HandlerService);
///
/// impl Service<Call> for Told {
///     type Response = Output;
///     type Error = TaskError;
///     type Future = <HandlerService as Service<Call>>::Future;
///     # fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TaskError>> { self.0.poll_ready(cx) }
///
///     fn call(&mut self, call: Call) -> Self::Future {
///         call.cx().progress(0, None, "begun");
///         self.0.call(call)
///     }
/// }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: counterfoil_worker::Context) -> Result<u32, TaskError> { Ok(task.width) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let done = counterfoil_testkit::Perform::new(Resize { width: 9 });
/// # let done = done.by(|worker| {
/// worker.handle(resize).layer(tower_layer::layer_fn(Told))
/// # }).await?;
/// # assert!(done.progress().is_some());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HandlerService(Option<Arc<dyn Around>>);

/// A service whose type has been forgotten.
trait Around: Send + Sync {
    fn call(&self, call: Call) -> BoxFuture<'static, Answer>;
}

impl Call {
    /// The execution.
    #[must_use]
    pub fn cx(&self) -> &Context {
        &self.cx
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.cx).finish()
    }
}

impl Output {
    /// The JSON text. `null` when there is nothing to tell.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
    ///
    /// async fn checked(call: Call, next: Next) -> Answer {
    ///     let output = next.run(call).await?;
    ///     assert_eq!(output.json(), "100");
    ///     Ok(output)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Resize { width: 100 });
    /// let done = done.by(|worker| worker.handle(resize).layer(from_fn(checked))).await?;
    /// assert_eq!(done.output(), &100);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.as_ref().map_or("null", |json| json.get())
    }
}

impl fmt::Debug for HandlerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerService")
    }
}

impl HandlerService {
    /// The handlers themselves.
    pub(crate) const HANDLERS: Self = Self(None);

    /// `self` with `layer` around it.
    pub(crate) fn within<L>(self, layer: L) -> Self
    where
        L: Layer<Self>,
        L::Service: Service<Call, Response = Output, Error = TaskError>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        Self(Some(Arc::new(Erased(layer.layer(self)))))
    }

    /// Starts a handler with everything around it.
    pub(crate) fn start<E>(
        &self,
        cx: Context,
        handler: impl FnOnce(Context) -> Result<Running, E>,
    ) -> Result<Running, E> {
        let Some(around) = &self.0 else {
            return handler(cx);
        };
        let handler = handler(cx.clone())?;
        let answer = around.call(Call { cx, handler });
        Ok(Box::pin(async move {
            match answer.await {
                Ok(Output(json)) => Returned::Output(json),
                Err(error) => error.into_returned(),
            }
        }))
    }
}

impl Service<Call> for HandlerService {
    type Response = Output;
    type Error = TaskError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), TaskError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match &self.0 {
            Some(around) => around.call(call),
            None => Box::pin(async move {
                match call.handler.await {
                    Returned::Output(json) => Ok(Output(json)),
                    Returned::Error(error) => Err(error),
                    other @ (Returned::Unwritable(_)
                    | Returned::Panicked(_)
                    | Returned::Abandoned) => Err(TaskError::returned(other)),
                }
            }),
        }
    }
}

struct Erased<S>(S);

impl<S> Around for Erased<S>
where
    S: Service<Call, Response = Output, Error = TaskError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn call(&self, call: Call) -> BoxFuture<'static, Answer> {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(call).await
        })
    }
}

/// A layer made of an `async fn(Call, Next) -> Answer`: see the [module](self).
///
/// ```
/// # use counterfoil_testkit::{Outcome, Perform};
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
///
/// /// In front of every handler: what it refuses does not begin.
/// async fn wanted_ones_only(call: Call, next: Next) -> Answer {
///     if call.cx().creator().is_none() {
///         return Err(TaskError::fail("nobody asked for it"));
///     }
///     next.run(call).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(Resize { width: 100 });
/// let done = done.by(|worker| worker.handle(resize).layer(from_fn(wanted_ones_only))).await?;
/// assert_eq!(done.fault().message, "nobody asked for it");
/// # Ok(()) }
/// ```
pub fn from_fn<F, Fut>(function: F) -> FromFn<F>
where
    F: Fn(Call, Next) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    FromFn(function)
}

/// See [`from_fn`].
#[derive(Debug, Clone)]
pub struct FromFn<F>(F);

/// What a [`FromFn`] makes of a service.
#[derive(Debug, Clone)]
pub struct FromFnService<F> {
    function: F,
    inner: HandlerService,
}

/// The way on to the handler.
#[derive(Debug)]
pub struct Next(HandlerService);

impl Next {
    /// Runs what is inside: other layers, then the handler.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
    ///
    /// /// Behind every handler: retries that it asked for become failures.
    /// async fn once(call: Call, next: Next) -> Answer {
    ///     next.run(call).await.map_err(|error| TaskError::fail(error.to_string()))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let failing = |_: Resize, _: Context| async { Err(TaskError::retry("no such file")) };
    /// let done = Perform::new(Resize { width: 100 });
    /// let done = done.by(|worker| worker.handle(failing).layer(from_fn(once))).await?;
    /// assert!(matches!(done.outcome(), Outcome::Failed(fault) if fault.message == "no such file"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the handler gave up with.
    ///
    /// # Cancel safety
    /// Cancelled, the handler ends at its next await.
    pub async fn run(mut self, call: Call) -> Answer {
        self.0.call(call).await
    }
}

impl<F: Clone> Layer<HandlerService> for FromFn<F> {
    type Service = FromFnService<F>;

    fn layer(&self, inner: HandlerService) -> Self::Service {
        FromFnService {
            function: self.0.clone(),
            inner,
        }
    }
}

impl<F, Fut> Service<Call> for FromFnService<F>
where
    F: Fn(Call, Next) -> Fut,
    Fut: Future<Output = Answer> + Send + 'static,
{
    type Response = Output;
    type Error = TaskError;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), TaskError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Fut {
        (self.function)(call, Next(self.inner.clone()))
    }
}
