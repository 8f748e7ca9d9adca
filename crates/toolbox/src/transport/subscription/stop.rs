//! How a subscription is told to stop.

use tokio_util::sync::CancellationToken;

/// The two steps of stopping: no new deliveries; then, nothing more to settle.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    pub(super) consuming: CancellationToken,
    pub(super) settling: CancellationToken,
    /// The same, once there is nothing left to settle.
    pub(super) once_settled: CancellationToken,
}

impl Stop {
    /// Completes when the channel is to be closed.
    pub(super) async fn is_over(&self, nothing_is_left: bool) {
        tokio::select! {
            () = self.settling.cancelled() => {}
            () = self.once_settled.cancelled(), if nothing_is_left => {}
        }
    }
}
