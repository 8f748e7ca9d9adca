//! What is found out about a task, in database and broker.

use super::facts::{DeadFact, Facts, Lag, Queue, QueueState, Tokens, WorkerFact};
use super::{Broker, Site};
use crate::error::OperationError;
use crate::workers::is_alive;
use chrono::{DateTime, Utc};
use counterfoil_store::record::{ControlRow, TaskRow, WorkerRow};
use counterfoil_store::{ControlFilter, DeadFilter, ParkedFilter, Store, TaskFilter};
use counterfoil_toolbox::delay::addressee;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::{Priority, SessionId, TaskState};
use serde_json::Value;

/// Parked reports that are told of.
const PARKED: u32 = 5;

/// Tasks of a service, the newest, among which those are counted that wait.
const DUE: u32 = 500;

/// Asks the database and the broker.
pub(super) async fn gather(
    task: TaskRow,
    site: Site<'_>,
    lag: Lag,
) -> Result<Facts, OperationError> {
    let Site {
        store,
        broker,
        names,
        settings,
    } = site;
    let now = store.clock().await?;
    let key = task.routing_key.as_deref().unwrap_or(&task.name);
    let (service, class) = (addressee(key).to_owned(), Priority::of_key(key));
    let queue = queue(names, &service, class, broker).await;
    let workers = store.workers().await?;
    let fact = |row: &WorkerRow| worker_fact(row, &task.name, now);
    let consumes = |row: &WorkerRow| lists(row, &queue.name) && is_alive(row, now);
    let consumed_by = workers.iter().filter(|row| consumes(row)).map(fact);
    let consumed_by = consumed_by.collect();
    let mut named = workers
        .iter()
        .filter(|row| Some(&row.id) == task.worker.as_ref());
    let worker = named.next().map(fact);
    let dead = dead(&task, names, store, broker).await?;
    let due = match task.state.is_terminal() {
        true => 0,
        false => due(&service, class, store, now).await?,
    };
    let filter = ParkedFilter {
        id: Some(task.task_id.to_string()),
        limit: PARKED,
        ..ParkedFilter::default()
    };
    let parked = store.parked(&filter).await?.into_iter();
    let refused = store.refused_messages(Some(task.task_id.as_str()), 1);
    let refusal = refused.await?.pop().map(|message| message.refusal);
    Ok(Facts {
        refusal,
        consumed_by,
        worker,
        tokens: tokens(&workers, &task.name, now),
        session: session(&task, store).await?,
        dead,
        due,
        parked: parked.map(|row| row.reason).collect(),
        is_unsent: !store
            .unsent_tasks(std::slice::from_ref(&task.task_id))
            .await?
            .is_empty(),
        lost_after: settings.lost_after,
        asked: asked(&task, store).await?,
        paused_by: paused_by(&service, store).await?,
        task,
        now,
        queue,
        lag,
    })
}

/// The session of the task, and its state.
async fn session(
    task: &TaskRow,
    store: &dyn Store,
) -> Result<Option<(String, String)>, OperationError> {
    let id = task.session_id.as_deref();
    let Some(id) = id.and_then(|id| SessionId::new(id).ok()) else {
        return Ok(None);
    };
    let row = store.session(&id).await?;
    Ok(row.map(|row| (row.id.to_string(), row.status.to_string())))
}

/// Who paused the service.
async fn paused_by(service: &str, store: &dyn Store) -> Result<Option<String>, OperationError> {
    let mut asked = asked_about(store, service).await?.into_iter();
    let pause = asked.find(|row| row.kind == "pause_service");
    Ok(pause.map(|row| row.created_by.unwrap_or_else(|| "somebody".to_owned())))
}

/// What holds of what was asked about the task and its family.
async fn asked(task: &TaskRow, store: &dyn Store) -> Result<Vec<ControlRow>, OperationError> {
    let mut asked = asked_about(store, task.task_id.as_str()).await?;
    if let Some(root) = task.root_id.as_deref() {
        let family = asked_about(store, root).await?.into_iter();
        asked.extend(family.filter(|row| row.kind == "revoke_family"));
    }
    Ok(asked)
}

async fn dead(
    task: &TaskRow,
    names: &Names,
    store: &dyn Store,
    broker: &Broker,
) -> Result<Option<DeadFact>, OperationError> {
    let filter = DeadFilter {
        id: Some(task.task_id.to_string()),
        limit: 1,
        ..DeadFilter::default()
    };
    let Some(row) = store.dead(&filter).await?.pop() else {
        return Ok(None);
    };
    let ready = match ServiceName::new(&row.service) {
        Ok(service) => depth(broker, &names.dead_queue(&service)).await.ok(),
        Err(_) => None,
    };
    Ok(Some(DeadFact {
        service: row.service,
        reason: row.reason,
        ready: ready.map(|depth| depth.map_or(0, |(ready, _)| ready)),
    }))
}

