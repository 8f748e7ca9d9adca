//! What the daemon tells systemd.

use counterfoil_sync::health::Health;
use counterfoil_toolbox::start::systemd::{Standing, keep_telling};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// Tells systemd how the daemon is doing until the handle is dropped.
pub(crate) fn notify(health: Arc<Health>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(keep_telling(move || {
        let report = health.report();
        Standing {
            line: report.line(),
            ready: report.ready,
            stopping: report.stopping,
            alive: report.alive,
        }
    })))
}
