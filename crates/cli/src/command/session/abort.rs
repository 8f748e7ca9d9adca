//! `session abort`

use crate::asking::{ask, passed_on, who};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_store::{Batch, SessionRow, Store};
use counterfoil_toolbox::SessionId;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Answer<'a> {
    session: &'a SessionId,
    /// How many subtasks it has.
    total: i32,
    /// Those that are over, as far as the database knows now.
    attempted: i32,
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
    let mut batch = Batch::new();
    let asked = batch.abort_session(id, by.as_deref(), now);
    ask(store, &batch).await?;
    let passed_on = passed_on(store, &[asked]).await?;
    let known = store.session(id).await?;
    let known = known.as_ref().unwrap_or(session);
    if output.is_json() {
        return output.document(&Answer {
            session: id,
            total: known.total,
            attempted: known.attempted(),
            passed_on,
        });
    }
    let told = match passed_on {
        true => "workers were told to start no subtask of it any more, and to stop those that run",
        false => {
            "workers are to start no subtask of it any more once they are told, and to stop those that run"
        }
    };
    output.line(format!(
        "session {id} is being aborted: {told}. As far as is known, {} of {} are over; when all are, its finalizer \
         runs. See `counterfoil session show {id}`",
        known.attempted(),
        known.total
    ))
}
