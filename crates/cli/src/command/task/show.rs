//! `task show`

use crate::failure::Failure;
use crate::output::Output;
use crate::text::{beginning, block, plain};
use crate::when::shown;
use counterfoil_store::record::{ControlRow, ResultRow, TaskRow};
use counterfoil_store::{ControlFilter, Store};
use serde::Serialize;
use serde_json::Value;

/// Characters of a value that are shown to people; a finalizer's input alone can have a quarter of a million.
const MOST: usize = 1000;

/// The same for tracebacks, which are read line by line.
const MOST_TRACEBACK: usize = 20_000;

#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    task: &'a TaskRow,
    /// The outcome of its last run, once that is over: a row of `task_result`.
    task_result: Option<ResultRow>,
    /// What holds of what was asked about it or its family: rows of `control`.
    asked: Vec<ControlRow>,
}

pub(super) async fn run(
    task: &TaskRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    // One that was refused and sent again waits, whatever it came to before.
    let task_result = match task.state.is_terminal() {
        true => store.result(&task.task_id, task.run).await?,
        false => None,
    };
    let whole = Whole {
        task,
        task_result,
        asked: asked(task, store).await?,
    };
    if output.is_json() {
        return output.document(&whole);
    }
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&whole) else {
        return Err(Failure::failed("the row cannot be shown"));
    };
    let result = fields.remove("task_result").unwrap_or_default();
    fields.remove("asked");
    let parts = ["run", "rescue", "executions", "deliveries", "tries"];
    for part in parts {
        fields.remove(part);
    }
    let attempt = format!("{} of run {}", task.attempt(), task.run);
    fields.insert("attempt".to_owned(), Value::from(attempt));
    fields
        .iter()
        .try_for_each(|(name, value)| field(name, value, output))?;
    for row in &whole.asked {
        let by = row.created_by.as_deref().unwrap_or("somebody");
        let told = match row.published_at {
            Some(_) => "workers know",
            None => "workers do not know yet",
        };
        let text = format!("{} by {by}, {}; {told}", row.kind, shown(row.created_date));
        field("asked", &Value::from(text), output)?;
    }
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

async fn asked(task: &TaskRow, store: &dyn Store) -> Result<Vec<ControlRow>, Failure> {
    let about = async |subject: &str| {
        let filter = ControlFilter {
            subject: Some(subject.to_owned()),
            ..ControlFilter::default()
        };
        store.controls(&filter).await
    };
    let mut asked = about(task.task_id.as_str()).await?;
    if let Some(root) = task
        .root_id
        .as_deref()
        .filter(|root| *root != task.task_id.as_str())
    {
        let family = about(root).await?.into_iter();
        asked.extend(family.filter(|row| row.kind == "revoke_family"));
    }
    Ok(asked)
}

fn field(name: &str, value: &Value, output: &mut Output) -> Result<(), Failure> {
    let text = match value.as_str() {
        _ if value.is_null() => return Ok(()),
        Some(text) if name == "traceback" => {
            format!("{name}\n{}", block(&beginning(text, MOST_TRACEBACK)))
        }
        Some(text) => format!("{name:<22} {}", plain(&beginning(text, MOST))),
        None => {
            let text = value.to_string();
            format!("{name:<22} {}", plain(&beginning(&text, MOST)))
        }
    };
    output.line(text)
}
