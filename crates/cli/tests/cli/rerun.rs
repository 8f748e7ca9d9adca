//! Tasks that are over run again from the messages that the platform keeps, or are deleted.

use crate::stage::{BODY, Stage, id_of, on_both_databases};
use counterfoil_store::{Batch, StoredMessage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::names::RUN;
use counterfoil_toolbox::state::Lineage;
use serde_json::json;

on_both_databases!(
    a_task_that_is_over_runs_again_and_leaves_nothing_in_the_dead_queue,
    a_new_run_that_died_at_once_is_listed_although_the_old_one_is_taken_out,
    tasks_that_match_a_filter_run_again_and_living_ones_are_left_alone,
    tasks_that_are_over_are_deleted_by_id_or_by_filter,
);

fn event(id: &TaskId, state: TaskState) -> Event {
    let name = "demo.add".parse().expect("a task name");
    let kind = EventKind::State(state);
    Event::new(
        id.clone(),
        name,
        Lineage::default(),
        kind,
        chrono::Utc::now(),
    )
}

async fn a_task_that_is_over_runs_again_and_leaves_nothing_in_the_dead_queue(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let letter = stage.die("demo.add", FaultKind::Exhausted).await?;
    let other = stage.die("demo.add", FaultKind::Exhausted).await?;
    let id = id_of(&letter);
    stage.listed(2).await?;
    stage.is(id, 0, TaskState::Failure).await?;
    let public = stage.store.public_id(&id.parse()?)?;
    let ran = stage
        .program
        .run(&["task", "rerun", &public, "--json"])
        .await
        .ends_with(0);
    assert!(
        ran.stderr
            .contains("1 message of an earlier run was taken out"),
        "{ran:?}"
    );
    let lines = ran.documents();
    assert_eq!(
        (&lines[0]["task_id"], &lines[0]["detail"]),
        (&json!(id), &json!("run 1"))
    );
    stage.is(id, 1, TaskState::Pending).await?;
    let left = stage.listed(1).await?;
    assert_eq!(left[0]["task_id"], id_of(&other));
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (1, 1)
    );
    let again = stage.take("demo").await?;
    assert_eq!(&again.content.body[..], BODY.as_bytes());
    assert_eq!(again.content.headers.int(RUN), Some(1));
    assert_eq!(again.routing_key.as_str(), "demo.add");
    let history = stage
        .program
        .run(&["task", "history", id, "--json"])
        .await
        .ends_with(0);
    let last = history.documents().pop().expect("the new run");
    assert_eq!(last["detail"], json!({"action": "rerun", "by": "alice"}));

    // Not over any more.
    let ran = stage.program.run(&["task", "rerun", id]).await.ends_with(1);
    assert!(
        ran.stdout.contains("it is PENDING, not over: --force"),
        "{ran:?}"
    );
    assert_eq!(stage.ready("demo").await?, 0);
    stage
        .program
        .run(&["task", "rerun", id, "--force"])
        .await
        .ends_with(0);
    stage.is(id, 2, TaskState::Pending).await?;
    assert_eq!(stage.take("demo").await?.content.headers.int(RUN), Some(2));
    daemon.stop().await
}

/// A run may be over before the command is: what the platform was told of it meanwhile is not the old run's.
async fn a_new_run_that_died_at_once_is_listed_although_the_old_one_is_taken_out(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let letter = stage.die("demo.add", FaultKind::Exhausted).await?;
    stage.listed(1).await?;
    stage.is(id_of(&letter), 0, TaskState::Failure).await?;
    let mut new_run = letter.clone();
    new_run.headers.set(RUN, 1);
    let message = StoredMessage {
        exchange: stage.names.dead.as_str().into(),
        routing_key: "demo".into(),
        content: new_run,
    };
    let mut batch = Batch::new();
    batch.dead(counterfoil_sync::dead_letter(message, &stage.names));
    stage.store.apply(&batch).await?;
    stage.listed(2).await?;
    let rerun = ["task", "rerun", id_of(&letter)];
    stage.program.run(&rerun).await.ends_with(0);
    let left = stage.listed(1).await?;
    assert_eq!(left[0]["attempt"], "0.3.0", "{left:?}");
    daemon.stop().await
}

