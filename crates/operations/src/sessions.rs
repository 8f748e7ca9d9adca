//! Aborting sessions.

use crate::asking::{Doer, ask};
use crate::error::OperationError;
use counterfoil_store::{Batch, SessionRow, Store};
use counterfoil_toolbox::SessionId;
use uuid::Uuid;

/// The session with this id.
///
/// # Errors
/// [`OperationError::NoSession`], [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn find(store: &dyn Store, id: &SessionId) -> Result<SessionRow, OperationError> {
    let row = store.session(id).await?;
    row.ok_or_else(|| OperationError::NoSession {
        session: id.clone(),
    })
}

/// Starts no subtask of the session any more, asks those that run to stop, and lets its finalizer run when all are
/// over. Returns what workers are asked: see [`passed_on`](crate::passed_on).
///
/// # Errors
/// [`OperationError::SessionOver`], [`OperationError::Store`].
///
/// # Cancel safety
/// Dropped, it is aborted or it is not; aborted once more, nothing changes.
pub async fn abort(
    store: &dyn Store,
    session: &SessionRow,
    doer: &Doer,
) -> Result<Uuid, OperationError> {
    if !session.status.is_open() {
        return Err(OperationError::SessionOver {
            session: session.id.clone(),
            status: session.status,
        });
    }
    let mut batch = Batch::new();
    let asked = batch.abort_session(&session.id, doer.name(), store.clock().await?);
    ask(store, &batch).await?;
    Ok(asked)
}
