//! `session abort`

use crate::asking::{ask, passed_on, who};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_store::{Batch, SessionEnds, SessionRow, Store};
use counterfoil_toolbox::SessionId;
use serde::Serialize;

/// Subtasks that are written together.
const AT_ONCE: u32 = 500;

#[derive(Debug, Serialize)]
struct Answer<'a> {
    session: &'a SessionId,
    /// Subtasks that had not been started.
    revoked: usize,
    /// Subtasks that run, and are asked to stop.
    running: usize,
    /// Whether a daemon has told the workers.
    passed_on: bool,
}

pub(super) async fn run(
    session: &SessionRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let id = &session.id;
    if !session.status.is_open() {
        return Err(Failure::failed(format!(
            "session {id} is over: {}",
            session.status
        )));
    }
    let (by, now) = (who(), store.clock().await?);
    let (mut after, mut revoked, mut running) = (None, 0, 0);
    let mut batch = Batch::new();
    // First, so that none is started meanwhile.
    let asked = batch.abort_session(id, by.as_deref(), now);
    loop {
        let rows = store.unfinished_subtasks(id, after, AT_ONCE).await?;
        after = rows.last().map(|row| row.position);
        let waiting = batch.end_subtasks(id, &rows, SessionEnds::Aborted, now);
        (revoked, running) = (revoked + waiting, running + rows.len() - waiting);
        ask(store, &batch).await?;
        if rows.len() < AT_ONCE as usize {
            break;
        }
        batch = Batch::new();
    }
    let passed_on = passed_on(store, &[asked]).await?;
    if output.is_json() {
        return output.document(&Answer {
            session: id,
            revoked,
            running,
            passed_on,
        });
    }
    output.line(format!(
        "session {id} is aborted: {revoked} of its subtasks will not be started, {running} are asked to stop; its \
         finalizer runs when they have"
    ))
}