async fn tasks_that_match_a_filter_run_again_and_living_ones_are_left_alone(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let letter = stage.die("demo.add", FaultKind::Exhausted).await?;
        ids.push(id_of(&letter).to_owned());
    }
    stage.listed(4).await?;
    for id in &ids {
        stage.is(id, 0, TaskState::Failure).await?;
    }
    // One whose message is not known, and one that still runs.
    let (unstored, running) = (TaskId::random(), TaskId::random());
    let mut batch = Batch::new();
    batch.event(&event(&unstored, TaskState::Failure));
    batch.event(&event(&running, TaskState::Started));
    stage.store.apply(&batch).await?;
    let rerun = ["task", "rerun", "--name", "demo.add", "--since", "1d"];
    let dry = stage
        .program
        .run(&[&rerun[..], &["--dry-run"]].concat())
        .await
        .ends_with(0);
    assert!(dry.stderr.contains("5 tasks would be run again"), "{dry:?}");
    assert!(
        dry.stdout.contains("nothing was done, 1 left out"),
        "{dry:?}"
    );
    assert_eq!(stage.ready("demo").await?, 0);
    let some = [
        &rerun[..],
        &["--limit", "2", "--state", "FAILURE", "--json"],
    ]
    .concat();
    let ran = stage.program.run(&some).await.ends_with(1);
    assert!(ran.stderr.contains("2 tasks will be run again"), "{ran:?}");
    assert!(
        ran.stdout.contains("its message is not stored"),
        "the newest: {ran:?}"
    );
    let ran = stage
        .program
        .run(&[&rerun[..], &["--json"]].concat())
        .await
        .ends_with(1);
    let summary = ran.documents().pop().expect("a summary");
    assert_eq!(
        summary,
        json!({"selected": 4, "done": 3, "asked": 0, "failed": 1, "left_out": 2, "dry_run": false})
    );
    for id in &ids {
        stage.is(id, 1, TaskState::Pending).await?;
    }
    stage.listed(0).await?;
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (0, 4)
    );
    let row = stage.store.task(running.as_str()).await?.expect("a row");
    assert_eq!((row.state, row.run), (TaskState::Started, 0));
    daemon.stop().await
}

async fn tasks_that_are_over_are_deleted_by_id_or_by_filter(stage: Stage) -> anyhow::Result<()> {
    let [over, other, running] = std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    for (id, state) in [
        (&over, TaskState::Success),
        (&other, TaskState::Success),
        (&running, TaskState::Started),
    ] {
        batch.event(&event(id, state));
    }
    stage.store.apply(&batch).await?;
    let delete = ["task", "delete", over.as_str(), running.as_str(), "nobody"];
    let ran = stage.program.run(&delete).await.ends_with(1);
    assert!(
        ran.stdout
            .contains("it is STARTED: only what is over can be deleted"),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("failed  nobody  -  no task has this id"),
        "{ran:?}"
    );
    assert!(
        ran.stdout.ends_with("1 task deleted, 2 failed\n"),
        "{ran:?}"
    );
    assert!(stage.store.task(over.as_str()).await?.is_none());
    let delete = ["task", "delete", "--service", "demo", "--yes"];
    let dry = stage
        .program
        .run(&[&delete[..], &["--dry-run"]].concat())
        .await
        .ends_with(0);
    assert!(
        dry.stdout
            .contains("1 task would be deleted; nothing was done"),
        "{dry:?}"
    );
    assert!(stage.store.task(other.as_str()).await?.is_some());
    let ran = stage.program.run(&delete).await.ends_with(0);
    assert!(
        ran.stdout
            .ends_with("1 task deleted, 1 left out: they cannot be deleted\n"),
        "{ran:?}"
    );
    assert!(stage.store.task(other.as_str()).await?.is_none());
    assert!(stage.store.history(&other).await?.is_empty());
    assert!(stage.store.task(running.as_str()).await?.is_some());
    Ok(())
}
