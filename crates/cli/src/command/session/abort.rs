//! `session abort`

use crate::asking::{DoerArgs, passed_on};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_operations::sessions::{abort, find};
use counterfoil_store::Store;
use counterfoil_toolbox::SessionId;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct AbortArgs {
    /// Id of the session
    id: SessionId,
    #[command(flatten)]
    doer: DoerArgs,
}

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
    args: AbortArgs,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let session = find(store, &args.id).await?;
    let id = &session.id;
    let asked = abort(store, &session, &args.doer.or_user()).await?;
    let passed_on = passed_on(store, &[asked]).await?;
    let known = store.session(id).await?;
    let known = known.as_ref().unwrap_or(&session);
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
