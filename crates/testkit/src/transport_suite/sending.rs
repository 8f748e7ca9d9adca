//! Tasks on their way through a producer.

use super::awaiting::next;
use super::stage::Stage;
use super::values::refusing_above;
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind};
use counterfoil_toolbox::message::names::SENT;
use counterfoil_toolbox::names::{ServiceName, TaskName};
use counterfoil_toolbox::producer::{Producer, RawTask, SendError, SendOptions};
use counterfoil_toolbox::sent::sending_id;
use counterfoil_toolbox::state::TaskState;
use counterfoil_toolbox::topology::{self, QueueKind, ServiceSettings};
use counterfoil_toolbox::{Priority, Task, TaskId, TaskOptions};
use std::collections::BTreeSet;
use std::time::Duration;

/// Room of the queue; the limit is soft, so it takes one more.
const ROOM: i64 = 2;

#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Add {}

impl Task for Add {
    const NAME: &'static str = "full.add";
    type Output = i64;
}

fn raw() -> anyhow::Result<RawTask> {
    Ok(RawTask {
        name: TaskName::new(Add::NAME)?,
        args: "[]".to_owned(),
        kwargs: "{}".to_owned(),
    })
}

/// The id of a task that its full queue refused.
fn refused<T: std::fmt::Debug>(sent: Result<T, SendError>) -> anyhow::Result<String> {
    match sent {
        Err(SendError::QueueFull { id, .. }) => Ok(id.to_string()),
        other => anyhow::bail!("{other:?}"),
    }
}

