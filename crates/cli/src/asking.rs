//! Who asks, and whether what was asked of workers has reached them.

use crate::failure::Failure;
use counterfoil_operations::Doer;
use counterfoil_store::Store;
use std::time::Duration;
use uuid::Uuid;

/// How long a running daemon may take: it looks four times a second.
const PASSED_ON: Duration = Duration::from_secs(3);

/// Who asks, as far as the system tells: the person behind `sudo`, if there is one.
pub(crate) fn who() -> Option<String> {
    let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(name);
    // Units and containers often set none of them.
    named.or_else(|| whoami::username().ok())
}

/// Who does it, for the history of the tasks and whoever looks at what holds.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DoerArgs {
    /// Who does this, for all to see [default: the user who runs this]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl DoerArgs {
    /// The one who was named, else the user of this machine.
    pub(crate) fn or_user(self) -> Doer {
        Doer::new(self.by.filter(|by| !by.is_empty()).or_else(who))
    }
}

/// Waits a moment until a daemon has passed it on, and says when none does. Returns whether it was.
pub(crate) async fn passed_on(store: &dyn Store, ids: &[Uuid]) -> Result<bool, Failure> {
    let is_passed_on = counterfoil_operations::passed_on(store, ids, PASSED_ON).await?;
    if !is_passed_on {
        eprintln!(
            "warning: nobody has told the workers yet: no counterfoil-sync runs, or it cannot reach the \
             broker. They will be told as soon as one can"
        );
    }
    Ok(is_passed_on)
}
