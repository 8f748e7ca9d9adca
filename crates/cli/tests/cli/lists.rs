//! What is too long is cut for people, and said to be.

use crate::stage::{Stage, on_sqlite};
use chrono::{TimeDelta, Utc};
use counterfoil_store::{Batch, DeadLetter, TrackingCopy};
use counterfoil_testkit::eventually;
use counterfoil_testkit::store_suite::copy_of;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::sent::sending_id;
use counterfoil_toolbox::session::{Opening, Subtask};
use counterfoil_toolbox::state::Lineage;
use serde_json::json;
use uuid::Uuid;

on_sqlite!(
    a_list_that_is_longer_than_its_limit_says_so,
    a_list_says_so_when_no_daemon_reads_or_has_written_for_long,
    long_arguments_are_cut_for_people_and_whole_in_json,
    a_task_that_was_refused_and_sent_again_is_shown_without_the_refusal,
    whoever_aborts_a_session_may_say_in_whose_name,
    a_session_shows_its_subtasks_up_to_the_limit_and_keeps_them_while_it_is_open,
);

const MORE: &str = "there are more than these 2: a higher --limit shows more\n";

/// A session of one subtask.
fn session(id: &SessionId) -> anyhow::Result<Opening> {
    Ok(serde_json::from_value(json!({
        "id": id, "action": "harvest",
        "finalizer": { "id": TaskId::random(), "task": "demo.end", "args": [], "kwargs": {}, "takes_summary": true },
        "subtasks": [{ "id": TaskId::random(), "task": "demo.add" }],
    }))?)
}

async fn a_list_that_is_longer_than_its_limit_says_so(stage: Stage) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    for _ in 0..3 {
        let id = TaskId::random();
        let copy = copy_of(Envelope::new(id.clone(), "demo.add".parse()?));
        batch.track(&copy);
        batch.dead(DeadLetter {
            service: "demo".into(),
            reason: "exhausted".into(),
            reason_text: None,
            task_id: Some(id),
            name: Some("demo.add".into()),
            lineage: copy.envelope.lineage,
            died_at: None,
            message: copy.message,
        });
        batch.open_session(&session(&SessionId::random())?);
    }
    stage.store.apply(&batch).await?;
    for list in [
        &["task", "list"][..],
        &["dead", "list", "demo"],
        &["session", "list"],
    ] {
        for (limit, said) in [("2", MORE), ("3", ""), ("4", "")] {
            let args = [list, &["--limit", limit]].concat();
            let ran = stage.program.run(&args).await.ends_with(0);
            assert_eq!(ran.stderr, said, "{args:?}: {ran:?}");
            let json = [&args[..], &["--json"]].concat();
            let ran = stage.program.run(&json).await.ends_with(0);
            let shown: usize = limit.parse()?;
            assert_eq!(ran.documents().len(), shown.min(3), "{args:?}");
        }
    }
    Ok(())
}

/// Whoever looks for a task that was sent a moment ago must not take an old list for the whole truth.
async fn a_list_says_so_when_no_daemon_reads_or_has_written_for_long(
    mut stage: Stage,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.track(&copy_of(Envelope::new(
        TaskId::random(),
        "demo.add".parse()?,
    )));
    stage.store.apply(&batch).await?;
    stage.store.canary_sent(Uuid::now_v7()).await?;
    let list = ["task", "list"];
    let ran = stage.program.run(&list).await.ends_with(0);
    assert!(ran.stderr.contains("no counterfoil-sync reads"), "{ran:?}");
    let daemon = stage.daemon();
    eventually("a daemon to read", crate::stage::SOON, async || {
        let ran = stage.program.run(&list).await.ends_with(0);
        Ok(ran.stderr.is_empty().then_some(()))
    })
    .await?;
    daemon.stop().await?;
    // Where the broker cannot be asked, what the daemon wrote last tells.
    stage
        .program
        .set("COUNTERFOIL_BROKER__URL", "amqp://127.0.0.1:1/%2f");
    stage.program.set("COUNTERFOIL_SYNC__CANARY_INTERVAL", "1s");
    let old = "no sign of life of a counterfoil-sync since 20";
    eventually("the list to be old", crate::stage::SOON, async || {
        let ran = stage.program.run(&list).await.ends_with(0);
        Ok(ran.stderr.contains(old).then_some(()))
    })
    .await
}

