//! Tasks that are never sent, and such as somebody only says so of.

use super::chords::{self, chord, end, wait_for};
use super::{Input, apply, succeeds, told};
use crate::store_suite::{StoreSite, copy, event, lineage};
use anyhow::ensure;
use counterfoil_store::Batch;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::event::{After, Event, Exception, FaultKind, SkippedStep, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::TaskState::{Failure, Retry, Started, Success};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Duration;

/// A task of another service failed, whose worker says that this one is therefore never sent.
fn other_service_says(skipped: &TaskId) -> anyhow::Result<Event> {
    let mut failed = event(&TaskId::random(), lineage(0, 0, 0), Failure);
    failed.task = "export.project".parse()?;
    failed.service = "export".into();
    failed.after = Some(Box::new(After {
        skipped: vec![SkippedStep::new(skipped.clone(), "demo.add".parse()?)],
        ..After::default()
    }));
    Ok(failed)
}

/// # Errors
/// When the promise is broken.
pub async fn a_task_that_is_never_sent_failed_and_one_that_was_sent_all_the_same_did_not(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let [id, never, sent] = [(); 3].map(|()| TaskId::random());
    apply(site, &[Input::Copy(Box::new(copy(&sent)))]).await?;
    let mut failed = event(&id, lineage(0, 0, 0), Failure);
    let step = |id: &TaskId| SkippedStep {
        args: RawValue::from_string("[4]".to_owned()).ok(),
        ..SkippedStep::new(id.clone(), "demo.next".parse().expect("a name"))
    };
    failed.after = Some(Box::new(After {
        skipped: vec![step(&never), step(&sent)],
        ..After::default()
    }));
    apply(site, &[Input::Event(Box::new(failed.clone()))]).await?;
    let found = told(site, &never).await?;
    let exception = json!({"exc_type": "TaskError", "exc_message": ["no such project"], "exc_module": "counterfoil"});
    ensure!(
        (
            &found["status"],
            &found["result"],
            &found["args"],
            &found["name"]
        ) == (
            &json!("FAILURE"),
            &exception,
            &json!([4]),
            &json!("demo.next")
        ),
        "{found:#}"
    );
    ensure!(told(site, &sent).await? == Value::Null);
    // Another run gets further, and then that counts.
    succeeds(site, &never).await?;
    apply(site, &[Input::Event(Box::new(failed))]).await?;
    ensure!(told(site, &never).await?["status"] == "SUCCESS");

    // Of a chord whose header failed, the task that waited for it says why.
    let [unlock, body] = [(); 2].map(|()| TaskId::random());
    let mut done = event(&unlock, lineage(0, 0, 0), Success);
    done.after = Some(Box::new(After {
        skipped: vec![step(&body)],
        because: Some(Box::new(
            Exception::new("ChordError", ["why"]).of_module("celery.exceptions"),
        )),
        ..After::default()
    }));
    apply(site, &[Input::Event(Box::new(done))]).await?;
    let found = told(site, &body).await?;
    ensure!(found["result"]["exc_type"] == "ChordError", "{found:#}");
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn what_others_told_of_a_task_stays_and_of_one_that_was_sent_it_is_not_said_that_it_never_was(
    site: &StoreSite,
) -> anyhow::Result<()> {
    for encoding in [CeleryEncoding::Json, CeleryEncoding::Pickle] {
        let store = site.another().await?;
        store.keep_celery_results(encoding).await?;
        let apply = async |input: Input| -> anyhow::Result<()> {
            let mut batch = counterfoil_store::Batch::new();
            match &input {
                Input::Copy(copy) => batch.track(copy),
                Input::Event(event) => batch.event(event),
            }
            Ok(store.apply(&batch).await.map(drop)?)
        };
        let status = async |id: &TaskId| {
            let asked = "SELECT max(status) FROM celery_taskmeta WHERE task_id =";
            site.text(&format!("{asked} '{id}'")).await
        };
        let ids = [(); 2].map(|()| TaskId::random());
        let [copied, begun] = &ids;
        for (id, heard) in [
            (copied, Input::Copy(Box::new(copy(copied)))),
            (
                begun,
                Input::Event(Box::new(event(begun, lineage(0, 0, 0), Started))),
            ),
        ] {
            let said = other_service_says(id)?;
            apply(Input::Event(Box::new(said.clone()))).await?;
            ensure!(status(id).await?.as_deref() == Some("FAILURE"));
            apply(heard).await?;
            ensure!(status(id).await?.is_none(), "it waits, or runs");
            apply(Input::Event(Box::new(said))).await?;
            ensure!(status(id).await?.is_none(), "as before");
            apply(Input::Event(Box::new(event(id, lineage(0, 0, 0), Success)))).await?;
            ensure!(status(id).await?.as_deref() == Some("SUCCESS"));
        }
    }
    // Workers of Celery's have written of these what became of them, and their messages come late.
    for (n, status) in ["FAILURE", "RETRY", "STARTED"].into_iter().enumerate() {
        let (id, n) = (TaskId::random(), 4000 + 100 * n);
        site.execute(&format!(
            "INSERT INTO celery_taskmeta (id, task_id, status, traceback) VALUES ({n}, '{id}', '{status}', 'theirs')"
        ))
        .await?;
        site.store()
            .keep_celery_results(CeleryEncoding::Json)
            .await?;
        end(site, other_service_says(&id)?).await?;
        apply(site, &[Input::Copy(Box::new(copy(&id)))]).await?;
        let found = told(site, &id).await?;
        ensure!(
            (&found["status"], &found["traceback"]) == (&json!(status), &json!("theirs")),
            "{found:#}"
        );
    }
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_chord_does_not_fail_because_of_a_task_that_is_under_way_while_another_service_says_it_is_not(
    site: &StoreSite,
) -> anyhow::Result<()> {
    for with_results in [false, true] {
        if with_results {
            site.store()
                .keep_celery_results(CeleryEncoding::Json)
                .await?;
        }
        let [never, sent] = [(); 2].map(|()| TaskId::random());
        let waited = [&never, &sent].map(|member| chord(std::slice::from_ref(member)));
        for (chord, member) in waited.iter().zip([&never, &sent]) {
            wait_for(site, chord).await?;
            end(site, other_service_says(member)?).await?;
            ensure!(
                chords::told(site, chord).await? == Value::Null,
                "it may be under way"
            );
        }
        apply(site, &[Input::Copy(Box::new(copy(&sent)))]).await?;
        site.execute("UPDATE skipped_task SET created_date = '2020-01-01T00:00:00.000000Z'")
            .await?;
        let found = chords::told(site, &waited[0]).await?;
        ensure!(
            found["failed"]["id"] == json!(never),
            "by now it had come: {found}"
        );
        ensure!(
            chords::told(site, &waited[1]).await? == Value::Null,
            "it was"
        );
        succeeds(site, &sent).await?;
        let found = chords::told(site, &waited[1]).await?;
        ensure!(found == json!({"results": [3]}), "{found}");
    }
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_task_does_not_fail_because_of_what_another_family_says_goes_on_in_its_place(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    apply(site, &[Input::Copy(Box::new(copy(&id)))]).await?;
    let mut replaced = event(&id, lineage(0, 0, 0), Retry);
    replaced.error = Some(TaskFault::new(FaultKind::Replaced, "it is replaced"));
    end(site, replaced).await?;
    let mut said = other_service_says(&id)?;
    end(site, said.clone()).await?;
    ensure!(site.store().fail_replaced(10).await? == 0);
    // A step in its place that another service runs is of its family.
    said.task_id = TaskId::random();
    said.root_id = Some(id.clone());
    site.execute("DELETE FROM skipped_task").await?;
    end(site, said).await?;
    ensure!(site.store().fail_replaced(10).await? == 1);
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn what_callers_were_told_of_tasks_that_nobody_knows_is_forgotten(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let [never, revoked, known, theirs] = [(); 4].map(|()| TaskId::random());
    let mut failed = event(&TaskId::random(), lineage(0, 0, 0), Failure);
    failed.after = Some(Box::new(After {
        skipped: vec![SkippedStep::new(never.clone(), "demo.next".parse()?)],
        ..After::default()
    }));
    let mut batch = Batch::new();
    batch.event(&failed);
    batch.revoked_by_celery(&[revoked.clone(), known.clone()]);
    batch.track(&copy(&known));
    site.store().apply(&batch).await?;
    // As a worker of Celery's writes it, of a task that does not pass here.
    let now = match site.url().starts_with("postgres") {
        true => "now() AT TIME ZONE 'UTC'",
        false => "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    };
    let id = match site.url().starts_with("postgres") {
        true => "nextval('task_id_sequence')",
        false => "NULL",
    };
    site.execute(&format!(
        "INSERT INTO celery_taskmeta (id, task_id, status, date_done) VALUES ({id}, '{theirs}', 'SUCCESS', {now})"
    ))
    .await?;
    let all = async || -> anyhow::Result<Vec<bool>> {
        let mut found = Vec::new();
        for id in [&never, &revoked, &known, &theirs] {
            found.push(told(site, id).await? != Value::Null);
        }
        Ok(found)
    };
    ensure!(all().await? == [true; 4], "{:?}", all().await?);
    site.store()
        .forget_skipped(Duration::from_secs(3600))
        .await?;
    ensure!(all().await? == [true; 4], "{:?}", all().await?);
    tokio::time::sleep(Duration::from_millis(5)).await; // the age is that of the database's clock
    site.store().forget_skipped(Duration::ZERO).await?;
    let left = all().await?;
    ensure!(left == [false, false, true, true], "{left:?}");
    Ok(())
}
