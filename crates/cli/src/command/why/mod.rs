//! `why`: where a task is, what it waits for, and what to do about it.

mod explain;
mod explanation;
mod facts;
mod gone;
pub(crate) mod group;
#[cfg(test)]
mod tests;

use crate::args::Global;
use crate::command::task::{Id, find};
use crate::command::workers::is_alive;
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use crate::text::plain;
use chrono::{DateTime, Utc};
use counterfoil_store::record::{TaskRow, WorkerRow};
use counterfoil_store::{ControlFilter, DeadFilter, ParkedFilter, Store};
use counterfoil_toolbox::config::{Config, Needs};
use counterfoil_toolbox::delay::addressee;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::{Priority, SessionId};
use explain::{explain, unknown};
use explanation::Explanation;
use facts::{Facts, Lag, Queue, QueueState, Tokens, WorkerFact};
use serde_json::Value;
use std::sync::Arc;

/// Parked reports that are told of.
const PARKED: u32 = 5;

pub(crate) async fn run(id: &Id, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BOTH)?;
    let names = open::names(&config.broker)?;
    let store = open::database(&config).await?;
    // What the database knows is worth telling without it.
    let broker = open::broker(&config.broker).await;
    let broker = broker.map_err(|failure| failure.error().to_string());
    let answer = answer(id, &config, &names, &*store, &broker, output).await;
    if let Ok(transport) = &broker {
        transport.close().await;
    }
    store.close().await;
    answer
}

/// The broker, or why it cannot be asked.
type Asked = Result<Arc<dyn Transport>, String>;

async fn answer(
    id: &Id,
    config: &Config,
    names: &Names,
    store: &dyn Store,
    broker: &Asked,
    output: &mut Output,
) -> Result<(), Failure> {
    let lag = lag(names, broker).await;
    let task = match find(store, id).await {
        Ok(task) => task,
        Err(failure) => {
            let failure = failure.remedy(
                "see `counterfoil task list`; the daemon must run for tasks to be mirrored",
            );
            let Some(id) = id.text() else {
                return Err(failure);
            };
            if let Some(explanation) = group::explained(id, config, store, &lag).await? {
                return tell(&explanation, output);
            }
            tell(&unknown(id, &lag), output)?;
            return Err(failure);
        }
    };
    let facts = gather(task, config, names, store, broker, lag).await?;
    tell(&explain(&facts), output)
}

fn tell(explanation: &Explanation, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.document(explanation);
    }
    output.line(plain(&explanation.answer))?;
    for detail in &explanation.details {
        output.line(format_args!("  {}", plain(detail)))?;
    }
    for remedy in &explanation.remedies {
        output.line(format_args!("→ {}", plain(remedy)))?;
    }
    Ok(())
}

/// Asks the database and the broker.
async fn gather(
    task: TaskRow,
    config: &Config,
    names: &Names,
    store: &dyn Store,
    broker: &Asked,
    lag: Lag,
) -> Result<Facts, Failure> {
    let now = store.clock().await?;
    let key = task.routing_key.as_deref().unwrap_or(&task.name);
    let (service, class) = (addressee(key).to_owned(), Priority::of_key(key));
    let queue = queue(names, &service, class, broker).await;
    let workers = store.workers().await?;
    let of_queue = |row: &&WorkerRow| lists(row, &queue.name) && is_alive(row, now);
    let consumed_by = workers.iter().filter(of_queue);
    let fact = |row: &WorkerRow| worker_fact(row, &task.name, now);
    let named = workers
        .iter()
        .find(|row| Some(&row.id) == task.worker.as_ref());
    let session = match task
        .session_id
        .as_deref()
        .and_then(|id| SessionId::new(id).ok())
    {
        Some(id) => store.session(&id).await?,
        None => None,
    };
    let filter = DeadFilter {
        id: Some(task.task_id.to_string()),
        limit: 1,
        ..DeadFilter::default()
    };
    let dead = store.dead(&filter).await?.pop();
    let filter = ParkedFilter {
        id: Some(task.task_id.to_string()),
        limit: PARKED,
        ..ParkedFilter::default()
    };
    let parked = store.parked(&filter).await?.into_iter();
    let pauses = asked_about(store, &service).await?.into_iter();
    let paused_by = pauses
        .filter(|row| row.kind == "pause_service")
        .map(|row| row.created_by.unwrap_or_else(|| "somebody".to_owned()))
        .next();
    let mut asked = asked_about(store, task.task_id.as_str()).await?;
    if let Some(root) = task.root_id.as_deref() {
        let family = asked_about(store, root).await?.into_iter();
        asked.extend(family.filter(|row| row.kind == "revoke_family"));
    }
    let refused = store.refused_messages(Some(task.task_id.as_str()), 1);
    let refusal = refused.await?.pop().map(|message| message.refusal);
    Ok(Facts {
        refusal,
        consumed_by: consumed_by.map(fact).collect(),
        worker: named.map(fact),
        tokens: tokens(&workers, &task.name, now),
        session: session.map(|row| (row.id.to_string(), row.status.to_string())),
        dead: dead.map(|row| (row.service, row.reason)),
        parked: parked.map(|row| row.reason).collect(),
        is_unsent: !store
            .unsent_tasks(std::slice::from_ref(&task.task_id))
            .await?
            .is_empty(),
        lost_after: config.sync.lost_after,
        task,
        now,
        asked,
        paused_by,
        queue,
        lag,
    })
}

async fn asked_about(
    store: &dyn Store,
    subject: &str,
) -> Result<Vec<counterfoil_store::record::ControlRow>, Failure> {
    let filter = ControlFilter {
        subject: Some(subject.to_owned()),
        ..ControlFilter::default()
    };
    Ok(store.controls(&filter).await?)
}

async fn queue(names: &Names, service: &str, class: Priority, broker: &Asked) -> Queue {
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

async fn lag(names: &Names, broker: &Asked) -> Lag {
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
async fn depth(broker: &Asked, queue: &QueueName) -> Result<Option<(u32, u32)>, String> {
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
