//! Groups that a `celery.chord_unlock` waits for: when all of their tasks are over, their service is told. And tasks in
//! whose place others went on: when those failed, so did they.

use crate::leader::Leading;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked for chords. Who waits for one waits that much longer.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is looked for tasks in whose place others failed, which is rare.
const LOOK_FOR_REPLACED: Duration = Duration::from_secs(1);

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
    let mut looked_for_replaced = None;
    loop {
        tokio::time::sleep(pause).await;
        let with_replaced = is_time(looked_for_replaced, Instant::now());
        if with_replaced == Replaced::Too {
            looked_for_replaced = Some(Instant::now());
        }
        pause = match look(&*store, with_replaced).await {
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

/// Whether a round looks for tasks in whose place others went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Too,
    Not,
}

/// Whether it is time to look for these, which was done last at that time.
fn is_time(last: Option<Instant>, now: Instant) -> Replaced {
    match last {
        Some(last) if now.duration_since(last) < LOOK_FOR_REPLACED => Replaced::Not,
        Some(_) | None => Replaced::Too,
    }
}

/// How many are over now.
async fn look(store: &dyn Store, replaced: Replaced) -> Result<usize, StoreError> {
    // First what a chord may wait for. What is wrong with the one is no reason to leave the other.
    let failed = match replaced {
        Replaced::Too => store.fail_replaced(AT_ONCE).await,
        Replaced::Not => Ok(0),
    };
    let unlocked = store.unlock_chords(AT_ONCE).await?;
    Ok(failed? + unlocked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_tasks_are_looked_for_once_a_second() {
        let begun = Instant::now();
        let rounds = (0..=8).map(|n| begun + LOOK * n);
        let mut last = None;
        let mut looked = Vec::new();
        for (n, now) in rounds.enumerate() {
            if is_time(last, now) == Replaced::Too {
                last = Some(now);
                looked.push(n);
            }
        }
        assert_eq!(looked, [0, 4, 8]);
    }
}
