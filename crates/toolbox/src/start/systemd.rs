//! Telling systemd how a program is doing: `READY=1`, `STATUS=`, `WATCHDOG=1`, `STOPPING=1` (sd_notify(3)), for units
//! of `Type=notify`. Where systemd does not listen, which `NOTIFY_SOCKET` tells, nothing happens.

use sd_notify::NotifyState;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How often the status is told, unless the watchdog wants to hear more often.
const INTERVAL: Duration = Duration::from_secs(5);

/// How much longer than the interval a start or a stop may take each time that it is told of.
const EXTENSION: Duration = Duration::from_secs(30);

/// How a program is doing.
///
/// ```
/// use counterfoil_toolbox::start::systemd::{self, Standing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let patience = systemd::starting("waiting for the database");
/// // … it answers
/// drop(patience);
/// let look = || Standing { line: "3 tasks run".to_owned(), ready: true, stopping: false, alive: true };
/// let telling = tokio::spawn(systemd::keep_telling(look));
/// // … SIGTERM comes
/// systemd::stopping();
/// # tokio::task::yield_now().await;
/// # assert!(!telling.is_finished());
/// telling.abort();
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// One line for `systemctl status`.
    pub line: String,
    /// It does what it is there for. Told once; until then systemd is asked for patience.
    pub ready: bool,
    /// It was asked to stop. Until it has, systemd is asked for patience.
    pub stopping: bool,
    /// Its loops go round. Where they do not, the watchdog of the unit (`WatchdogSec=`) ends it.
    pub alive: bool,
}

/// Asks systemd for patience until the handle is dropped: what happens before a program can tell how it is doing, such
/// as the wait for a server, may take minutes. [`Standing`] has an example.
#[must_use = "dropped, it ends"]
pub fn starting(status: &'static str) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            tell(&[NotifyState::Status(status), extension()]);
        }
    }))
}

/// Tells systemd that the program was asked to stop, at once. [`Standing`] has an example.
pub fn stopping() {
    tell(&[NotifyState::Stopping, extension()]);
}

/// Tells systemd what `look` finds, every five seconds and at least twice in the time after which the watchdog would
/// end the program, until it is dropped. [`Standing`] has an example.
pub async fn keep_telling(mut look: impl FnMut() -> Standing) {
    let watchdog = sd_notify::watchdog_enabled();
    // Twice per period, as sd_watchdog_enabled(3) advises.
    let period = watchdog.map_or(INTERVAL, |period| INTERVAL.min(period / 2));
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(10)));
    let mut was_ready = false;
    loop {
        interval.tick().await;
        let standing = look();
        tell(&[NotifyState::Status(&standing.line)]);
        if standing.stopping {
            tell(&[extension()]);
        } else if !was_ready && standing.ready {
            was_ready = true;
            tell(&[NotifyState::Ready]);
        } else if !was_ready {
            // A server is away: a start that waits for it has not failed.
            tell(&[extension()]);
        }
        if standing.alive {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn extension() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
