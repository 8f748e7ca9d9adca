//! Which workers are alive, and asking one of them to be quiet or to stop.

use crate::asking::{Doer, ask};
use crate::error::OperationError;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::WorkerRow;
use counterfoil_store::{Batch, Store};
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::ids::WorkerId;
use uuid::Uuid;

/// What a worker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To take nothing new: it finishes what it runs and stays.
    Quiet,
    /// To finish what it runs and to end, as by SIGTERM.
    Stop,
}

/// Whether the worker was heard of lately, and not for the last time. `now` is the database's time.
#[must_use]
pub fn is_alive(worker: &WorkerRow, now: DateTime<Utc>) -> bool {
    !worker.has_stopped() && worker.gone_for(now) < TimeDelta::zero()
}

/// The living worker with this id, or with the one id that begins so.
///
/// # Errors
/// [`OperationError::NoWorker`], [`OperationError::ManyWorkers`], [`OperationError::WorkerGone`],
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn find(store: &dyn Store, id: &str) -> Result<WorkerRow, OperationError> {
    let now = store.clock().await?;
    let worker = one(store.workers().await?, id, now)?;
    if is_alive(&worker, now) {
        return Ok(worker);
    }
    Err(OperationError::WorkerGone {
        since_s: (now - worker.last_heartbeat).num_seconds().max(0),
        worker: worker.id,
    })
}

/// The one that is meant by `id`, alive or not.
fn one(workers: Vec<WorkerRow>, id: &str, now: DateTime<Utc>) -> Result<WorkerRow, OperationError> {
    let mut begins = Vec::new();
    for worker in workers {
        if worker.id == id {
            return Ok(worker);
        }
        if worker.id.starts_with(id) {
            begins.push(worker);
        }
    }
    // Nobody means one that is gone while there is another.
    if begins.iter().any(|worker| is_alive(worker, now)) {
        begins.retain(|worker| is_alive(worker, now));
    }
    match begins.as_slice() {
        [] | [_] => begins
            .pop()
            .ok_or_else(|| OperationError::NoWorker { id: id.to_owned() }),
        [first, ..] => Err(OperationError::ManyWorkers {
            id: id.to_owned(),
            count: begins.len(),
            first: first.id.clone(),
        }),
    }
}

/// Asks the worker, and returns what is asked: see [`passed_on`](crate::passed_on). One that does not
/// [follow](WorkerRow::follows_control) does not hear it.
///
/// # Errors
/// [`OperationError::Store`]; [`OperationError::InvalidId`] where somebody else wrote the row.
///
/// # Cancel safety
/// Dropped, it is asked or it is not; asked once more, it does no harm.
pub async fn tell(
    store: &dyn Store,
    worker: &WorkerRow,
    wish: Wish,
    doer: &Doer,
) -> Result<Uuid, OperationError> {
    let worker = WorkerId::new(&worker.id)?;
    let order = match wish {
        Wish::Quiet => Order::Quiet { worker },
        Wish::Stop => Order::Stop { worker },
    };
    let mut batch = Batch::new();
    let asked = batch.ask(order, doer.name(), store.clock().await?);
    ask(store, &batch).await?;
    Ok(asked)
}
