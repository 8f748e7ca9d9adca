//! `task show`

use crate::failure::Failure;
use crate::output::Output;
use crate::text::{block, plain};
use counterfoil_store::Store;
use counterfoil_store::record::{ResultRow, TaskRow};
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    task: &'a TaskRow,
    /// The outcome of its last run, once it has one: a row of `task_result`.
    task_result: Option<ResultRow>,
}

pub(super) async fn run(
    task: &TaskRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let task_result = store.result(&task.task_id, task.run).await?;
    let whole = Whole { task, task_result };
    if output.is_json() {
        return output.document(&whole);
    }
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&whole) else {
        return Err(Failure::failed("the row cannot be shown"));
    };
    let result = fields.remove("task_result").unwrap_or_default();
    fields
        .iter()
        .try_for_each(|(name, value)| field(name, value, output))?;
    let Value::Object(result) = result else {
        return Ok(());
    };
    output.line("\nresult")?;
    let own = |name: &str| !matches!(name, "task_id" | "run");
    let result = result.iter().filter(|(name, _)| own(name));
    result
        .into_iter()
        .try_for_each(|(name, value)| field(name, value, output))
}

fn field(name: &str, value: &Value, output: &mut Output) -> Result<(), Failure> {
    let text = match value.as_str() {
        _ if value.is_null() => return Ok(()),
        Some(text) if name == "traceback" => format!("{name}\n{}", block(text)),
        Some(text) => format!("{name:<22} {}", plain(text)),
        None => format!("{name:<22} {}", plain(&value.to_string())),
    };
    output.line(text)
}
