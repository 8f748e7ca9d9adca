//! Results where callers in Python look for them.

mod chords;
mod ends;
mod skipped;
mod tables;
mod waiting;

pub use chords::{
    a_group_of_which_one_failed_or_is_never_sent_is_told_of_the_first,
    what_workers_of_celery_wrote_counts_for_those_who_wait,
    whoever_waits_for_a_group_is_told_once_when_all_of_it_is_over,
};

pub use ends::{
    a_chord_that_cannot_be_told_of_now_lets_others_go_first,
    a_task_that_runs_again_is_waited_for_though_a_later_one_was,
    no_more_is_asked_for_of_results_than_a_message_holds,
};
pub use skipped::{
    a_chord_does_not_fail_because_of_a_task_that_is_under_way_while_another_service_says_it_is_not,
    a_task_does_not_fail_because_of_what_another_family_says_goes_on_in_its_place,
    a_task_that_is_never_sent_failed_and_one_that_was_sent_all_the_same_did_not,
    what_callers_were_told_of_tasks_that_nobody_knows_is_forgotten,
    what_others_told_of_a_task_stays_and_of_one_that_was_sent_it_is_not_said_that_it_never_was,
};
pub use tables::{
    results_are_pickled_where_that_is_asked_for,
    results_of_celerys_workers_are_what_they_wrote_and_else_what_they_printed,
    stamps_are_told_as_they_came_whatever_they_are,
    tables_are_made_where_there_are_none_and_used_as_they_are,
    tasks_that_were_revoked_are_told_so_unless_somebody_has_begun_them,
    what_callers_were_told_goes_with_the_task,
};
pub use waiting::{
    a_chord_whose_header_takes_too_long_has_failed, a_failure_that_is_out_of_date_skips_nothing,
    a_task_fails_with_those_that_went_on_in_its_place,
    a_task_for_which_a_chord_waits_is_kept_until_that_is_told,
    a_task_that_runs_again_does_not_fail_because_of_what_was_skipped_before,
    nobody_waits_for_ever_for_a_task_that_nobody_knows,
    results_that_cannot_be_stored_are_told_as_a_failure_and_delay_no_other_chord,
};

use super::{StoreSite, copy, copy_of, event, lineage};
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, TrackingCopy};
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::event::{After, Event};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::state::TaskState::{
    Failure, Pending, Progress, Retry, Revoked, Started, Success,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What is in the table of a task; null: nothing. Texts in columns of bytes are JSON.
async fn told(site: &StoreSite, id: &TaskId) -> anyhow::Result<Value> {
    let is_postgres = site.url().starts_with("postgres");
    let bytes = |column: &str| match is_postgres {
        true => format!("convert_from({column}, 'UTF8')"),
        false => format!("CAST({column} AS text)"),
    };
    let row = |pairs: &str| match is_postgres {
        true => format!("json_build_object({pairs})::text"),
        false => format!("json_object({pairs})"),
    };
    let mut pairs: Vec<String> = ["status", "traceback", "name", "worker", "retries", "queue"]
        .map(|column| format!("'{column}', {column}"))
        .into();
    pairs.push("'is_done', date_done IS NOT NULL".to_owned());
    let columns = ["result", "children", "args", "kwargs", "stamps"];
    pairs.extend(columns.map(|column| format!("'{column}', {}", bytes(column))));
    let row = row(&pairs.join(", "));
    let row = format!("SELECT {row} FROM celery_taskmeta WHERE task_id = '{id}'");
    let Some(row) = site
        .text(&format!(
            "SELECT max(x) FROM ({}) AS r",
            row.replacen(" FROM", " AS x FROM", 1)
        ))
        .await?
    else {
        return Ok(Value::Null);
    };
    let mut row: Value = serde_json::from_str(&row)?;
    for column in columns {
        if let Some(text) = row[column].as_str() {
            row[column] =
                serde_json::from_str(text).with_context(|| format!("{column}: {text}"))?;
        }
    }
    // SQLite has no booleans.
    row["is_done"] = (row["is_done"] == json!(true) || row["is_done"] == json!(1)).into();
    Ok(row)
}

/// Something that is told of a task.
#[derive(Clone)]
enum Input {
    Copy(Box<TrackingCopy>),
    Event(Box<Event>),
}

async fn apply(site: &StoreSite, inputs: &[Input]) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    for input in inputs {
        match input {
            Input::Copy(copy) => batch.track(copy),
            Input::Event(event) => batch.event(event),
        }
    }
    site.store().apply(&batch).await?;
    Ok(())
}

/// A worker reports that the task is done.
async fn succeeds(site: &StoreSite, id: &TaskId) -> anyhow::Result<()> {
    let done = event(id, lineage(0, 0, 0), Success);
    apply(site, &[Input::Event(Box::new(done))]).await
}

