//! What `why` says of ids that are no tasks, and of tasks whose workers are gone.

use crate::stage::{BODY, SOON, Stage, on_both_databases};
use counterfoil_store::{Batch, WorkerSeen};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::heartbeat::Phase;
use counterfoil_toolbox::ids::{SessionId, TaskId, WorkerId};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::session::{ErrorPolicy, Opening};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::{TaskName, TaskState};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

on_both_databases!(
    a_session_and_a_finalizer_that_is_not_sent_yet_are_explained,
    the_task_of_a_worker_that_vanished_is_said_to_be_back_in_its_queue,
);

async fn a_session_and_a_finalizer_that_is_not_sent_yet_are_explained(
    stage: Stage,
) -> anyhow::Result<()> {
    let (session, finalizer) = (SessionId::random(), TaskId::random());
    let subtask = || json!({ "id": TaskId::random(), "task": "demo.add" });
    let opening: Opening = serde_json::from_value(json!({
        "id": session, "action": "harvest", "policy": ErrorPolicy::Complete,
        "finalizer": { "id": finalizer, "task": "demo.end", "args": [], "kwargs": {}, "takes_summary": true },
        "subtasks": [subtask(), subtask(), subtask()],
    }))?;
    let done = Event::new(
        opening.subtasks[0].id.clone(),
        TaskName::new("demo.add")?,
        Lineage::default(),
        EventKind::State(TaskState::Success),
        chrono::Utc::now(),
    );
    let done = Event {
        session_id: Some(session.as_str().into()),
        ..done
    };
    let mut batch = Batch::new();
    batch.open_session(&opening);
    batch.event(&done);
    stage.store.apply(&batch).await?;

    let why = async |id: &str| stage.program.run(&["why", id]).await.ends_with(0).stdout;
    let told = why(session.as_str()).await;
    assert!(
        told.contains("it is a session and no task: harvest, 1 of 3 subtasks are over"),
        "{told}"
    );
    let show = format!("→ counterfoil session show {session}");
    assert!(told.contains(&show), "{told}");

    let told = why(finalizer.as_str()).await;
    let waits =
        format!("it is the finalizer of session {session}, which waits for 2 of 3 subtasks");
    assert!(told.contains(&waits), "{told}");
    assert!(told.contains("not sent before"), "{told}");
    assert!(told.contains(&show), "{told}");
    let program = &stage.program;
    let json = ["why", finalizer.as_str(), "--json"];
    let place = program.run(&json).await.ends_with(0).document()["place"].clone();
    assert_eq!(place, "finalizer");
    let unknown = program.run(&["why", "mistyped"]).await.ends_with(1);
    assert!(!unknown.stderr.contains("counterfoil why"), "{unknown:?}");
    let unknown = program
        .run(&["task", "show", "mistyped"])
        .await
        .ends_with(1);
    assert!(
        unknown.stderr.contains("`counterfoil why ID`"),
        "{unknown:?}"
    );
    Ok(())
}

/// It was started by a worker that gave no sign of life since, and its message is in the queue again.
async fn the_task_of_a_worker_that_vanished_is_said_to_be_back_in_its_queue(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let (id, worker) = (TaskId::random(), WorkerId::new("demo@h.1.x")?);
    let mut content = Content::json(BODY);
    content.headers.push("task", "demo.add");
    content.headers.push("id", id.as_str());
    stage
        .publish(&stage.names.tasks, "demo.add", content)
        .await?;
    let lineage = Lineage::default();
    let kind = EventKind::State(TaskState::Started);
    let mut started = Event::new(
        id.clone(),
        TaskName::new("demo.add")?,
        lineage,
        kind,
        chrono::Utc::now(),
    );
    started.worker = Some(worker.clone());
    let mut batch = Batch::new();
    batch.event(&started);
    batch.worker(seen(worker));
    stage.store.apply(&batch).await?;
    let ran = "it ran on worker demo@h.1.x, which is not heard of any more since 20";
    let told = eventually(
        "the daemon to read, and the worker to be gone",
        SOON,
        async || {
            let why = stage.program.run(&["why", id.as_str()]).await.ends_with(0);
            Ok(why.stdout.starts_with(ran).then_some(why.stdout))
        },
    )
    .await?;
    assert!(!told.contains("it runs"), "{told}");
    assert!(
        told.contains("the broker has its message again: it waits in queue demo, one of 1 messages, and nobody consumes that"),
        "{told}"
    );
    assert!(told.contains("→ start a worker of the service"), "{told}");
    assert!(!told.contains("cancelled"), "{told}");
    let cancel = ["task", "cancel", id.as_str(), "--by", "ana"];
    stage.program.run(&cancel).await.ends_with(0);
    let why = stage.program.run(&["why", id.as_str()]).await.ends_with(0);
    let told = "it was cancelled by ana since 20";
    assert!(why.stdout.contains(told), "{why:?}");
    assert!(why.stdout.contains("does not start it"), "{why:?}");
    // Who is not heard may live, where nobody listens.
    daemon.stop().await?;
    eventually("the daemon to be gone", SOON, async || {
        let why = stage.program.run(&["why", id.as_str()]).await.ends_with(0);
        let unread =
            "nobody reads what happens: start `counterfoil-sync`. What was known last, at 20";
        let is_unread = why.stdout.starts_with(unread);
        Ok((is_unread && !why.stdout.contains("gone")).then_some(()))
    })
    .await
}

/// The last sign of life of a worker that ought to have given the next one long ago.
fn seen(id: WorkerId) -> WorkerSeen {
    WorkerSeen {
        id,
        service: "demo".into(),
        host: "h".into(),
        pid: None,
        version: None,
        tasks: None,
        phase: Phase::Running,
        queues: Vec::new(),
        hands: BTreeMap::new(),
        limits: BTreeMap::new(),
        leases: Vec::new(),
        running: 1,
        processed: 0,
        interval: Duration::from_millis(1),
        started_at: None,
        paused: Vec::new(),
        follows_control: true,
        heard_until: None,
    }
}
