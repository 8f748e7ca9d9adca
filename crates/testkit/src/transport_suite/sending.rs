//! Tasks on their way through a producer.

use super::awaiting::next;
use super::stage::Stage;
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::event::{Event, EventKind, FaultKind};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{Producer, RawTask, SendError, SendOptions};
use counterfoil_toolbox::state::TaskState;
use counterfoil_toolbox::topology::QueueKind;

/// Room of the queue; the limit is soft, so it takes one more.
const ROOM: i64 = 2;

pub async fn a_task_that_its_full_queue_refuses_is_reported_as_rejected(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let limited = [
        ("x-max-length", ROOM.into()),
        ("x-overflow", "reject-publish".into()),
    ];
    let queue = stage.queue("full", QueueKind::Quorum, &limited).await?;
    stage
        .bind_queue(&stage.names.work, &queue, "full.#")
        .await?;
    let producer = Producer::new(stage.transport.clone(), stage.names.clone());
    let refused = loop {
        let task = RawTask {
            name: TaskName::new("full.add")?,
            args: "[]".to_owned(),
            kwargs: "{}".to_owned(),
        };
        match producer.send_raw(task, SendOptions::default()).await {
            Ok(_) => {}
            Err(SendError::QueueFull { id, .. }) => break id,
            Err(other) => return Err(other.into()),
        }
    };
    let mut events = stage.subscribe(&stage.names.events_queue, 1);
    let batch = next(&mut events).await?;
    let told: Vec<Event> = serde_json::from_slice(&batch.content.body)?;
    let event = told.first().context("an event")?;
    ensure!(event.task_id == refused, "{event:?}");
    ensure!(
        event.kind == EventKind::State(TaskState::Rejected),
        "{event:?}"
    );
    let fault = event.error.as_ref().context("a reason")?;
    ensure!(fault.kind == FaultKind::QueueFull, "{fault:?}");
    let _ = batch.ack();
    Ok(())
}