/// How many of the newest tasks of a service wait for the queue of a class by now.
async fn due(
    service: &str,
    class: Priority,
    store: &dyn Store,
    now: DateTime<Utc>,
) -> Result<usize, OperationError> {
    let filter = TaskFilter {
        service: Some(service.to_owned()),
        state: Some(TaskState::Pending),
        limit: DUE,
        ..TaskFilter::default()
    };
    let tasks = store.tasks(&filter).await?;
    let ids: Vec<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
    let unsent = store.unsent_tasks(&ids).await?;
    let waits = |task: &&TaskRow| {
        let key = task.routing_key.as_deref().unwrap_or(&task.name);
        let is_due = task.retry_at.or(task.eta).is_none_or(|at| at <= now);
        let is_sent = !task.held && !unsent.contains(&task.task_id);
        is_due && is_sent && addressee(key) == service && Priority::of_key(key) == class
    };
    Ok(tasks.iter().filter(waits).count())
}

async fn asked_about(store: &dyn Store, subject: &str) -> Result<Vec<ControlRow>, OperationError> {
    let filter = ControlFilter {
        subject: Some(subject.to_owned()),
        ..ControlFilter::default()
    };
    Ok(store.controls(&filter).await?)
}

async fn queue(names: &Names, service: &str, class: Priority, broker: &Broker) -> Queue {
    let name = ServiceName::new(service).map(|service| names.class_queue(&service, class));
    let Ok(name) = name else {
        // A key may begin with anything; no queue has such a name.
        return Queue {
            name: service.to_owned(),
            state: QueueState::Missing,
        };
    };
    let state = match depth(broker, &name).await {
        Ok(None) => QueueState::Missing,
        Ok(Some((ready, consumers))) => QueueState::There { ready, consumers },
        Err(reason) => QueueState::Unknown { reason },
    };
    Queue {
        name: name.to_string(),
        state,
    }
}

/// What the daemon has not read yet.
pub(super) async fn lag(names: &Names, broker: &Broker) -> Lag {
    let tracking = depth(broker, &names.tracking_queue).await;
    let events = depth(broker, &names.events_queue).await;
    match (tracking, events) {
        (Ok(tracking), Ok(events)) => {
            let (tracking, events) = (tracking.unwrap_or_default(), events.unwrap_or_default());
            Lag::Known {
                tracking: tracking.0,
                events: events.0,
                daemons: tracking.1.min(events.1),
            }
        }
        (Err(reason), _) | (_, Err(reason)) => Lag::Unknown { reason },
    }
}

/// Messages that are ready, and consumers.
async fn depth(broker: &Broker, queue: &QueueName) -> Result<Option<(u32, u32)>, String> {
    let depth = broker.as_ref().map_err(Clone::clone)?.depth(queue).await;
    let depth = depth.map_err(|error| error.to_string())?;
    Ok(depth.map(|depth| (depth.ready, depth.consumers)))
}

fn lists(worker: &WorkerRow, queue: &str) -> bool {
    let queues = worker.queues.to_value();
    let queues = queues.as_array().map(Vec::as_slice).unwrap_or_default();
    queues.iter().any(|name| name.as_str() == Some(queue))
}

fn worker_fact(worker: &WorkerRow, task: &str, now: DateTime<Utc>) -> WorkerFact {
    let known = worker
        .tasks
        .as_ref()
        .map(counterfoil_store::JsonText::to_value);
    let knows = |known: &Value| {
        let mut names = known.as_array()?.iter().map(|task| task["name"].as_str());
        Some(names.any(|name| name == Some(task)))
    };
    WorkerFact {
        id: worker.id.clone(),
        age: now - worker.last_heartbeat,
        interval: worker.interval(),
        is_alive: is_alive(worker, now),
        phase: worker.phase.clone(),
        running: worker.running,
        knows: known.as_ref().and_then(knows),
    }
}

/// The tokens of a type, if it is run by tokens.
fn tokens(workers: &[WorkerRow], task: &str, now: DateTime<Utc>) -> Option<Tokens> {
    let living = workers.iter().filter(|row| is_alive(row, now));
    let mut all: Option<Tokens> = None;
    for row in living {
        let report = &row.limits.to_value()[task];
        let Some(limit) = report["limit"].as_u64() else {
            continue;
        };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let tokens = all.get_or_insert(Tokens {
            limit,
            held_by: Vec::new(),
        });
        if report["tokens"]
            .as_array()
            .is_some_and(|held| !held.is_empty())
        {
            tokens.held_by.push(row.id.clone());
        }
    }
    all
}
