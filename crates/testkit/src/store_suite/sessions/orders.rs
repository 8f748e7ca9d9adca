//! All orders in which what is told of a session may come.

use super::stage::{Site, opening, told};
use crate::store_suite::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, Store};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::session::{Opening, SessionStatus};
use std::sync::Arc;

/// Two daemons at once, each with half of what is told, then the other half: of a session of three, its opening
/// included, in all 720 orders.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn every_order_of_a_session_ends_in_the_same_counters_and_one_finalizer(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let orders = permutations(6).into_iter();
    let sessions: Arc<Vec<_>> = Arc::new(orders.map(|o| (o, Inputs::new(opening(3)))).collect());
    let daemon = |store: Arc<dyn Store>, steps: [usize; 3]| {
        let sessions = Arc::clone(&sessions);
        async move {
            for step in steps {
                for sessions in sessions.chunks(180) {
                    let mut batch = Batch::new();
                    for (order, inputs) in sessions {
                        inputs.add_to(&mut batch, order[step]);
                    }
                    store.apply(&batch).await?;
                }
            }
            anyhow::Ok(())
        }
    };
    let (one, other) = (site.another().await?, site.another().await?);
    // Each is told once; then the other daemon tells it too.
    for steps in [[[0, 2, 4], [1, 3, 5]], [[5, 3, 1], [4, 2, 0]]] {
        let [mine, others] = steps;
        tokio::try_join!(daemon(one.clone(), mine), daemon(other.clone(), others))?;
        for (order, inputs) in sessions.iter() {
            check(site, &inputs.opening)
                .await
                .with_context(|| format!("{order:?}"))?;
        }
    }
    let queued = "SELECT CAST(count(*) AS text) FROM outbox WHERE key LIKE 'finalizer:%'";
    ensure!(site.text(queued).await?.as_deref() == Some("720"));
    Ok(())
}

/// What is told of a session of three.
struct Inputs {
    opening: Opening,
    events: [Event; 5],
}

impl Inputs {
    fn new(opening: Opening) -> Self {
        use TaskState::{Failure, Retry, Success};
        let mut skipped = told(&opening, 0, 0, Success);
        skipped.skipped = Some("nothing to do".into());
        let mut snoozed = told(&opening, 1, 1, Retry);
        snoozed.counted = Some(false);
        let events = [
            skipped,
            told(&opening, 1, 0, Retry),
            snoozed,
            told(&opening, 1, 2, Success),
            told(&opening, 2, 0, Failure),
        ];
        Self { opening, events }
    }

    fn add_to(&self, batch: &mut Batch, place: usize) {
        match place.checked_sub(1) {
            None => batch.open_session(&self.opening),
            Some(place) => batch.event(&self.events[place]),
        }
    }
}

async fn check(site: &StoreSite, opening: &Opening) -> anyhow::Result<()> {
    let opening = opening.clone();
    let row = Site { site, opening }.row().await?;
    let counters = [
        row.total,
        row.succeeded,
        row.failed,
        row.skipped,
        row.retried_counted,
        row.retried_uncounted,
    ];
    ensure!(counters == [3, 2, 1, 1, 1, 1], "{counters:?}");
    ensure!(row.status == SessionStatus::CompletedWithErrors, "{row:?}");
    ensure!(row.finished_at.is_some(), "{row:?}");
    Ok(())
}

/// All orders of the numbers below `n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(n - 1) {
        for place in 0..n {
            let mut order = shorter.clone();
            order.insert(place, n - 1);
            all.push(order);
        }
    }
    all
}
