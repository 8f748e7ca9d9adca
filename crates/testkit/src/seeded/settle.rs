//! The end of a trial: all is over, the faults end, and the books are done.

use super::books::Books;
use super::settled::Settled;
use super::trial::{Inner, lock};
use counterfoil_toolbox::names::QueueName;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often workers are started once more for what came back when they drained.
const ROUNDS: u32 = 10;

/// Pauses between two looks: short ones first.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(10);

/// Until what workers told last has been read.
const HEARD: Duration = Duration::from_secs(1);

/// See [`Trial::settle`](super::Trial::settle).
pub(super) async fn settle(trial: &Arc<Inner>) -> anyhow::Result<Settled> {
    let patience = trial.weather.patience;
    let in_time = timeout(patience, until_over(trial)).await.is_ok();
    trial.is_calm.store(true, Ordering::Relaxed);
    trial.platform.faults().clear();
    drain(trial).await?;
    for _ in 0..ROUNDS {
        if !in_time || left_in_queues(trial).await?.is_empty() {
            break;
        }
        // An acknowledgement was lost at the last moment: it is done once more.
        trial.start_all();
        let both = async {
            until_empty(trial).await;
            until_over(trial).await;
        };
        let _ = timeout(patience, both).await;
        drain(trial).await?;
    }
    let books = Books::of(trial).await?;
    let left = left_in_queues(trial).await?;
    let mut faults = books.problems(trial);
    faults.extend(
        left.iter()
            .map(|(queue, count)| format!("{count} messages are left in {queue}")),
    );
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(books.settled())
}

/// Waits until every task is over, and starts what ended by itself meanwhile.
async fn until_over(trial: &Arc<Inner>) {
    until(async || {
        for process in trial.processes() {
            if let Some(ended) = process.take_ended() {
                trial.rescue_tasks_of(ended.id.clone());
                trial.note(format!("{process} has ended by itself"));
                trial.start(&process);
            }
        }
        // An error: the broker is away.
        let books = Books::of(trial).await;
        books.is_ok_and(|books| books.open().next().is_none())
    })
    .await;
}

async fn until_empty(trial: &Arc<Inner>) {
    until(async || {
        // An error: the broker is away, which the next look at the books tells.
        let left = left_in_queues(trial).await;
        !left.is_ok_and(|left| !left.is_empty())
    })
    .await;
}

/// Looks until it is so, by the clock of the trial.
async fn until(is_so: impl AsyncFn() -> bool) {
    let mut look = FIRST_LOOK;
    while !is_so().await {
        sleep(look).await;
        look = (look * 2).min(LAST_LOOK);
    }
}

/// Ends all workers as SIGTERM does, and waits for those that were told to before.
async fn drain(trial: &Arc<Inner>) -> anyhow::Result<()> {
    for process in trial.processes() {
        if let Some(running) = process.take() {
            running.drain().await?;
        }
    }
    let mut leaving = std::mem::take(&mut *lock(&trial.leaving));
    while leaving.join_next().await.is_some() {}
    sleep(HEARD).await;
    Ok(())
}

/// Messages that wait for a worker, or in delay levels: nobody has any in hand after [`drain`].
async fn left_in_queues(trial: &Arc<Inner>) -> anyhow::Result<Vec<(QueueName, u32)>> {
    let mut left = Vec::new();
    let queues = lock(&trial.queues).clone();
    let delays = trial.platform.names().delay_queues();
    for queue in queues.into_iter().chain(delays) {
        let waiting = trial.platform.waiting(&queue).await?;
        if waiting > 0 {
            left.push((queue, waiting));
        }
    }
    Ok(left)
}