/// All orders of some things.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for n in 0..things.len() {
        let mut rest = things.to_vec();
        let first = rest.remove(n);
        for mut order in orders(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

/// # Errors
/// When the promise is broken.
pub async fn a_caller_in_python_is_told_what_the_row_says_whatever_came_first(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let seen = [
        (
            Progress,
            json!({"current": 3, "total": 10, "message": "third of ten"}),
        ),
        (
            Retry,
            json!({"exc_type": "TaskError", "exc_message": ["no such project"], "exc_module": "counterfoil"}),
        ),
        (
            Failure,
            json!({"exc_type": "TaskError", "exc_message": ["no such project"], "exc_module": "counterfoil"}),
        ),
        (
            Revoked,
            json!({"exc_type": "TaskError", "exc_message": ["no such project"], "exc_module": "counterfoil"}),
        ),
        (Success, json!(3)),
    ];
    for (state, result) in seen {
        let begun = TaskId::random();
        let [first, last] = [Started, state].map(|state| event(&begun, lineage(0, 0, 0), state));
        let inputs = [
            Input::Copy(Box::new(copy(&begun))),
            Input::Event(Box::new(first)),
            Input::Event(Box::new(last)),
        ];
        let has_failed = matches!(state, Retry | Failure | Revoked);
        let wanted = json!({
            "status": state.as_str(), "result": result, "children": null, "stamps": null,
            "traceback": has_failed.then_some("at line 1\nat line 2"),
            "is_done": state.is_terminal(), "name": "demo.add", "args": [1, 2], "kwargs": {},
            "worker": "demo@host.7.0a0b0c0d", "retries": 0, "queue": "demo.add",
        });
        for order in orders(&inputs) {
            let id = TaskId::random();
            for input in order.iter().cloned() {
                apply(site, &[of(input, &id)]).await?;
            }
            ensure!(
                told(site, &id).await? == wanted,
                "{state}: {:#}",
                told(site, &id).await?
            );
        }
        let id = TaskId::random();
        let at_once: Vec<_> = inputs.iter().cloned().map(|input| of(input, &id)).collect();
        apply(site, &at_once).await?;
        ensure!(told(site, &id).await? == wanted, "{state}, at once");
    }
    let begun = TaskId::random();
    let started = event(&begun, lineage(0, 0, 0), Started);
    apply(site, &[Input::Event(Box::new(started))]).await?;
    ensure!(
        told(site, &begun).await? == Value::Null,
        "as with Celery's default"
    );
    Ok(())
}

/// The same of another task.
fn of(input: Input, id: &TaskId) -> Input {
    match input {
        Input::Copy(_) => Input::Copy(Box::new(copy(id))),
        Input::Event(event) => Input::Event(Box::new(Event {
            task_id: id.clone(),
            ..*event
        })),
    }
}

/// # Errors
/// When the promise is broken.
pub async fn a_success_stays_and_who_wants_no_result_is_told_nothing(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let id = TaskId::random();
    let mut done = event(&id, lineage(0, 0, 0), Success);
    done.after = Some(Box::new(After {
        children: RawValue::from_string(r#"[[["c1",null],null]]"#.to_owned()).ok(),
        ..After::default()
    }));
    let again = event(&id, lineage(1, 0, 0), Failure);
    for happened in [done, again] {
        apply(site, &[Input::Event(Box::new(happened))]).await?;
    }
    let found = told(site, &id).await?;
    ensure!(
        (&found["status"], &found["result"]) == (&json!("SUCCESS"), &json!(3)),
        "{found}"
    );
    ensure!(
        found["children"] == json!([[["c1", null], null]]),
        "{found}"
    );

    // What no worker says, or one of Celery's says, is not told over what was told.
    let failed = TaskId::random();
    let first = event(&failed, lineage(0, 0, 0), Failure);
    let mut dead = event(&failed, lineage(0, 1, 0), Failure);
    dead.worker = None;
    let mut theirs = event(&failed, lineage(0, 2, 0), Revoked);
    theirs.worker = Some("celery@host".parse()?);
    for happened in [first, dead, theirs] {
        apply(site, &[Input::Event(Box::new(happened))]).await?;
    }
    let found = told(site, &failed).await?;
    ensure!(
        (&found["status"], &found["retries"]) == (&json!("FAILURE"), &json!(0)),
        "{found}"
    );

    let ignored = TaskId::random();
    let mut envelope = Envelope::new(ignored.clone(), "demo.add".parse()?);
    envelope.ignore_result = Some(true);
    apply(site, &[Input::Copy(Box::new(copy_of(envelope)))]).await?;
    // Of a worker that does not say so itself, as the platform does not.
    succeeds(site, &ignored).await?;
    ensure!(told(site, &ignored).await? == Value::Null);
    let early = TaskId::random();
    let mut done = event(&early, lineage(0, 0, 0), Success);
    done.ignore_result = true;
    apply(site, &[Input::Event(Box::new(done))]).await?;
    ensure!(told(site, &early).await? == Value::Null);
    let waits = TaskId::random();
    apply(
        site,
        &[
            Input::Copy(Box::new(copy(&waits))),
            Input::Event(Box::new(event(&waits, lineage(0, 0, 0), Pending))),
        ],
    )
    .await?;
    ensure!(
        told(site, &waits).await? == Value::Null,
        "as of a task that nobody knows"
    );
    Ok(())
}
