//! Schedules: sent once beside their times, paused, resumed, removed.

use crate::error::OperationError;
use chrono::{DateTime, Utc};
use counterfoil_store::{ScheduleRow, Store};
use counterfoil_sync::schedule::{Calendar, InvalidSchedule, task_now};
use counterfoil_toolbox::TaskId;

/// The schedule of this name.
///
/// # Errors
/// [`OperationError::NoSchedule`], [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn find(store: &dyn Store, name: &str) -> Result<ScheduleRow, OperationError> {
    let row = store.schedules(Some(name)).await?.pop();
    row.ok_or_else(|| unknown(name))
}

/// Sends its task now, beside its times, whether it is paused or not: it is in the outbox then. Returns the id of
/// the task.
///
/// # Errors
/// [`OperationError::NoSchedule`], [`OperationError::InvalidSchedule`], [`OperationError::Store`].
///
/// # Cancel safety
/// Dropped, it is sent or it is not. Called once more, it sends another task.
pub async fn run_now(store: &dyn Store, name: &str) -> Result<TaskId, OperationError> {
    let row = find(store, name).await?;
    let draft = task_now(&row, Utc::now())?;
    store.put(&draft).await?;
    Ok(draft.id)
}

/// Lets it send nothing until it is resumed.
///
/// # Errors
/// [`OperationError::NoSchedule`], [`OperationError::Store`].
///
/// # Cancel safety
/// Dropped, it is paused or it is not; paused once more, nothing changes.
pub async fn pause(store: &dyn Store, name: &str) -> Result<(), OperationError> {
    match store.enable_schedule(name, false, None).await? {
        true => Ok(()),
        false => Err(unknown(name)),
    }
}

/// Lets it go on, and returns the next time at which it fires; those that passed meanwhile are not made up for. One
/// that is not paused stays as it is. `None`: it never fires again.
///
/// # Errors
/// [`OperationError::NoSchedule`], [`OperationError::InvalidSchedule`], [`OperationError::Store`].
///
/// # Cancel safety
/// Dropped, it is resumed or it is not; resumed once more, nothing changes.
pub async fn resume(
    store: &dyn Store,
    name: &str,
) -> Result<Option<DateTime<Utc>>, OperationError> {
    let row = find(store, name).await?;
    // Resumed twice, it must not lose a time that is due right now.
    if row.enabled {
        return Ok(row.next_at);
    }
    let calendar = Calendar::new(&row.cron, &row.time_zone).map_err(InvalidSchedule::from)?;
    let next = calendar.after(store.clock().await?);
    match store.enable_schedule(name, true, next).await? {
        true => Ok(next),
        false => Err(unknown(name)),
    }
}

/// Removes it; what it has sent stays.
///
/// # Errors
/// [`OperationError::NoSchedule`], [`OperationError::Store`].
///
/// # Cancel safety
/// Dropped, it is removed or it is not.
pub async fn remove(store: &dyn Store, name: &str) -> Result<(), OperationError> {
    match store.remove_schedule(name).await? {
        true => Ok(()),
        false => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> OperationError {
    OperationError::NoSchedule {
        name: name.to_owned(),
    }
}
