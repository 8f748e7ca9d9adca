//! Asking workers for something: it goes through the database, and the daemon passes it on.

use crate::failure::Failure;
use chrono::Utc;
use counterfoil_store::{Batch, Deed, Store};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long a running daemon may take: it looks four times a second.
const PASSED_ON: Duration = Duration::from_secs(3);

/// Pause between two looks whether it was.
const LOOK: Duration = Duration::from_millis(100);

/// Who asks, as far as the system tells: the person behind `sudo`, if there is one.
pub(crate) fn who() -> Option<String> {
    let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(name);
    // Units and containers often set none of them.
    named.or_else(|| whoami::username().ok())
}

/// Who does it, for the history of the tasks and whoever looks at what holds.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Doer {
    /// Who does this, for all to see [default: the user who runs this]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Doer {
    /// The one who does `action`, now.
    pub(crate) fn deed<'a>(&'a self, action: &'a str) -> Deed<'a> {
        Deed {
            action,
            by: self.name(),
            at: Utc::now(),
        }
    }

    /// The name, if there is one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// The same with the user of this machine where nobody was named.
    pub(crate) fn or_user(mut self) -> Self {
        self.by = self.by.filter(|by| !by.is_empty()).or_else(who);
        self
    }
}

/// The database's code for a right that is missing.
const NOT_ALLOWED: &str = "42501";

/// Writes down what is asked and what it means for tasks. Who may not write the latter only asks: the daemon
/// does the rest when it passes it on.
pub(crate) async fn ask(store: &dyn Store, batch: &Batch) -> Result<(), Failure> {
    match store.apply(batch).await {
        Err(error) if error.code() == Some(NOT_ALLOWED) => Ok(store.only_ask(batch).await?),
        done => Ok(done.map(drop)?),
    }
}

/// Waits a moment until a daemon has passed it on, and says when none does. Returns whether it was.
pub(crate) async fn passed_on(store: &dyn Store, ids: &[Uuid]) -> Result<bool, Failure> {
    let until = Instant::now() + PASSED_ON;
    while store.count_unpublished(ids).await? > 0 {
        if Instant::now() >= until {
            eprintln!(
                "warning: nobody has told the workers yet: no counterfoil-sync runs, or it cannot reach the \
                 broker. They will be told as soon as one can"
            );
            return Ok(false);
        }
        sleep(LOOK).await;
    }
    Ok(true)
}
