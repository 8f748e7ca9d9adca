//! `task history`

use crate::failure::Failure;
use crate::output::{Output, numbers, words};
use crate::when::shown;
use counterfoil_store::record::{EventRow, TaskRow};
use counterfoil_store::{JsonText, Store};
use serde_json::Value;

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
        event.detail.as_ref().map_or(String::new(), told),
    ]
}

/// What else was told, the error first: it is what people look for. Its traceback is for `task show`.
fn told(detail: &JsonText) -> String {
    let Value::Object(mut fields) = detail.to_value() else {
        return detail.get().to_owned();
    };
    fields.remove("traceback");
    let mut take = |name| match fields.remove(name) {
        Some(Value::String(text)) => text,
        Some(_) | None => String::new(),
    };
    let (kind, message) = (take("error_kind"), take("error_message"));
    let error = match (kind.is_empty(), message.is_empty()) {
        (true, true) => None,
        (false, true) => Some(kind),
        (true, false) => Some(message),
        (false, false) => Some(format!("{kind}: {message}")),
    };
    let others = fields.iter().filter(|(_, value)| !value.is_null());
    let others = others.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    });
    let all: Vec<_> = error.into_iter().chain(others).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_comes_first_and_whole_and_the_traceback_stays_away() {
        let detail = r#"{"counted": true, "error_kind": "exception", "error_message": "no such project",
            "progress_total": null, "traceback": "at line 1"}"#;
        let detail = JsonText::storable(detail).expect("JSON");
        assert_eq!(told(&detail), "exception: no such project, counted true");
        let detail = JsonText::storable(r#"{"action": "rerun", "by": "ann"}"#).expect("JSON");
        assert_eq!(told(&detail), "action rerun, by ann");
    }
}
