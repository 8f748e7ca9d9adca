//! The rows of a task, held against what Rust makes of the same inputs.

use super::inputs::{Input, batch_of};
use anyhow::{Context, ensure};
use counterfoil_store::Store;
use counterfoil_store::merge::{ResultChange, TaskChange};
use counterfoil_store::record::{ResultRow, TaskRow};
use counterfoil_toolbox::ids::TaskId;

/// The row of a task.
pub(super) async fn row_of(store: &dyn Store, id: &TaskId) -> anyhow::Result<TaskRow> {
    store.task(id.as_str()).await?.context("the task has a row")
}

/// Compares what is in the database with what Rust makes of the same inputs.
pub(super) async fn check(store: &dyn Store, id: &TaskId, inputs: &[Input]) -> anyhow::Result<()> {
    let batch = batch_of(inputs);
    let change = batch.tasks().next().context("a change")?;
    let row = row_of(store, id).await?;
    check_row(&row, change).with_context(|| format!("{row:#?}\nis not\n{change:#?}"))?;
    ensure!(row.id == store.public_id(id)?);
    for result in batch.results() {
        let found = store
            .result(id, result.key.run)
            .await?
            .context("a result")?;
        check_result(&found, result).with_context(|| format!("{found:#?}\nis not\n{result:#?}"))?;
    }
    let lines = store.history(id).await?;
    for input in inputs {
        if let Input::Event(event) = input {
            ensure!(
                lines.iter().any(|line| line.event_id == event.event_id),
                "a line is missing"
            );
        }
    }
    Ok(())
}

fn check_row(row: &TaskRow, change: &TaskChange) -> anyhow::Result<()> {
    let state = &change.state;
    ensure!(
        row.state == state.state && row.event_id == state.key.event_id,
        "state"
    );
    ensure!(row.attempt() == state.key.lineage(), "attempt");
    ensure!(row.error_kind.as_deref() == state.error_kind, "error_kind");
    ensure!(
        row.error_message.as_deref() == state.error_message.as_deref(),
        "error_message"
    );
    ensure!(row.retry_at == state.retry_at, "retry_at");
    ensure!(
        row.worker.as_deref() == state.worker.as_ref().map(|id| id.as_str()),
        "worker"
    );
    let progress = state.progress.as_ref();
    ensure!(
        row.progress_current == progress.map(|progress| progress.current),
        "progress"
    );
    ensure!(
        row.progress_message.as_deref() == progress.and_then(|told| told.message.as_deref()),
        "progress_message"
    );
    ensure!(
        row.name == change.name().as_str() && row.service == change.name().service(),
        "name"
    );
    ensure!(
        row.parent_id.as_deref() == change.parent_id().map(|id| id.as_str()),
        "parent"
    );
    ensure!(
        row.root_id.as_deref() == change.root_id().map(|id| id.as_str()),
        "root"
    );
    ensure!(row.session_id.as_deref() == change.session_id(), "session");
    let copy = change.copy.as_ref();
    ensure!(
        row.creator_id.as_deref() == copy.and_then(|copy| copy.creator_id.as_deref()),
        "creator"
    );
    ensure!(
        row.input.is_some() == copy.is_some_and(|copy| copy.input.is_some()),
        "input"
    );
    ensure!(
        row.routing_key.as_deref() == copy.map(|copy| &*copy.routing_key),
        "routing key"
    );
    Ok(())
}

fn check_result(found: &ResultRow, result: &ResultChange) -> anyhow::Result<()> {
    ensure!(found.status == result.status, "status");
    ensure!(found.result == result.result, "result");
    ensure!(
        found.error_message.as_deref() == result.error_message.as_deref(),
        "error"
    );
    ensure!(
        found.traceback.as_deref() == result.traceback.as_deref(),
        "traceback"
    );
    ensure!(found.date_done == result.date_done, "date_done");
    ensure!(found.runtime_ms == result.runtime_ms, "runtime_ms");
    Ok(())
}
