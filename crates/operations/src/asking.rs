//! Asking workers for something: it goes through the database, and the daemon passes it on.

use crate::error::OperationError;
use chrono::Utc;
use counterfoil_store::{Batch, Deed, Store};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Pause between two looks whether it was passed on.
const LOOK: Duration = Duration::from_millis(100);

/// The database's code for a right that is missing.
const NOT_ALLOWED: &str = "42501";

/// Who does something, for the history of the tasks and whoever looks at what holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doer(Option<String>);

impl Doer {
    /// The one of this name; `None`: nobody knows who.
    #[must_use]
    pub const fn new(name: Option<String>) -> Self {
        Self(name)
    }

    /// The name, if there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The one who does `action`, now.
    pub(crate) fn deed<'a>(&'a self, action: &'a str) -> Deed<'a> {
        Deed {
            action,
            by: self.name(),
            at: Utc::now(),
        }
    }
}

/// Writes down what is asked and what it means for tasks. Who may not write the latter only asks: the daemon
/// does the rest when it passes it on.
pub(crate) async fn ask(store: &dyn Store, batch: &Batch) -> Result<(), OperationError> {
    match store.apply(batch).await {
        Err(error) if error.code() == Some(NOT_ALLOWED) => Ok(store.only_ask(batch).await?),
        done => Ok(done.map(drop)?),
    }
}

/// Waits until a daemon has passed on to the workers what was asked (`ids`), at most for so long, and returns
/// whether one has. A daemon that runs looks four times a second. `false` takes nothing back: what is asked is
/// passed on as soon as a daemon can.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn passed_on(
    store: &dyn Store,
    ids: &[Uuid],
    within: Duration,
) -> Result<bool, OperationError> {
    let until = Instant::now() + within;
    while store.count_unpublished(ids).await? > 0 {
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
    Ok(true)
}
