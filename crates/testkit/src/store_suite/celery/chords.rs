//! Groups that somebody waits for.

use super::{Input, apply};
use crate::store_suite::{StoreSite, copy, event, lineage};
use anyhow::{Context, ensure};
use counterfoil_store::Batch;
use counterfoil_toolbox::chord::Chord;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::event::{After, Event, SkippedStep};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::TaskState::{Failure, Started, Success};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(super) fn chord(members: &[TaskId]) -> Chord {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("JSON");
    Chord {
        id: TaskId::random(),
        root_id: TaskId::random(),
        parent_id: TaskId::random(),
        args: raw(r#"["g", {"task": "demo.total"}]"#),
        kwargs: raw(r#"{"result": []}"#),
        members: members.to_vec(),
        within_s: None,
    }
}

pub(super) async fn wait_for(site: &StoreSite, chord: &Chord) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.chord(chord, "demo");
    site.store().apply(&batch).await?;
    Ok(())
}

pub(super) async fn end(site: &StoreSite, event: Event) -> anyhow::Result<()> {
    apply(site, &[Input::Event(Box::new(event))]).await
}

/// What is in the outbox for whoever waits: null where nothing is.
pub(super) async fn told(site: &StoreSite, chord: &Chord) -> anyhow::Result<Value> {
    // As often as the daemon looks.
    for _ in 0..=chord.members.len() {
        site.store().unlock_chords(100).await?;
    }
    let due = site.store().due_messages(&[], 100, 1_000_000).await?;
    let key = format!("chord:{}", chord.id);
    let mut of_chord = due.into_iter().filter(|message| message.key == key);
    let Some(message) = of_chord.next() else {
        return Ok(Value::Null);
    };
    ensure!(of_chord.next().is_none(), "told twice");
    ensure!(&*message.message.routing_key == "demo");
    let content = &message.message.content;
    ensure!(content.headers.text("id") == Some(chord.id.as_str()));
    ensure!(content.headers.text("task") == Some("celery.chord_unlock"));
    let body: Value = serde_json::from_slice(&content.body)?;
    ensure!(body[0] == json!(["g", {"task": "demo.total"}]), "{body}");
    Ok(body[1]["counterfoil"].clone())
}

/// # Errors
/// When the promise is broken.
pub async fn whoever_waits_for_a_group_is_told_once_when_all_of_it_is_over(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 3].map(|()| TaskId::random());
    let chord = chord(&members);
    for (n, member) in members.iter().enumerate().rev() {
        apply(site, &[Input::Copy(Box::new(copy(member)))]).await?;
        wait_for(site, &chord).await?;
        end(site, event(member, lineage(0, 0, 0), Started)).await?;
        ensure!(told(site, &chord).await? == Value::Null, "{n} is not over");
        let mut done = event(member, lineage(0, 0, 0), Success);
        done.result = RawValue::from_string(n.to_string()).ok();
        end(site, done).await?;
    }
    let found = told(site, &chord).await?;
    ensure!(found == json!({"results": [0, 1, 2]}), "{found}");
    // A message of it that came once more tells nothing new.
    wait_for(site, &chord).await?;
    ensure!(told(site, &chord).await? == json!({"results": [0, 1, 2]}));
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_group_of_which_one_failed_or_is_never_sent_is_told_of_the_first(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 3].map(|()| TaskId::random());
    let waited = chord(&members);
    wait_for(site, &waited).await?;
    end(site, event(&members[2], lineage(0, 0, 0), Failure)).await?;
    end(site, event(&members[0], lineage(0, 0, 0), Success)).await?;
    ensure!(told(site, &waited).await? == Value::Null, "one is not over");
    end(site, event(&members[1], lineage(0, 0, 0), Failure)).await?;
    let found = told(site, &waited).await?;
    let failed =
        json!({"failed": {"id": members[1], "exception": null, "message": "no such project"}});
    ensure!(found == failed, "{found}");

    let [before, never] = [(); 2].map(|()| TaskId::random());
    let waited = chord(std::slice::from_ref(&never));
    wait_for(site, &waited).await?;
    let mut failed = event(&before, lineage(0, 0, 0), Failure);
    failed.after = Some(Box::new(After {
        skipped: vec![SkippedStep::new(never.clone(), "demo.next".parse()?)],
        ..After::default()
    }));
    end(site, failed).await?;
    let found = told(site, &waited).await?;
    let failed = &found["failed"];
    ensure!(
        failed["exception"]["exc_message"] == json!(["no such project"]),
        "{found}"
    );
    ensure!(failed["id"] == json!(never), "{found}");
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn what_workers_of_celery_wrote_counts_for_those_who_wait(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let members = [(); 2].map(|()| TaskId::random());
    let waited = chord(&members);
    wait_for(site, &waited).await?;
    // 4 as JSON, and as a pickle.
    for (n, (member, result)) in members.iter().zip(["34", "80054b042e"]).enumerate() {
        ensure!(told(site, &waited).await? == Value::Null);
        writes(site, 1000 + n, member, result).await?;
    }
    let found = told(site, &waited).await.context("chord")?;
    ensure!(found == json!({"results": [4, 4]}), "{found}");
    Ok(())
}

/// A worker of Celery's writes that a task succeeded. `result`: as hexadecimal digits.
pub(super) async fn writes(
    site: &StoreSite,
    n: usize,
    id: &TaskId,
    result: &str,
) -> anyhow::Result<()> {
    let result = match site.url().starts_with("postgres") {
        true => format!("'\\x{result}'"),
        false => format!("x'{result}'"),
    };
    site.execute(&format!(
        "INSERT INTO celery_taskmeta (id, task_id, status, result) VALUES ({n}, '{id}', 'SUCCESS', {result})"
    ))
    .await
}
