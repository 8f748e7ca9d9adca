//! What chords wait for, and what is replaced by other tasks, when something goes another way than was thought.

use super::chords::{chord, end, told, wait_for};
use super::{Input, apply};
use crate::store_suite::{StoreSite, copy, event, lineage};
use anyhow::ensure;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::event::{After, Event, FaultKind, SkippedStep, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::state::TaskState::{Failure, Pending, Retry, Started, Success};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// This task, of the family of the first of these, failed, and so they are never sent.
fn failed_before(id: &TaskId, skipped: &[&TaskId]) -> Event {
    let mut failed = event(id, lineage(0, 0, 0), Failure);
    failed.root_id = skipped.first().map(|id| (*id).clone());
    let step = |id: &&TaskId| SkippedStep::new((*id).clone(), "demo.next".parse().expect("a name"));
    failed.after = Some(Box::new(After {
        skipped: skipped.iter().map(step).collect(),
        ..After::default()
    }));
    failed
}

/// # Errors
/// When the promise is broken.
pub async fn a_task_fails_with_those_that_went_on_in_its_place(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    for replaced_first in [true, false] {
        let [id, step] = [(); 2].map(|()| TaskId::random());
        apply(site, &[Input::Copy(Box::new(copy(&id)))]).await?;
        end(site, event(&id, lineage(0, 0, 0), Started)).await?;
        let mut replaced = event(&id, lineage(0, 0, 0), Retry);
        replaced.error = Some(TaskFault::new(FaultKind::Replaced, "it is replaced"));
        let mut events = [replaced, failed_before(&step, &[&id])];
        if !replaced_first {
            events.reverse();
        }
        for (n, event) in events.into_iter().enumerate() {
            let failed = site.store().fail_replaced(10).await?;
            ensure!(failed == 0, "{failed} after {n}");
            end(site, event).await?;
        }
        ensure!(site.store().fail_replaced(10).await? == 1);
        ensure!(site.store().fail_replaced(10).await? == 0, "it is over");
        let row = site.store().task(id.as_str()).await?;
        let row = row.ok_or_else(|| anyhow::anyhow!("no row"))?;
        let message = row.error_message.unwrap_or_default();
        ensure!(
            row.state == Failure && message.contains(step.as_str()),
            "{message}"
        );
        ensure!(message.ends_with("no such project"), "{message}");
        ensure!(
            site.store()
                .result(&id, 0)
                .await?
                .is_some_and(|result| result.status == Failure)
        );
        let found = super::told(site, &id).await?;
        let raised = &found["result"]["exc_message"];
        ensure!(
            found["status"] == "FAILURE" && *raised == json!(["no such project"]),
            "{found:#}"
        );
    }
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_task_that_runs_again_does_not_fail_because_of_what_was_skipped_before(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let run = Lineage {
        run: 1,
        ..Lineage::default()
    };
    let replaced = |id: &TaskId, attempt: Lineage| {
        let mut replaced = event(id, attempt, Retry);
        replaced.error = Some(TaskFault::new(FaultKind::Replaced, "it is replaced"));
        replaced
    };
    // It failed because of a step that failed, and people run it again.
    let [id, step] = [(); 2].map(|()| TaskId::random());
    end(site, failed_before(&step, &[&id])).await?;
    end(site, replaced(&id, lineage(0, 0, 0))).await?;
    ensure!(site.store().fail_replaced(10).await? == 1);
    let mut again = copy(&id);
    again.envelope.lineage.run = 1;
    apply(site, &[Input::Copy(Box::new(again))]).await?;
    end(site, replaced(&id, run)).await?;
    ensure!(
        site.store().fail_replaced(10).await? == 0,
        "in its second run"
    );

    // People run the step before it again, which succeeds.
    let [id, step] = [(); 2].map(|()| TaskId::random());
    end(site, failed_before(&step, &[&id])).await?;
    end(site, event(&step, run, Success)).await?;
    apply(site, &[Input::Copy(Box::new(copy(&id)))]).await?;
    end(site, replaced(&id, lineage(0, 0, 0))).await?;
    ensure!(site.store().fail_replaced(10).await? == 0, "after all");
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_task_for_which_a_chord_waits_is_kept_until_that_is_told(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 2].map(|()| TaskId::random());
    let waited = chord(&members);
    wait_for(site, &waited).await?;
    let mut done = event(&members[0], lineage(0, 0, 0), Success);
    done.result = RawValue::from_string("7".to_owned()).ok();
    end(site, done.clone()).await?;
    ensure!(told(site, &waited).await? == Value::Null);
    let deleted = site.store().delete_tasks(&members, None).await?;
    ensure!(deleted.is_empty(), "{deleted:?}");
    done.task_id = members[1].clone();
    end(site, done).await?;
    ensure!(told(site, &waited).await? == json!({"results": [7, 7]}));
    ensure!(site.store().delete_tasks(&members, None).await?.len() == 2);
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_failure_that_is_out_of_date_skips_nothing(site: &StoreSite) -> anyhow::Result<()> {
    let [before, next, sent] = [(); 3].map(|()| TaskId::random());
    // It runs again already.
    end(site, event(&before, lineage(1, 0, 0), Pending)).await?;
    end(site, failed_before(&before, &[&next])).await?;
    let waited = chord(std::slice::from_ref(&next));
    wait_for(site, &waited).await?;
    ensure!(
        told(site, &waited).await? == Value::Null,
        "it may still be sent"
    );

    // What people run again is over when that run is, whatever callers in Python find of the one before.
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let again = TaskId::random();
    end(site, event(&again, lineage(0, 0, 0), Failure)).await?;
    let second = Lineage {
        run: 1,
        ..Lineage::default()
    };
    end(site, event(&again, second, Pending)).await?;
    let waited = chord(std::slice::from_ref(&again));
    wait_for(site, &waited).await?;
    ensure!(told(site, &waited).await? == Value::Null, "it runs again");
    let mut done = event(&again, second, Success);
    done.result = RawValue::from_string("9".to_owned()).ok();
    end(site, done).await?;
    ensure!(told(site, &waited).await? == json!({"results": [9]}));

    // What was sent after all is over when it says so.
    let [first, over] = [(); 2].map(|()| TaskId::random());
    end(site, failed_before(&first, &[&sent])).await?;
    apply(site, &[Input::Copy(Box::new(copy(&sent)))]).await?;
    let waited = chord(&[over.clone(), sent.clone()]);
    wait_for(site, &waited).await?;
    for (member, result) in [(over, "7"), (sent, "8")] {
        ensure!(told(site, &waited).await? == Value::Null, "{member} runs");
        let mut done = event(&member, lineage(0, 0, 0), Success);
        done.result = RawValue::from_string(result.to_owned()).ok();
        end(site, done).await?;
    }
    ensure!(told(site, &waited).await? == json!({"results": [7, 8]}));
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn nobody_waits_for_ever_for_a_task_that_nobody_knows(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let [unknown, known] = [(); 2].map(|()| TaskId::random());
    apply(site, &[Input::Copy(Box::new(copy(&known)))]).await?;
    let waited = [&unknown, &known].map(|member| chord(std::slice::from_ref(member)));
    for chord in &waited {
        wait_for(site, chord).await?;
        ensure!(told(site, chord).await? == Value::Null, "it may still come");
    }
    site.execute("UPDATE chord SET created_date = '2020-01-01T00:00:00.000000Z'")
        .await?;
    let found = told(site, &waited[0]).await?;
    let failed = &found["failed"];
    ensure!(failed["message"] == "nobody has heard of it", "{found}");
    ensure!(
        told(site, &waited[1]).await? == Value::Null,
        "this one is known"
    );
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_chord_whose_header_takes_too_long_has_failed(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 2].map(|()| TaskId::random());
    for (within_s, is_late) in [(1000.0, false), (0.0, true)] {
        let mut waited = chord(&members);
        waited.within_s = Some(within_s);
        wait_for(site, &waited).await?;
        let found = told(site, &waited).await?;
        let message = found["failed"]["message"].as_str().unwrap_or_default();
        let names_it =
            message.contains("not over in time") && message.contains(members[0].as_str());
        ensure!(names_it == is_late, "{within_s}: {found}");
    }
    // What is over in time is told, however late somebody looks.
    let mut waited = chord(&members);
    waited.within_s = Some(0.0);
    for member in &members {
        let mut done = event(member, lineage(0, 0, 0), Success);
        done.result = RawValue::from_string("1".to_owned()).ok();
        end(site, done).await?;
    }
    wait_for(site, &waited).await?;
    ensure!(told(site, &waited).await? == json!({"results": [1, 1]}));
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn results_that_cannot_be_stored_are_told_as_a_failure_and_delay_no_other_chord(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 2].map(|()| TaskId::random());
    let waited = members.clone().map(|member| chord(&[member]));
    for (chord, result) in waited.iter().zip(["\"poison\"", "\"fine\""]) {
        wait_for(site, chord).await?;
        let mut done = event(&chord.members[0], lineage(0, 0, 0), Success);
        done.result = RawValue::from_string(result.to_owned()).ok();
        end(site, done).await?;
    }
    match site.url().starts_with("postgres") {
        true => {
            site.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF convert_from(NEW.message, 'UTF8') LIKE '%poison%' THEN \
                         RAISE EXCEPTION 'refused' USING ERRCODE = '22000'; END IF; \
                     RETURN NEW; END $$",
            )
            .await?;
            site.execute("CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()").await?;
        }
        false => {
            site.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON outbox WHEN CAST(NEW.message AS text) LIKE '%poison%' \
                 BEGIN SELECT RAISE(ABORT, 'refused'); END",
            )
            .await?;
        }
    }
    let found = told(site, &waited[0]).await?;
    let message = found["failed"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("cannot be stored"), "{found}");
    ensure!(told(site, &waited[1]).await? == json!({"results": ["fine"]}));
    Ok(())
}