async fn long_arguments_are_cut_for_people_and_whole_in_json(stage: Stage) -> anyhow::Result<()> {
    let id = TaskId::random();
    let mut copy = copy_of(Envelope::new(id.clone(), "demo.add".parse()?));
    let input = format!("{{\"args\": [\"{}\"]}}", "x".repeat(250_000));
    copy.input = Some(input);
    let mut batch = Batch::new();
    batch.track(&copy);
    stage.store.apply(&batch).await?;
    let shown = stage.program.run(&["task", "show", id.as_str()]).await;
    let shown = shown.ends_with(0).stdout;
    assert!(shown.len() < 5000, "{} bytes", shown.len());
    assert!(shown.contains("… (1000 of 250"), "{shown}");
    assert!(shown.contains("--json shows all)"), "{shown}");
    let whole = ["task", "show", id.as_str(), "--json"];
    let whole = stage.program.run(&whole).await.ends_with(0).stdout;
    assert!(whole.len() > 250_000, "{} bytes", whole.len());
    Ok(())
}

async fn a_task_that_was_refused_and_sent_again_is_shown_without_the_refusal(
    stage: Stage,
) -> anyhow::Result<()> {
    let (id, state) = (TaskId::random(), TaskState::Rejected);
    let sent = |sent_at| -> anyhow::Result<TrackingCopy> {
        let mut envelope = Envelope::new(id.clone(), "demo.add".parse()?);
        envelope.sent_at = Some(sent_at);
        Ok(copy_of(envelope))
    };
    let now = Utc::now();
    let (first, kind) = (Lineage::default(), EventKind::State(state));
    let mut refused = Event::new(id.clone(), "demo.add".parse()?, first, kind, now);
    refused.event_id = sending_id(&id, now, state);
    refused.error = Some(TaskFault::new(FaultKind::QueueFull, "the queue is full"));
    let mut batch = Batch::new();
    batch.track(&sent(now)?);
    batch.event(&refused);
    stage.store.apply(&batch).await?;
    let shows = async || {
        let shown = stage.program.run(&["task", "show", id.as_str()]).await;
        let shown = shown.ends_with(0).stdout;
        (shown.contains("PENDING"), shown.contains("REJECTED"))
    };
    assert_eq!(shows().await, (false, true));
    let mut batch = Batch::new();
    batch.track(&sent(now + TimeDelta::seconds(1))?);
    stage.store.apply(&batch).await?;
    assert_eq!(shows().await, (true, false));
    Ok(())
}

async fn whoever_aborts_a_session_may_say_in_whose_name(stage: Stage) -> anyhow::Result<()> {
    let id = SessionId::random();
    let mut batch = Batch::new();
    batch.open_session(&session(&id)?);
    stage.store.apply(&batch).await?;
    let abort = ["session", "abort", id.as_str(), "--by", "eve"];
    stage.program.run(&abort).await.ends_with(0);
    let row = stage.store.session(&id).await?.expect("its row");
    assert_eq!(row.aborted_by.as_deref(), Some("eve"));
    let why = stage.program.run(&["why", id.as_str()]).await;
    let why = why.ends_with(0).stdout;
    assert!(
        why.contains("eve aborted it; subtasks of which no worker tells"),
        "{why}"
    );
    Ok(())
}

async fn a_session_shows_its_subtasks_up_to_the_limit_and_keeps_them_while_it_is_open(
    stage: Stage,
) -> anyhow::Result<()> {
    let id = SessionId::random();
    let mut opening = session(&id)?;
    let one = opening.subtasks[0].clone();
    for _ in 0..2 {
        let id = TaskId::random();
        opening.subtasks.push(Subtask { id, ..one.clone() });
    }
    let (success, now) = (EventKind::State(TaskState::Success), Utc::now());
    let name = "demo.add".parse()?;
    let mut ended = Event::new(one.id.clone(), name, Lineage::default(), success, now);
    ended.session_id = Some(id.as_str().into());
    let mut batch = Batch::new();
    batch.open_session(&opening);
    batch.event(&ended);
    stage.store.apply(&batch).await?;
    for (args, said) in [
        (&["--limit", "2"][..], MORE),
        (&["--limit", "3"], ""),
        (
            &["--unfinished", "--limit", "1"],
            "there are more than these 1: a higher --limit shows more\n",
        ),
        (&["--unfinished", "--limit", "2"], ""),
    ] {
        let show = [&["session", "show", id.as_str()], args].concat();
        let shown = stage.program.run(&show).await.ends_with(0);
        assert_eq!(shown.stderr, said, "{show:?}: {shown:?}");
    }
    let delete = stage
        .program
        .run(&["task", "delete", one.id.as_str()])
        .await;
    let said = format!("session {id} is not over");
    assert!(delete.ends_with(1).stdout.contains(&said), "{said}");
    Ok(())
}
