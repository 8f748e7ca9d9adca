//! `schedule show`.

use super::{next, time};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_operations::schedules::find;
use counterfoil_store::{ScheduleRow, Store};
use std::time::Duration;

pub(super) async fn run(store: &dyn Store, name: &str, output: &mut Output) -> Result<(), Failure> {
    let row = find(store, name).await?;
    if output.is_json() {
        return output.document(&row);
    }
    for (name, fact) in facts(&row) {
        output.fact(name, &fact)?;
    }
    Ok(())
}

fn facts(row: &ScheduleRow) -> impl Iterator<Item = (&'static str, String)> {
    let facts = [
        ("schedule", row.name.clone()),
        ("cron", row.cron.clone()),
        ("zone", row.time_zone.clone()),
        ("task", row.task.clone()),
        ("args", row.args.clone()),
        ("kwargs", row.kwargs.clone()),
        ("priority", row.priority.clone()),
        ("creator", row.creator_id.clone().unwrap_or_default()),
        ("jitter", duration(Some(row.jitter_ms).filter(|ms| *ms > 0))),
        ("expires after", duration(row.expires_ms)),
        ("catch up", row.catch_up.to_string()),
        ("next", next(row)),
        ("last", time(row.last_at)),
    ];
    facts.into_iter().filter(|(_, fact)| !fact.is_empty())
}

fn duration(ms: Option<i64>) -> String {
    ms.map_or_else(String::new, |ms| {
        humantime::format_duration(Duration::from_millis(ms.unsigned_abs())).to_string()
    })
}
