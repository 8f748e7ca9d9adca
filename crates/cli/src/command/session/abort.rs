//! `session abort`

use crate::asking::{ask, passed_on, who};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_store::{EarlyEnd, EndedEarly, SessionEnds, SessionRow, Store};
use counterfoil_toolbox::SessionId;
use serde::Serialize;

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
    let mut end = EarlyEnd::new(id, SessionEnds::Aborted, by.as_deref(), now);
    while let Some(batch) = end.next(store).await? {
        ask(store, &batch).await?;
    }
    let EndedEarly {
        ended: revoked,
        running,
        asked,
    } = end.so_far;
    let asked: Vec<_> = asked.into_iter().collect();
    let passed_on = passed_on(store, &asked).await?;
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
