//! How a handler says that it did not do what it was asked to.

use crate::extension::Replacement;
use crate::handler::Returned;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::message::Payload;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The cause of a [`TaskError`]: any error, or a text.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a handler gave up, and what shall become of its task.
///
/// Every error type turns into a counted retry by itself, so `?` does the usual thing:
///
/// ```
/// # use counterfoil_worker::TaskError;
/// fn read() -> Result<String, TaskError> {
///     Ok(std::fs::read_to_string("parcels.csv")?) // fails: the task is retried with backoff
/// }
/// ```
///
/// The constructors say something else. They take errors, texts, and `anyhow::Error`:
///
/// ```
/// # use counterfoil_worker::TaskError;
/// # let page_is_gone = true;
/// # let f = || -> Result<(), TaskError> {
/// if page_is_gone {
///     return Err(TaskError::fail("the page is gone for good")); // no more attempts
/// }
/// # Ok(()) };
/// ```
#[derive(Debug)]
pub struct TaskError {
    pub(crate) verdict: Verdict,
    /// With which arguments it is retried. `None`: with those that it had.
    pub(crate) arguments: Option<Box<Payload>>,
    pub(crate) cause: BoxError,
}

/// What shall become of the task.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Again, after `delay` or as the task's backoff says.
    Retry {
        delay: Option<Duration>,
        counted: bool,
    },
    /// Never again.
    Fail,
    /// To the dead queue.
    Reject,
    /// There was nothing to do, which is fine.
    Skip,
    /// Another task goes on in its place.
    Replaced(Box<Replacement>),
    /// The handler did not return an error at all, but this, on its way through layers.
    Returned(Box<Returned>),
}

