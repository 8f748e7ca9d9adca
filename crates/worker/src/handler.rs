//! From a function of the user's to something that runs any message of its task.

use crate::context::Context;
use crate::gate::Place;
use crate::panic::{self, PanicNote};
use crate::slots::Permit;
use crate::task_error::TaskError;
use crate::tokens::Token;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::call::{BadArguments, Signature};
use counterfoil_toolbox::message::Payload;
use serde_json::value::RawValue;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use tracing::Span;

/// A place among the handlers that run at the same time, and among those of its type.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) _any: Permit,
    pub(crate) _of_type: Option<Place>,
    /// What it runs by, if its concurrency is limited over all workers.
    pub(crate) token: Option<Token>,
}

/// What a handler came back with.
#[derive(Debug)]
pub(crate) enum Returned {
    /// Its output as JSON; `None` for null.
    Output(Option<Box<RawValue>>),
    /// It gave up.
    Error(TaskError),
    /// Its output cannot be written as JSON.
    Unwritable(String),
    /// It panicked on a thread of its own.
    Panicked(PanicNote),
    /// The runtime ended under it.
    Abandoned,
}

/// A handler at work. Dropping it ends an async handler; a blocking one goes on unheard.
pub(crate) type Running = Pin<Box<dyn Future<Output = Returned> + Send>>;

/// A handler whose task type has been forgotten.
pub(crate) trait Handler: Send + Sync {
    /// Starts the handler. `slot` is its place among those that run at the same time, given back
    /// when its code has really ended. `None`: that is nobody's any more.
    fn start(
        &self,
        payload: &Payload,
        cx: Context,
        slot: Option<Arc<Slot>>,
    ) -> Result<Running, BadArguments>;

    /// Whether it goes on when what awaits it is dropped.
    fn is_blocking(&self) -> bool;
}

/// An `async fn(T, Context)`.
pub(crate) struct AsyncHandler<T, F> {
    function: F,
    signature: Signature,
    task: PhantomData<fn(T)>,
}

impl<T: Task, F> AsyncHandler<T, F> {
    pub(crate) fn new(function: F) -> Self {
        Self {
            function,
            signature: Signature::of::<T>(),
            task: PhantomData,
        }
    }
}

impl<T, F, Fut> Handler for AsyncHandler<T, F>
where
    T: Task,
    F: Fn(T, Context) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T::Output, TaskError>> + Send + 'static,
{
    fn start(
        &self,
        payload: &Payload,
        cx: Context,
        slot: Option<Arc<Slot>>,
    ) -> Result<Running, BadArguments> {
        let task: T = self.signature.bind(payload.args(), payload.kwargs())?;
        let work = (self.function)(task, cx);
        Ok(Box::pin(async move {
            let _slot = slot;
            returned(work.await)
        }))
    }

    fn is_blocking(&self) -> bool {
        false
    }
}

/// An `async fn(Payload, Context)`, which takes any arguments.
pub(crate) struct RawHandler<F>(pub(crate) F);

impl<F, Fut, R> Handler for RawHandler<F>
where
    F: Fn(Payload, Context) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
    R: serde::Serialize,
{
    fn start(
        &self,
        payload: &Payload,
        cx: Context,
        slot: Option<Arc<Slot>>,
    ) -> Result<Running, BadArguments> {
        let work = (self.0)(payload.clone(), cx);
        Ok(Box::pin(async move {
            let _slot = slot;
            returned(work.await)
        }))
    }

    fn is_blocking(&self) -> bool {
        false
    }
}

/// A `fn(T, Context)` that may block its thread.
pub(crate) struct BlockingHandler<T, F> {
    function: Arc<F>,
    signature: Signature,
    task: PhantomData<fn(T)>,
}

impl<T: Task, F> BlockingHandler<T, F> {
    pub(crate) fn new(function: F) -> Self {
        Self {
            function: Arc::new(function),
            signature: Signature::of::<T>(),
            task: PhantomData,
        }
    }
}

impl<T, F> Handler for BlockingHandler<T, F>
where
    T: Task,
    F: Fn(T, Context) -> Result<T::Output, TaskError> + Send + Sync + 'static,
{
    fn start(
        &self,
        payload: &Payload,
        cx: Context,
        slot: Option<Arc<Slot>>,
    ) -> Result<Running, BadArguments> {
        let task: T = self.signature.bind(payload.args(), payload.kwargs())?;
        let function = self.function.clone();
        Ok(Box::pin(async move {
            let span = Span::current();
            let joined = tokio::task::spawn_blocking(move || {
                // A thread cannot be ended from outside: it keeps its slot until it ends, so a
                // handler that hangs can never pile up threads beyond the concurrency.
                let _slot = slot;
                span.in_scope(|| panic::catch(|| returned(function(task, cx))))
            });
            match joined.await {
                Ok(Ok(returned)) => returned,
                Ok(Err(note)) => Returned::Panicked(note),
                Err(_) => Returned::Abandoned,
            }
        }))
    }

    fn is_blocking(&self) -> bool {
        true
    }
}

fn returned<T: serde::Serialize>(result: Result<T, TaskError>) -> Returned {
    match result.map(|output| serde_json::value::to_raw_value(&output)) {
        Ok(Ok(json)) => Returned::Output((json.get() != "null").then_some(json)),
        Ok(Err(error)) => Returned::Unwritable(error.to_string()),
        Err(error) => Returned::Error(error),
    }
}
