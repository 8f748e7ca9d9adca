//! Telling systemd how the daemon is doing: `READY=1`, `STATUS=`, `WATCHDOG=1`, `STOPPING=1`.
//! Without systemd nothing happens.

use counterfoil_sync::health::Health;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How often the status is told, unless the watchdog wants to hear more often.
const INTERVAL: Duration = Duration::from_secs(5);

/// How much longer than the interval a start or a stop may take each time that it is told of.
const EXTENSION: Duration = Duration::from_secs(30);

/// Asks systemd for patience until the handle is dropped: what happens before there is a daemon, such
/// as the wait for a migration, may take minutes.
pub(crate) fn starting() -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            tell(&[NotifyState::Status("opening the database"), extension()]);
        }
    }))
}

/// Tells systemd that the daemon was asked to stop.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, extension()]);
}

/// Tells systemd until the handle is dropped.
pub(crate) fn notify(health: Arc<Health>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(run(health)))
}

async fn run(health: Arc<Health>) {
    let watchdog = sd_notify::watchdog_enabled();
    // Twice per period, as sd_watchdog_enabled(3) advises.
    let period = watchdog.map_or(INTERVAL, |period| INTERVAL.min(period / 2));
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(10)));
    let mut was_ready = false;
    loop {
        interval.tick().await;
        let report = health.report();
        tell(&[NotifyState::Status(&report.line())]);
        if report.stopping {
            tell(&[extension()]);
        } else if !was_ready && report.ready {
            was_ready = true;
            tell(&[NotifyState::Ready]);
        } else if !was_ready {
            // Broker or database are away: a start that waits for them has not failed.
            tell(&[extension()]);
        }
        // A loop that is stuck is for the watchdog to end.
        if report.alive {
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