impl TaskError {
    /// Again, after the task's backoff, until its retries are used up. What `?` does.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = (); }
    /// async fn fetch(task: Fetch, _: Context) -> Result<(), TaskError> {
    ///     Err(TaskError::retry(format!("page {} is empty", task.page)))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
    /// assert!(matches!(done.outcome(), Outcome::Retry { counted: true, .. }));
    /// assert_eq!(done.fault().message, "page 7 is empty");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn retry(cause: impl Into<BoxError>) -> Self {
        let (delay, counted) = (None, true);
        Self::new(Verdict::Retry { delay, counted }, cause)
    }

    /// Again, after `delay`, until the task's retries are used up.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = (); }
    /// async fn fetch(_: Fetch, _: Context) -> Result<(), TaskError> {
    ///     Err(TaskError::retry_after("503, with Retry-After: 30", Duration::from_secs(30)))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
    /// assert!(matches!(done.outcome(), Outcome::Retry { after, counted: true, .. } if after.as_secs() == 30));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn retry_after(cause: impl Into<BoxError>, delay: Duration) -> Self {
        let (delay, counted) = (Some(delay), true);
        Self::new(Verdict::Retry { delay, counted }, cause)
    }

    /// Again, after `delay`, without using up a retry: for being throttled, or too early.
    ///
    /// No limit ends such retries, so short delays are stretched: to 100 ms at least the first
    /// time, twice that the second time, and one second in the end.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = (); }
    /// async fn fetch(_: Fetch, _: Context) -> Result<(), TaskError> {
    ///     Err(TaskError::retry_uncounted("429, too many requests", Duration::from_secs(5)))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
    /// assert!(matches!(done.outcome(), Outcome::Retry { counted: false, .. }));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn retry_uncounted(cause: impl Into<BoxError>, delay: Duration) -> Self {
        let (delay, counted) = (Some(delay), false);
        Self::new(Verdict::Retry { delay, counted }, cause)
    }

    /// Of a retry: with these arguments, as JSON text, instead of those that the task had.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Harvest { from: u32 }
    /// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.all"; type Output = (); }
    /// async fn harvest(task: Harvest, _: Context) -> Result<(), TaskError> {
    ///     let rest = format!(r#"{{"from": {}}}"#, task.from + 100);
    ///     Err(TaskError::retry("page 100 is missing").with_arguments("[]", &rest)) // it goes on behind that
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Harvest { from: 0 }).by(|worker| worker.handle(harvest)).await?;
    /// assert!(matches!(done.outcome(), Outcome::Retry { .. }));
    /// # Ok(()) }
    /// ```
    ///
    /// What cannot be arguments fails the task, with the reason.
    #[must_use]
    pub fn with_arguments(mut self, args: &str, kwargs: &str) -> Self {
        match Payload::new(args, kwargs) {
            Ok(payload) => {
                self.arguments = Some(Box::new(payload));
                self
            }
            Err(why) => Self::fail(format!("it cannot be retried with other arguments: {why}")),
        }
    }

    /// No more attempts: the task fails now.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = (); }
    /// async fn fetch(_: Fetch, _: Context) -> Result<(), TaskError> {
    ///     Err(TaskError::fail("404, no such page")) // another attempt would end like this one
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
    /// assert!(matches!(done.outcome(), Outcome::Failed(fault) if fault.message == "404, no such page"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn fail(cause: impl Into<BoxError>) -> Self {
        Self::new(Verdict::Fail, cause)
    }

    /// No more attempts, and the message is kept in the dead queue, from which it can be sent again.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = (); }
    /// async fn fetch(_: Fetch, _: Context) -> Result<(), TaskError> {
    ///     Err(TaskError::reject("401, the key has expired")) // with a new key, people send it again
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
    /// assert!(matches!(done.outcome(), Outcome::Dead(_)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn reject(cause: impl Into<BoxError>) -> Self {
        Self::new(Verdict::Reject, cause)
    }

    /// There is nothing to do. The task succeeds without a result; its session counts it as
    /// skipped.
    ///
    /// ```
    /// # use counterfoil_testkit::{Outcome, Perform};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = (); }
    /// async fn fetch(_: Fetch, _: Context) -> Result<(), TaskError> {
    ///     Err(TaskError::skip("304, not modified"))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
    /// assert_eq!(done.outcome(), &Outcome::Skipped("304, not modified".to_owned()));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn skip(reason: impl Into<BoxError>) -> Self {
        Self::new(Verdict::Skip, reason)
    }

    /// The task is not over: others go on in its place, and the last of them has its id. Its result is that one's.
    ///
    /// [`Replacement`] has an example.
    #[must_use]
    pub fn replaced(replacement: Replacement) -> Self {
        let cause = format!("it is replaced by {}", replacement.by);
        Self::new(Verdict::Replaced(Box::new(replacement)), cause)
    }

    /// Whether the execution failed: it did not merely put the task off, or find nothing to do.
    ///
    /// ```
    /// use counterfoil_worker::TaskError;
    /// use std::time::Duration;
    ///
    /// assert!(TaskError::retry("time-out").is_failure());
    /// assert!(!TaskError::retry_uncounted("throttled", Duration::from_secs(5)).is_failure());
    /// assert!(!TaskError::skip("not modified").is_failure());
    /// ```
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self.verdict {
            Verdict::Retry { counted, .. } => counted,
            Verdict::Fail | Verdict::Reject | Verdict::Returned(_) => true,
            Verdict::Skip | Verdict::Replaced(_) => false,
        }
    }

    /// Carries what is no error of the handler's through layers, which only know errors.
    pub(crate) fn returned(returned: Returned) -> Self {
        let cause = match &returned {
            Returned::Unwritable(why) => format!("the result cannot be written as JSON: {why}"),
            Returned::Panicked(note) => format!("panicked: {}", note.message),
            Returned::Abandoned | Returned::Output(_) | Returned::Error(_) => {
                "the worker stops".to_owned()
            }
        };
        Self::new(Verdict::Returned(Box::new(returned)), cause)
    }

    /// What the handler came back with, layers or not.
    pub(crate) fn into_returned(self) -> Returned {
        match self.verdict {
            Verdict::Returned(returned) => *returned,
            Verdict::Retry { .. }
            | Verdict::Fail
            | Verdict::Reject
            | Verdict::Skip
            | Verdict::Replaced(_) => Returned::Error(self),
        }
    }

    /// The same as an error of a task that has called the one which failed with it: what would become of that does not
    /// become of this.
    pub(crate) fn of_another(mut self) -> Self {
        self.arguments = None;
        if matches!(self.verdict, Verdict::Replaced(_)) {
            self.verdict = Verdict::Fail;
        }
        self
    }

    /// What goes on in the task's place, if that is what it says.
    pub(crate) fn into_replacement(self) -> Result<Replacement, Self> {
        match self.verdict {
            Verdict::Replaced(replacement) => Ok(*replacement),
            Verdict::Retry { .. }
            | Verdict::Fail
            | Verdict::Reject
            | Verdict::Skip
            | Verdict::Returned(_) => Err(self),
        }
    }

    /// The exception that is its cause, or a cause of that: callers in Python get it as it is.
    pub(crate) fn exception(&self) -> Option<&Exception> {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*self.cause);
        while let Some(error) = cause {
            if let Some(exception) = error.downcast_ref() {
                return Some(exception);
            }
            cause = error.source();
        }
        None
    }

    fn new(verdict: Verdict, cause: impl Into<BoxError>) -> Self {
        Self {
            verdict,
            arguments: None,
            cause: cause.into(),
        }
    }
}

/// The cause with its own causes, on one line.
impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ErrorChain(&*self.cause), f)
    }
}

// `TaskError` itself is no `Error`, as `anyhow::Error` is none, or this would collide with
// `From<T> for T`.
impl<E: Error + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_counted_retry_with_its_causes_in_the_text() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not read the parcels")]
        struct Outer(#[source] std::io::Error);
        let failing = || -> Result<(), TaskError> { Err(Outer(std::io::Error::other("disk")))? };
        let error = failing().expect_err("failed");
        assert!(matches!(
            error.verdict,
            Verdict::Retry {
                delay: None,
                counted: true
            }
        ));
        assert_eq!(error.to_string(), "could not read the parcels: disk");
    }

    #[test]
    fn an_exception_is_found_behind_what_went_wrong_because_of_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not read the parcels")]
        struct Outer(#[source] Exception);
        let inner = Exception::new("KeyError", ["k"]);
        let error = TaskError::fail(Outer(inner.clone()));
        assert_eq!(error.exception(), Some(&inner));
        assert_eq!(error.to_string(), "could not read the parcels: KeyError: k");
        assert_eq!(TaskError::fail("no such page").exception(), None);
    }

    #[test]
    fn texts_do_as_causes() {
        assert_eq!(TaskError::fail("no such page").to_string(), "no such page");
        let skipped = TaskError::skip(format!("{} rows", 0));
        assert!(matches!(skipped.verdict, Verdict::Skip));
    }
}
