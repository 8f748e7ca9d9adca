//! `task history`

use crate::failure::Failure;
use crate::output::{Output, numbers, words};
use crate::text::short;
use crate::when::shown;
use counterfoil_store::Store;
use counterfoil_store::record::{EventRow, TaskRow};

pub(super) async fn run(
    task: &TaskRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let events = store.history(&task.task_id).await?;
    let columns = [
        words("WHEN"),
        numbers("RUN"),
        words("STATE"),
        words("ATTEMPT"),
        words("WORKER"),
        words("DETAIL"),
    ];
    output.list(&events, &columns, row)
}

fn row(event: &EventRow) -> Vec<String> {
    vec![
        shown(event.happened_at),
        event.run.to_string(),
        event.kind.to_string(),
        event.lineage().to_string(),
        event.worker.clone().unwrap_or_default(),
        event
            .detail
            .as_ref()
            .map_or(String::new(), |d| short(d.get())),
    ]
}