pub async fn a_task_that_its_full_queue_refuses_is_reported_as_rejected(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let limited = refusing_above(ROOM);
    let queue = stage.queue("full", QueueKind::Quorum, &limited).await?;
    stage
        .bind_queue(&stage.names.work, &queue, "full.#")
        .await?;
    let producer = Producer::new(stage.transport.clone(), stage.names.clone());
    let refused = loop {
        match producer.send_raw(raw()?, SendOptions::default()).await {
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

/// A service whose queue takes no more, and a producer of its tasks.
async fn full_service(stage: &Stage) -> anyhow::Result<(ServiceName, Producer)> {
    stage.platform().await?;
    let (name, names) = (ServiceName::new("full")?, &stage.names);
    let settings = ServiceSettings {
        max_length: u32::try_from(ROOM).ok(),
        ..ServiceSettings::default()
    };
    stage
        .apply(topology::service(names, &name, &settings))
        .await?;
    let producer = Producer::new(stage.transport.clone(), names.clone());
    while producer.send(Add {}).await.is_ok() {}
    Ok((name, producer))
}

pub async fn a_task_that_is_sent_again_is_told_apart_from_the_sending_that_was_refused(
    stage: Stage,
) -> anyhow::Result<()> {
    let (name, producer) = full_service(&stage).await?;
    let names = &stage.names;
    let queue = names.service_queue(&name);
    let id = TaskId::new("sent twice")?;
    let options = || SendOptions::new().id(id.clone());
    refused(producer.send_with(Add {}, options()).await)?;
    stage.drain(&queue, 2).await?;
    let until = Utc::now().timestamp_millis();
    while Utc::now().timestamp_millis() == until {
        std::thread::yield_now();
    }
    // The broker notices a little later that there is room.
    let mut tries = 0;
    while producer.send_with(Add {}, options()).await.is_err() {
        tries += 1;
        ensure!(tries < 10, "there is room");
    }

    let mut sent = BTreeSet::new();
    let mut copies = stage.subscribe(&names.tracking_queue, 1);
    while sent.len() < 2 {
        let copy = next(&mut copies).await?;
        let headers = &copy.content.headers;
        if headers.text("id") == Some(id.as_str()) {
            sent.insert(headers.int(SENT).context("a time of sending")?);
        }
        let _ = copy.ack();
    }
    copies.close().await;
    let said_of = |millis: i64, state| {
        let at = DateTime::from_timestamp_millis(millis).context("a time")?;
        anyhow::Ok(sending_id(&id, at, state))
    };
    let (first, last) = (sent.first().context("one")?, sent.last().context("two")?);
    let mut events = stage.subscribe(&names.events_queue, 1);
    let refusal = loop {
        let batch = next(&mut events).await?;
        let told: Vec<Event> = serde_json::from_slice(&batch.content.body)?;
        let _ = batch.ack();
        if let Some(event) = told.into_iter().find(|event| event.task_id == id) {
            break event.event_id;
        }
    };
    ensure!(refusal == said_of(*first, TaskState::Rejected)?);
    ensure!(refusal < said_of(*last, TaskState::Pending)?);
    Ok(())
}

pub async fn a_full_queue_refuses_every_way_of_sending_and_delayed_tasks_go_beside_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let (name, producer) = full_service(&stage).await?;
    let names = &stage.names;
    let queue = names.service_queue(&name);
    let full = stage.ready(&queue).await?;

    let options = || SendOptions::new().creator("somebody");
    let (typed, with, by_name, all) = tokio::join!(
        producer.send(Add {}),
        producer.send_with(Add {}, options()),
        producer.send_raw(raw()?, options()),
        producer.send_all([Add {}, Add {}, Add {}]),
    );
    let mut told = vec![refused(typed)?, refused(with)?, refused(by_name)?];
    for one in all {
        told.push(refused(one)?);
    }
    ensure!(stage.ready(&queue).await? == full, "it took one of them");
    ensure!(producer.availability().borrow().is_available());

    // The first one filled it.
    let rejected = rejected(&stage, told.len() + 1).await?;
    ensure!(
        told.iter().all(|id| rejected.contains(id)),
        "{told:?} and {rejected:?}"
    );
    let soon = options().countdown(Duration::from_secs(1));
    let delayed = producer.send_with(Add {}, soon).await?;
    let late = stage
        .drain(&names.late_queue(&name, Priority::Normal), 1)
        .await?;
    ensure!(late[0].header("id") == Some(delayed.id().as_str()));
    ensure!(stage.ready(&names.events_queue).await? == 0);
    Ok(())
}

/// A task that somebody waits for, unless the sender says otherwise.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Urgent {}

impl Task for Urgent {
    const NAME: &'static str = "full.urgent";
    type Output = i64;

    fn options() -> TaskOptions {
        TaskOptions {
            priority: Priority::High,
            ..TaskOptions::default()
        }
    }
}

pub async fn each_class_of_a_service_with_priorities_has_queues_of_its_own(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let (service, names) = (ServiceName::new("full")?, &stage.names);
    let producer = Producer::new(stage.transport.clone(), names.clone());
    for max_length in [None, Some(100)] {
        let settings = ServiceSettings {
            max_length,
            priorities: true,
            ..ServiceSettings::default()
        };
        for queue in topology::work_queues(names, &service, &settings) {
            stage.transport.delete_queue(&queue).await?;
        }
        stage
            .apply(topology::service(names, &service, &settings))
            .await?;

        // What the type says, the sender, and a sender of a task by name.
        producer.send(Urgent {}).await?;
        for class in Priority::ALL {
            let options = || SendOptions::new().priority(class);
            let soon = options().countdown(Duration::from_secs(1));
            producer.send_with(Urgent {}, options()).await?;
            producer.send_raw(raw()?, options()).await?;
            producer.send_with(Urgent {}, soon).await?;
        }
        producer.send_raw(raw()?, SendOptions::new()).await?;
        for (class, at_once) in [
            (Priority::High, 3),
            (Priority::Normal, 3),
            (Priority::Low, 2),
        ] {
            let queue = names.class_queue(&service, class);
            let late = match max_length {
                Some(_) => names.late_queue(&service, class),
                None => queue.clone(),
            };
            let mut received = stage.drain(&queue, at_once).await?;
            received.extend(stage.drain(&late, 1).await?);
            let word = format!("full{}.", class.suffix());
            for task in received {
                let key = without_delay(&task.routing_key);
                ensure!(key.as_str().starts_with(&word), "{class}: {task:?}");
                ensure!(
                    task.header("task")
                        .is_some_and(|name| name.starts_with("full."))
                );
            }
            ensure!(stage.ready(&queue).await? == 0 && stage.ready(&late).await? == 0);
        }
    }
    ensure!(stage.ready(&names.unroutable_queue).await? == 0);
    Ok(())
}

pub async fn a_class_that_its_service_has_no_queue_for_is_unroutable(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let queue = stage.service("full").await?;
    let producer = Producer::new(stage.transport.clone(), stage.names.clone());
    producer.send(Urgent {}).await?;
    producer.send(Add {}).await?;
    let lost = stage.drain(&stage.names.unroutable_queue, 1).await?;
    ensure!(lost[0].routing_key == "full~high.urgent", "{lost:?}");
    ensure!(lost[0].header("task") == Some("full.urgent"), "{lost:?}");
    stage.wait_ready(&queue, 1).await
}

/// The ids of so many tasks that are reported as rejected.
async fn rejected(stage: &Stage, wanted: usize) -> anyhow::Result<BTreeSet<String>> {
    let mut events = stage.subscribe(&stage.names.events_queue, 1);
    let mut ids = BTreeSet::new();
    while ids.len() < wanted {
        let batch = next(&mut events).await?;
        for event in serde_json::from_slice::<Vec<Event>>(&batch.content.body)? {
            ensure!(
                event.kind == EventKind::State(TaskState::Rejected),
                "{event:?}"
            );
            ids.insert(event.task_id.to_string());
        }
        let _ = batch.ack();
    }
    events.close().await;
    Ok(ids)
}
