//! What does not balance: a pure function over what database and broker tell.
//!
//! A task that waits is a message in a queue of its service, one that is delayed is a message in the delay
//! levels, one that runs is in the hands of a worker. Of the first two there can be too few messages. How many
//! messages wait is known, which ones is not: nobody can look into a queue without disturbing it. But a queue
//! gives out its oldest message first, and what comes back stands in front again, so the oldest tasks are those
//! whose messages somebody took; and when a queue is empty, all are.

use super::finding::Finding;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::delay::{addressee, without_delay};
use counterfoil_toolbox::names::RoutingKey;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use uuid::Uuid;

/// How exactly it is known when a delayed message leaves the levels for its queue.
const LEAVES: TimeDelta = TimeDelta::seconds(10);

/// Where the message of a task that is not over has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: the database has it until somebody owns it.
    Unroutable,
    /// Held back: it goes round through the delay levels.
    Held,
    /// In the delay levels.
    Delayed,
    /// Between the levels, its queue and a worker that keeps it.
    Anywhere,
    /// In a queue of its service.
    Waiting,
    /// In a queue of its service, given back by a worker that is gone.
    Returned,
    /// In the hands of a worker.
    Running,
}

/// A task that is not over.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) id: String,
    pub(super) task_id: String,
    /// Whose queue its key leads to.
    pub(super) service: String,
    pub(super) place: Place,
    /// When its message came into that queue, or will.
    pub(super) due: DateTime<Utc>,
}

impl Open {
    /// What a row tells, when these workers live.
    pub(super) fn of(row: &TaskRow, living: &HashSet<String>, now: DateTime<Utc>) -> Self {
        let key = row.routing_key.as_deref();
        Self {
            id: row.id.clone(),
            task_id: row.task_id.to_string(),
            service: key.map_or(row.service.as_str(), addressee).to_owned(),
            place: place(row, living, now),
            due: row.retry_at.or(row.eta).unwrap_or(row.created_date),
        }
    }
}

fn place(row: &TaskRow, living: &HashSet<String>, now: DateTime<Utc>) -> Place {
    let is_held_by_worker = row.worker.as_ref().is_some_and(|id| living.contains(id));
    match row.state {
        TaskState::Unroutable => Place::Unroutable,
        _ if row.held => Place::Held,
        // Its worker may keep it for so long.
        TaskState::Retry if is_held_by_worker => Place::Anywhere,
        TaskState::Pending | TaskState::Retry => match row.retry_at.or(row.eta) {
            Some(due) if due > now - LEAVES => match is_in_levels(row) && due > now + LEAVES {
                true => Place::Delayed,
                // Celery's workers take what is due later, and keep it.
                false => Place::Anywhere,
            },
            Some(_) | None => Place::Waiting,
        },
        TaskState::Received | TaskState::Started | TaskState::Progress => {
            // What has a lease is the daemon's to look after.
            match is_held_by_worker || row.lease_until.is_some() {
                true => Place::Running,
                false => Place::Returned,
            }
        }
        TaskState::Rejected | TaskState::Failure | TaskState::Revoked | TaskState::Success => {
            Place::Anywhere
        }
    }
}

/// Whether the last message was sent through the delay levels.
fn is_in_levels(row: &TaskRow) -> bool {
    let key = row.routing_key.as_deref();
    let key = key.and_then(|key| RoutingKey::new(key).ok());
    key.is_some_and(|key| without_delay(&key) != key)
}

/// What the broker and workers tell of the queues of a service, all classes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Queue {
    /// Messages that wait.
    pub(super) ready: u32,
    /// Consumers, as the broker counts them.
    pub(super) consumers: u32,
    /// The most consumers that living workers have there.
    pub(super) told: u32,
    /// Messages that living workers have in hand and have said nothing of.
    pub(super) untold: u32,
}

/// A message in a dead queue, as the database has it, and its task.
#[derive(Debug, Clone)]
pub(super) struct Dead {
    /// Id of the record.
    pub(super) record: Uuid,
    pub(super) task_id: Option<String>,
}

impl Dead {
    /// The id by which commands take it.
    pub(super) fn id(&self) -> String {
        let record = || self.record.to_string();
        self.task_id.clone().unwrap_or_else(record)
    }
}

/// Why the database does not have what a queue of the platform tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// So many messages wait in it.
    Waits(u32),
    /// A daemon takes its messages, and the last canary that it has written was sent then.
    InHand(DateTime<Utc>),
}

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) open: Vec<Open>,
    pub(super) queues: BTreeMap<String, Queue>,
    /// Messages in all delay levels together.
    pub(super) in_levels: u32,
    /// Queues of the platform with reports that the database does not have yet.
    pub(super) unread: BTreeMap<String, Unread>,
    /// Ids without a row, and the tables that know them.
    pub(super) strays: BTreeMap<String, BTreeSet<String>>,
    /// Dead letters of each service, oldest first, and how many messages its dead queue has.
    pub(super) dead: BTreeMap<String, (Vec<Dead>, u32)>,
}

