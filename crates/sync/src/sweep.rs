//! What a dashboard reads beside rows is kept short: the feed of changes, numbers for charts, and
//! keys of requests.

use crate::leader::Leading;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};
use uuid::Uuid;

/// Time between two marks in the feed of changes.
const MARKS: Duration = Duration::from_secs(60);

/// For how long changes are told: whoever was away for longer reads everything anew.
const TOLD: Duration = Duration::from_secs(600);

/// Rows that are removed in one transaction.
const AT_ONCE: u32 = 1000;

/// Time between two rounds in which numbers for charts are added up. Each adds to the same few thousand rows, so
/// seldom is cheap; whoever reads adds up the rest.
const ADD_UP: Duration = Duration::from_secs(15);

/// Rows that are added up in one transaction: some seconds of a busy platform.
const ADDED_AT_ONCE: u32 = 5000;

/// For how long a request is known by its key.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Pause between two pages of what is removed once an hour.
const PAUSE: Duration = Duration::from_millis(50);

/// Time between two rounds in which old numbers are removed.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Sweeps until the leadership is lost. Only the leader does it; what two do is as right.
///
/// # Cancel safety
/// Each step is one transaction; the next leader does the rest.
pub(crate) async fn keep_short(store: Arc<dyn Store>, leading: &Leading) {
    let [mut marks, mut add_up, mut hours] = [MARKS, ADD_UP, HOUR].map(ticks);
    loop {
        let due = tokio::select! {
            _ = marks.tick() => Due::Mark,
            _ = add_up.tick() => Due::AddUp,
            _ = hours.tick() => Due::Forget,
        };
        if !leading.still().await {
            return;
        }
        let done = match due {
            Due::Mark => shorten_feed(&*store).await,
            Due::AddUp => add_up_rollups(&*store).await,
            Due::Forget => forget(&*store).await,
        };
        if let Err(error) = done {
            let error = ErrorChain(&error);
            tracing::warn!(%error, ?due, "a round of sweeping ended early; the next one goes on");
        }
    }
}

/// What is swept next.
#[derive(Debug, Clone, Copy)]
enum Due {
    Mark,
    AddUp,
    Forget,
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn shorten_feed(store: &dyn Store) -> Result<(), StoreError> {
    store.mark_changes(Uuid::now_v7()).await?;
    while store.forget_changes(TOLD, AT_ONCE).await? >= AT_ONCE as usize {}
    Ok(())
}

async fn add_up_rollups(store: &dyn Store) -> Result<(), StoreError> {
    while store.add_up_rollups(ADDED_AT_ONCE).await? >= ADDED_AT_ONCE as usize {}
    Ok(())
}

async fn forget(store: &dyn Store) -> Result<(), StoreError> {
    while store.forget_requests(DAY, AT_ONCE).await? >= AT_ONCE as usize {
        tokio::time::sleep(PAUSE).await;
    }
    while store.forget_rollups(AT_ONCE).await? >= AT_ONCE as usize {
        // A busy platform has some ten thousand of them.
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
