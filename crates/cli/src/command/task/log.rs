//! `task log`

use crate::failure::Failure;
use crate::output::Output;
use crate::text::plain;
use crate::when::shown;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;

pub(super) async fn run(
    task: &TaskRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let lines = store.log(&task.task_id).await?;
    if lines.is_empty() && !output.is_json() {
        eprintln!("nothing found");
    }
    for line in lines {
        if output.is_json() {
            output.document(&line)?;
            continue;
        }
        let fields = line
            .fields
            .as_ref()
            .map_or(String::new(), |f| format!(" {}", f.get()));
        output.line(format_args!(
            "{} {:<5} {}{}",
            shown(line.happened_at),
            plain(&line.level),
            plain(&line.message),
            plain(&fields)
        ))?;
    }
    Ok(())
}
