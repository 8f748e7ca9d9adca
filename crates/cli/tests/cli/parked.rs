//! Parked messages are read once more, or thrown away.

use crate::stage::{SOON, Stage, on_both_databases};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::state::Lineage;

on_both_databases!(a_parked_message_is_read_once_more_or_thrown_away);

async fn parked(stage: &Stage, wanted: usize) -> anyhow::Result<Vec<serde_json::Value>> {
    eventually(&format!("{wanted} parked messages"), SOON, async || {
        let list = &["parked", "list", "--json"];
        let listed = stage.program.run(list).await.ends_with(0).documents();
        Ok((listed.len() == wanted).then_some(listed))
    })
    .await
}

async fn a_parked_message_is_read_once_more_or_thrown_away(stage: Stage) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    // A report on a task of `export`, which the workers of `demo` were never asked to run, and
    // something that nobody will ever read.
    let id = TaskId::random();
    let name = "export.project".parse()?;
    let kind = EventKind::State(TaskState::Success);
    let event = Event::new(
        id.clone(),
        name,
        Lineage::default(),
        kind,
        chrono::Utc::now(),
    );
    let report = Content::json(serde_json::to_vec(&[event])?);
    stage
        .publish(&stage.names.events, "event.demo.batch", report)
        .await?;
    stage
        .publish(&stage.names.events, "event.demo.batch", Content::json("[7"))
        .await?;
    let listed = parked(&stage, 2).await?;
    daemon.stop().await?;
    let of = |task: bool| {
        let row = listed.iter().find(|row| row["task_id"].is_string() == task);
        row.expect("one of each")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (report, unreadable) = (of(true), of(false));

    let all = ["parked", "redrive", "--queue", "platform.events"];
    let dry = stage
        .program
        .run(&[&all[..], &["--dry-run"]].concat())
        .await
        .ends_with(0);
    assert!(
        dry.stdout.contains("2 parked messages would be read again"),
        "{dry:?}"
    );
    let ran = stage.program.run(&all).await.ends_with(1);
    assert!(
        ran.stdout
            .contains("0 parked messages read again, 2 failed"),
        "{ran:?}"
    );
    let kept = parked(&stage, 2).await?;
    assert!(
        kept.iter().all(|row| row["times"] == 1),
        "as they were: {kept:?}"
    );

    // Now somebody asks the workers of `demo` for it.
    let mut copy = Content::json("[[], {}, {}]");
    copy.headers.push("task", "export.project");
    copy.headers.push("id", id.as_str());
    let mut batch = counterfoil_store::Batch::new();
    let task = counterfoil_toolbox::message::TaskMessage::decode(&copy)?;
    batch.track(&counterfoil_store::TrackingCopy {
        input: Some(task.payload.to_input()),
        envelope: task.envelope,
        message: counterfoil_store::StoredMessage {
            exchange: "task_exchange".into(),
            routing_key: "demo.export".into(),
            content: copy,
        },
        seen: counterfoil_store::Seen::Scheduled,
    });
    stage.store.apply(&batch).await?;
    stage
        .program
        .run(&["parked", "redrive", &report])
        .await
        .ends_with(0);
    let row = stage.store.task(id.as_str()).await?.expect("a row");
    assert_eq!(
        row.state,
        TaskState::Success,
        "the key that it came by was kept"
    );
    let left = parked(&stage, 1).await?;
    assert_eq!(left[0]["id"], unreadable.as_str());

    let ran = stage
        .program
        .run(&["parked", "discard", &unreadable, "nobody"])
        .await
        .ends_with(1);
    assert!(
        ran.stdout.contains("nothing is parked under this id"),
        "{ran:?}"
    );
    parked(&stage, 0).await?;
    Ok(())
}
