//! Groups that a `celery.chord_unlock` waits for: when all of their tasks are over, their service is told. And tasks in
//! whose place others went on: when those failed, so did they.

use crate::leader::Leading;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked. Who waits for a chord waits that much longer.
const LOOK: Duration = Duration::from_millis(250);

/// Chords, and tasks, that are looked at in one round.
const AT_ONCE: u32 = 500;

/// How long a round that failed is not repeated.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// Looks after both until it is dropped. Only the leader does it.
///
/// # Cancel safety
/// Cancelled, a chord is told of or is not; the next leader tells of the others.
pub(crate) async fn end_what_waits(store: Arc<dyn Store>, leading: &Leading) {
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        pause = match look(&*store).await {
            Ok(0) => LOOK,
            Ok(_) if leading.still().await => LOOK,
            Ok(_) => return,
            Err(error) => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, "chords and replaced tasks are not looked after now; it is tried again");
                AFTER_TROUBLE
            }
        };
    }
}

/// How many are over now.
async fn look(store: &dyn Store) -> Result<usize, StoreError> {
    // First what a chord may wait for. What is wrong with the one is no reason to leave the other.
    let failed = store.fail_replaced(AT_ONCE).await;
    let unlocked = store.unlock_chords(AT_ONCE).await?;
    Ok(failed? + unlocked)
}
