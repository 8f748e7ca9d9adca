//! Batches of events, and signs of life.

use crate::support::{SOON, World, batch, event, id, on_both_pairs, settled, task};
use chrono::Utc;
use counterfoil_store::record::ParkedRow;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::heartbeat::{Heartbeat, Phase};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::ServiceName;
use serde_json::json;
use std::collections::BTreeMap;

const KEY: &str = "event.demo.batch";

on_both_pairs!(
    events_lead_a_task_to_its_result,
    an_event_alone_makes_a_row_and_the_copy_fills_it_later,
    one_bad_event_is_parked_and_the_others_of_its_batch_count,
    a_service_cannot_report_on_the_tasks_of_another,
    a_task_of_any_name_is_reported_on_by_the_service_that_it_was_sent_to,
    a_report_under_a_foreign_name_waits_for_its_tracking_copy,
    a_batch_that_is_no_batch_is_parked_whole,
    a_count_that_would_outrank_everything_is_not_believed,
    a_worker_that_lives_is_known_with_its_tasks,
);

async fn events_lead_a_task_to_its_result(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let received = event("t1", "demo.add", TaskState::Received);
    let started = event("t1", "demo.add", TaskState::Started);
    world
        .publish(&world.names.events, KEY, batch(&[received, started]))
        .await?;
    world.row_in("t1", TaskState::Started).await?;
    let done = settled("t1", "demo.add", r#"{"sum": 5}"#);
    world
        .publish(&world.names.events, KEY, batch(&[done]))
        .await?;
    let row = world.row_in("t1", TaskState::Success).await?;
    assert!(row.input.is_some());
    let result = world.store.result(&id("t1"), 0).await?.expect("a result");
    assert_eq!(result.result.expect("a value").get(), r#"{"sum": 5}"#);
    assert_eq!(result.runtime_ms, Some(7));
    let history = world.store.history(&id("t1")).await?;
    let kinds: Vec<_> = history.iter().map(|line| line.kind).collect();
    let all = [
        TaskState::Pending,
        TaskState::Received,
        TaskState::Started,
        TaskState::Success,
    ];
    assert_eq!(kinds, all);
    Ok(daemon.stop().await?)
}

async fn an_event_alone_makes_a_row_and_the_copy_fills_it_later(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let done = settled("t1", "demo.add", "5");
    world
        .publish(&world.names.events, KEY, batch(&[done]))
        .await?;
    let row = world.row_in("t1", TaskState::Success).await?;
    assert!(row.input.is_none());
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    eventually("the arguments", SOON, async || {
        Ok(world
            .store
            .task("t1")
            .await?
            .filter(|row| row.input.is_some()))
    })
    .await?;
    world.row_in("t1", TaskState::Success).await?;
    Ok(daemon.stop().await?)
}

async fn one_bad_event_is_parked_and_the_others_of_its_batch_count(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let good = |id: &str| serde_json::to_value(settled(id, "demo.add", "5"));
    let mut bad = good("t2")?;
    bad["kind"] = json!("FINISHED");
    let body = json!([good("t1")?, bad, good("t3")?]).to_string();
    world
        .publish(&world.names.events, KEY, Content::json(body))
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    world.row_in("t3", TaskState::Success).await?;
    let parked = world.parked(1).await?.remove(0);
    assert!(parked.reason.contains("FINISHED"), "{}", parked.reason);
    // It could be sent again as it is, once somebody mended it.
    let kept: serde_json::Value = serde_json::from_slice(&parked.message.content.body)?;
    assert_eq!(kept, json!([bad]));
    assert!(world.store.task("t2").await?.is_none());
    Ok(daemon.stop().await?)
}

async fn a_service_cannot_report_on_the_tasks_of_another(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world.serve("export").await?;
    let project = task("t1", "export.project");
    world
        .publish(&world.names.tasks, "export.project", project)
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let forged = settled("t1", "export.project", "1");
    // It does not help to lie about the name, nor about who says it.
    let mut lie = settled("t1", "demo.add", "2");
    lie.service = "export".into();
    let honest = settled("t2", "demo.add", "3");
    world
        .publish(&world.names.events, KEY, batch(&[forged, lie, honest]))
        .await?;
    world.row_in("t2", TaskState::Success).await?;
    let parked = world.parked(2).await?;
    for row in parked {
        assert!(row.reason.contains("not its task"), "{}", row.reason);
        assert_eq!(row.task_id.as_deref(), Some("t1"));
    }
    world.row_in("t1", TaskState::Pending).await?;
    assert!(world.store.result(&id("t1"), 0).await?.is_none());
    Ok(daemon.stop().await?)
}

async fn a_task_of_any_name_is_reported_on_by_the_service_that_it_was_sent_to(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let named_elsewhere = task("t1", "proj.tasks.add");
    world
        .publish(&world.names.tasks, "demo.default", named_elsewhere)
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let done = settled("t1", "proj.tasks.add", "5");
    world
        .publish(&world.names.events, KEY, batch(&[done]))
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    assert_eq!(world.parked(0).await?.len(), 0);
    let history = world.store.history(&id("t1")).await?;
    let detail = history.last().and_then(|line| line.detail.as_ref());
    assert_eq!(detail.expect("details").to_value()["service"], "demo");
    Ok(daemon.stop().await?)
}

async fn a_report_under_a_foreign_name_waits_for_its_tracking_copy(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world.serve("export").await?;
    let early = settled("t1", "proj.tasks.add", "5");
    let forged = settled("t2", "export.project", "6");
    world
        .publish(&world.names.events, KEY, batch(&[early, forged]))
        .await?;
    world.parked(2).await?;
    assert!(world.store.task("t1").await?.is_none());
    world
        .publish(
            &world.names.tasks,
            "demo.default",
            task("t1", "proj.tasks.add"),
        )
        .await?;
    world
        .publish(
            &world.names.tasks,
            "export.project",
            task("t2", "export.project"),
        )
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    world.row_in("t2", TaskState::Pending).await?;
    let refused = eventually("the forgery to be refused", SOON, async || {
        let rows = world.store.parked(&Default::default()).await?;
        let refused = |row: &&ParkedRow| row.reason.contains("not its task");
        Ok((rows.len() == 1)
            .then(|| rows.iter().find(refused).cloned())
            .flatten())
    })
    .await?;
    assert_eq!(refused.task_id.as_deref(), Some("t2"));
    world.row_in("t2", TaskState::Pending).await?;
    Ok(daemon.stop().await?)
}

async fn a_batch_that_is_no_batch_is_parked_whole(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    for body in ["", "[]", "{}", "nonsense", "[{]"] {
        world
            .publish(&world.names.events, KEY, Content::json(body))
            .await?;
    }
    let whole = batch(&[settled("t1", "demo.add", "1")]);
    world
        .publish(&world.names.events, "event.demo", whole)
        .await?;
    let parked = world.parked(6).await?;
    assert!(
        parked
            .iter()
            .all(|row| row.queue == world.names.events_queue.as_str())
    );
    Ok(daemon.stop().await?)
}

async fn a_count_that_would_outrank_everything_is_not_believed(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let mut absurd = settled("t1", "demo.add", "1");
    absurd.lineage.run = i32::MAX;
    let mut negative = settled("t2", "demo.add", "1");
    negative.lineage.rescue = -1;
    world
        .publish(&world.names.events, KEY, batch(&[absurd, negative]))
        .await?;
    let parked = world.parked(2).await?;
    assert!(
        parked
            .iter()
            .all(|row| row.reason.contains("not believable"))
    );
    Ok(daemon.stop().await?)
}

async fn a_worker_that_lives_is_known_with_its_tasks(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let tasks = BTreeMap::from([("demo.add".parse()?, json!({"type": "object"}))]);
    let mut beat = Heartbeat {
        worker: WorkerId::new("demo@here.7.1")?,
        services: vec![ServiceName::new("demo")?],
        host: "here".to_owned(),
        pid: 7,
        version: "1.2.3".to_owned(),
        started_at: Utc::now(),
        paused: Vec::new(),
        follows_control: true,
        heard_until: None,
        hands: BTreeMap::new(),
        at: Utc::now(),
        interval_ms: 10_000,
        queues: Vec::new(),
        tasks: Some(tasks),
        limits: BTreeMap::new(),
        leases: Vec::new(),
        running: 2,
        processed: 9,
        phase: Phase::Running,
    };
    let beats = &world.names.heartbeats;
    world
        .publish(
            beats,
            "heartbeat.demo",
            Content::json(serde_json::to_vec(&beat)?),
        )
        .await?;
    beat.worker = WorkerId::new("forged@there.8.2")?;
    world
        .publish(
            beats,
            "heartbeat.export",
            Content::json(serde_json::to_vec(&beat)?),
        )
        .await?;
    world
        .publish(beats, "heartbeat.demo", Content::json("nonsense"))
        .await?;
    (beat.worker, beat.tasks, beat.running) = (WorkerId::new("demo@here.7.1")?, None, 3);
    world
        .publish(
            beats,
            "heartbeat.demo",
            Content::json(serde_json::to_vec(&beat)?),
        )
        .await?;
    let workers = eventually("the second sign of life", SOON, async || {
        let workers = world.store.workers().await?;
        Ok(workers
            .iter()
            .any(|worker| worker.running == 3)
            .then_some(workers))
    })
    .await?;
    assert_eq!(workers.len(), 1);
    assert_eq!(
        (workers[0].pid, workers[0].version.as_deref()),
        (Some(7), Some("1.2.3"))
    );
    assert!(world.store.task_schema("demo.add").await?.is_some());
    Ok(daemon.stop().await?)
}
