//! Whether anything of a service starts.

use crate::asking::{Doer, ask};
use crate::error::OperationError;
use counterfoil_store::record::ControlRow;
use counterfoil_store::{Batch, ControlFilter, Store};
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::names::ServiceName;
use uuid::Uuid;

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing of it starts; what runs may finish.
    Paused,
    /// It goes on.
    Resumed,
}

/// The services that are paused, and who paused them.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn paused(store: &dyn Store) -> Result<Vec<ControlRow>, OperationError> {
    let filter = ControlFilter {
        kind: Some("pause_service".to_owned()),
        ..ControlFilter::default()
    };
    Ok(store.controls(&filter).await?)
}

/// Pauses a service or lets it go on, and returns what workers are asked: see [`passed_on`](crate::passed_on).
/// `None`: it was so already, and nobody is asked.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// Dropped, it is asked or it is not; asked once more, it does no harm.
pub async fn set(
    store: &dyn Store,
    service: &ServiceName,
    wanted: Wanted,
    doer: &Doer,
) -> Result<Option<Uuid>, OperationError> {
    let paused = paused(store).await?;
    let is_paused = paused.iter().any(|row| *row.subject == *service.as_str());
    let service = service.clone();
    let order = match (wanted, is_paused) {
        (Wanted::Paused, false) => Order::PauseService { service },
        (Wanted::Resumed, true) => Order::ResumeService { service },
        (Wanted::Paused, true) | (Wanted::Resumed, false) => return Ok(None),
    };
    let mut batch = Batch::new();
    let asked = batch.ask(order, doer.name(), store.clock().await?);
    ask(store, &batch).await?;
    Ok(Some(asked))
}