/// Everything that does not balance. Empty: the books do.
pub(super) fn balance(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<_> = facts.unread.iter().map(Finding::unread).collect();
    findings.extend(facts.strays.iter().map(Finding::no_row));
    findings.extend(gone_from_queues(facts));
    findings.extend(gone_from_levels(facts));
    for (service, (letters, ready)) in &facts.dead {
        findings.extend(gone_from_dead(service, letters, *ready));
    }
    findings
}

/// Whether somebody consumes who tells the platform nothing: what he holds cannot be known.
pub(super) const fn has_stranger(queue: &Queue) -> bool {
    queue.consumers > queue.told
}

/// Tasks whose messages are not in the queues of their service, one service after the other.
fn gone_from_queues(facts: &Facts) -> Vec<Finding> {
    let mut short: Vec<(&str, Queue, Vec<&Open>, usize)> = Vec::new();
    let mut waiting: BTreeMap<&str, Vec<&Open>> = BTreeMap::new();
    for open in &facts.open {
        if matches!(open.place, Place::Waiting | Place::Returned) {
            waiting.entry(&open.service).or_default().push(open);
        }
    }
    for (service, mut tasks) in waiting {
        let queue = facts.queues.get(service).copied().unwrap_or_default();
        if has_stranger(&queue) {
            continue;
        }
        if queue.consumers > 0 {
            // Given back, and perhaps taken again.
            tasks.retain(|open| open.place == Place::Waiting);
        }
        // Of a task that was put off before, its worker tells nothing until it begins.
        let there = queue.ready.saturating_add(queue.untold);
        let missing = tasks.len().saturating_sub(there as usize);
        if missing > 0 {
            tasks.sort_by_key(|open| (open.place != Place::Returned, open.due));
            short.push((service, queue, tasks, missing));
        }
    }
    // Tasks that their workers put off until their turn comes are in the levels, and nobody tells.
    let delayed = facts
        .open
        .iter()
        .filter(|open| open.place == Place::Delayed);
    let put_off = (facts.in_levels as usize).saturating_sub(delayed.count());
    let missing: usize = short.iter().map(|(_, _, _, missing)| missing).sum();
    if missing <= put_off {
        return Vec::new();
    }
    let named = short
        .into_iter()
        .flat_map(|(service, queue, tasks, missing)| {
            let how = how_gone(service, queue, tasks.len(), put_off);
            tasks
                .into_iter()
                .take(missing)
                .map(move |open| Finding::message_gone(open, &how))
        });
    named.collect()
}

/// Why the messages of some of these tasks must be gone.
fn how_gone(service: &str, queue: Queue, tasks: usize, put_off: usize) -> String {
    let Queue { ready, untold, .. } = queue;
    let queues = match (ready, untold, put_off) {
        (0, 0, 0) => return format!("the queues of {service} are empty"),
        (ready, ..) => format!("the queues of {service} have {ready} messages for {tasks} tasks"),
    };
    match (untold, put_off) {
        (0, 0) => format!("{queues}, and the oldest are given out first"),
        (untold, 0) => format!("{queues}, and workers can have at most {untold} of those"),
        (0, put_off) => format!("{queues}, and at most {put_off} of those can have been put off"),
        (untold, put_off) => format!(
            "{queues}, workers can have at most {untold} of those, and at most {put_off} can have been put off"
        ),
    }
}

/// Tasks whose messages are not in the delay levels: which of them, only empty levels tell.
fn gone_from_levels(facts: &Facts) -> Vec<Finding> {
    let delayed = facts
        .open
        .iter()
        .filter(|open| open.place == Place::Delayed);
    let delayed: Vec<&Open> = delayed.collect();
    let there = facts.in_levels as usize;
    if delayed.len() <= there {
        return Vec::new();
    }
    let how = match there {
        0 => "the delay levels are empty".to_owned(),
        there => format!(
            "the delay levels have {there} messages for {} tasks, of which this is one",
            delayed.len()
        ),
    };
    let finding = |open| Finding::message_gone(open, &how);
    delayed.into_iter().map(finding).collect()
}

fn gone_from_dead(service: &str, letters: &[Dead], ready: u32) -> Vec<Finding> {
    let missing = letters.len().saturating_sub(ready as usize);
    let finding = |letter| Finding::dead_letter_gone(letter, service, letters.len(), ready);
    letters.iter().take(missing).map(finding).collect()
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
