//! What happened to a task, and what its handler wrote.

use crate::shown::{Mask, State, When, cut, span, visible};
use counterfoil_store::JsonText;
use counterfoil_store::record::{EventRow, LogRow};
use serde_json::Value;

/// Longest piece of what an event told besides, in characters.
const TOLD: usize = 400;

#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: When,
    /// Since the line before.
    pub(super) after: String,
    pub(super) state: State,
    pub(super) attempt: String,
    pub(super) worker: String,
    pub(super) told: String,
}

#[derive(Debug)]
pub(super) struct LogLine {
    pub(super) at: When,
    pub(super) level: String,
    pub(super) message: String,
    pub(super) fields: String,
}

pub(super) fn lines(events: &[EventRow], mask: &Mask) -> Vec<Line> {
    let before = |place: usize| place.checked_sub(1).and_then(|place| events.get(place));
    let line = |(place, event): (usize, &EventRow)| Line {
        at: When::of(event.happened_at),
        after: before(place).map_or(String::new(), |before| {
            let passed = event.happened_at - before.happened_at;
            match passed.num_milliseconds() {
                // By several clocks.
                ..1 => String::new(),
                ms => format!("+{}", span(ms)),
            }
        }),
        state: State::of(event.kind),
        attempt: event.lineage().to_string(),
        worker: visible(event.worker.as_deref().unwrap_or_default()),
        told: event
            .detail
            .as_ref()
            .map_or(String::new(), |detail| told(detail, mask)),
    };
    events.iter().enumerate().map(line).collect()
}

/// What else an event told, in a line.
fn told(detail: &JsonText, mask: &Mask) -> String {
    let masked = mask.json(detail.get());
    let Ok(Value::Object(mut fields)) = serde_json::from_str(&masked) else {
        return cut(&visible(&masked), TOLD);
    };
    // They have places of their own.
    for name in ["traceback", "error_message", "started_at"] {
        fields.remove(name);
    }
    let told = fields.iter().filter(|(_, value)| !value.is_null());
    let told = told.map(|(name, value)| {
        if let (Some(name), Some(ms)) = (name.strip_suffix("_ms"), value.as_i64()) {
            return format!("{} {}", name.replace('_', " "), span(ms));
        }
        let name = name.replace('_', " ");
        match value.as_str() {
            Some(text) => format!("{name} {text}"),
            None => format!("{name} {value}"),
        }
    });
    let told = told.collect::<Vec<_>>().join(", ");
    cut(&visible(&told), TOLD)
}

pub(super) fn log_lines(log: &[LogRow], mask: &Mask) -> Vec<LogLine> {
    let line = |row: &LogRow| LogLine {
        at: When::of(row.happened_at),
        level: visible(&row.level),
        message: visible(&row.message),
        fields: row
            .fields
            .as_ref()
            .map_or(String::new(), |fields| told(fields, mask)),
    };
    log.iter().map(line).collect()
}
