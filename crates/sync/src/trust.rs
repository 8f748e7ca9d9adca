//! Who may report on a task.
//!
//! A service that runs foreign code may put anything into a message but its key: the broker binds
//! each user to its own. So a report counts as said by the service of its key, and whether that
//! service has a say is read from what producers sent, the tracking copies:
//!
//! - A copy is known: the service must be the one that the task's name begins with, or the one
//!   whose queue the copy was addressed to. A worker may run tasks of any name, and a message in its
//!   queue is what asks it to.
//! - None is known: a report under the service's own name is believed, since reports describe
//!   themselves and a copy may be lost. One under a foreign name waits, parked, until a copy comes,
//!   and is judged again then.
//!
//! So no order of arrival decides what an honest report is worth, and the merge of what is believed
//! stays the maximum over one total order. What is left to a liar: whoever may send tasks may send
//! one under the id of another and so gets a say in it, and a lie under the liar's own name counts
//! if it comes before the copy.
//!
//! A report may also say that the tasks after a failed one are never sent, and those are often another service's, of which
//! nothing is known yet. It is believed until such a task is heard of: then callers in Python are not told so any more. What
//! cannot be taken back waits: a chord counts what another service than its own says only a little later, and a task in
//! whose place others went on fails with one of its own family only.

use crate::read;
use crate::said::{self, Listener};
use counterfoil_store::record::ParkedRow;
use counterfoil_store::{Batch, Owners, Parked, Store, StoreError, StoredMessage};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use std::collections::{BTreeSet, HashMap};

/// Waiting reports that are judged in one transaction: results may be large.
const AT_ONCE: u32 = 20;

/// How often so many are judged in one round: the leader has other things to do.
const PAGES: usize = 50;

/// Who has a say in tasks, as far as the database knows.
pub(crate) type Known = HashMap<TaskId, Owners>;

/// What is kept of an answer of a service that has no say in its task.
pub(crate) fn no_say(service: &str, task: &TaskId, queue: &str, message: &StoredMessage) -> Parked {
    Parked {
        queue: queue.into(),
        reason: format!("service {service:?} answers for {task}, which is not its task").into(),
        task_id: Some(task.clone()),
        name: None,
        message: message.clone(),
        waits: false,
    }
}

/// Each task that is reported on, once.
pub(crate) fn subjects<'a>(tasks: impl IntoIterator<Item = &'a TaskId>) -> Vec<TaskId> {
    let ids: BTreeSet<&TaskId> = tasks.into_iter().collect();
    ids.into_iter().cloned().collect()
}

/// Whether a worker of `service` may answer who waits for a task, or say that it is revoked: unless copies tell that
/// others run it. Steps of chains that are never sent have none, and whoever was to send them answers for them.
pub(crate) fn may_tell(service: &str, task: &TaskId, known: &Known, batch: &Batch) -> bool {
    let copies = [batch.owners(task), known.get(task).cloned()];
    let mut copies = copies.into_iter().flatten().peekable();
    copies.peek().is_none() || copies.any(|copy| copy.include(service))
}

/// What is kept of a report that does not count, now or ever; `None`: it counts. Copies that are
/// written together with it are in `batch`.
pub(crate) fn objection(
    event: &Event,
    queue: &str,
    known: &Known,
    batch: &Batch,
) -> Option<Parked> {
    let (service, task) = (&*event.service, &event.task);
    let copies = [
        batch.owners(&event.task_id),
        known.get(&event.task_id).cloned(),
    ];
    let copies: Vec<Owners> = copies.into_iter().flatten().collect();
    if copies.iter().any(|copy| copy.include(service))
        || copies.is_empty() && task.service() == service
    {
        return None;
    }
    let waits = copies.is_empty();
    let reason = if waits {
        format!(
            "service {service:?} reported on {task}, and no tracking copy tells yet who was asked to run it"
        )
    } else {
        format!("service {service:?} reported on {task}, which is not its task")
    };
    Some(Parked {
        waits,
        ..read::parked_event(event, queue, reason)
    })
}

/// Judges again the reports whose tracking copy came after them.
///
/// # Errors
/// When the database does not answer; the next round does the rest.
pub(crate) async fn hear_again(
    store: &dyn Store,
    names: &Names,
    celery: &[ServiceName],
) -> Result<(), StoreError> {
    for _ in 0..PAGES {
        let waiting = store.waiting(AT_ONCE).await?;
        match hear(store, (names, celery), &waiting).await {
            Ok(()) => {}
            Err(error) if error.is_bad_data() || error.is_slow() => {
                one_by_one(store, (names, celery), &waiting).await?;
            }
            Err(error) => return Err(error),
        }
        if waiting.len() < AT_ONCE as usize {
            break;
        }
    }
    Ok(())
}

/// Finds the one that the database refuses, and lets it wait no longer.
async fn one_by_one(
    store: &dyn Store,
    (names, celery): (&Names, &[ServiceName]),
    waiting: &[ParkedRow],
) -> Result<(), StoreError> {
    for row in waiting {
        match hear(store, (names, celery), std::slice::from_ref(row)).await {
            Ok(()) => {}
            Err(error) if error.is_bad_data() => {
                let mut batch = Batch::new();
                batch.unpark(row.id);
                batch.park(Parked {
                    queue: row.queue.as_str().into(),
                    reason: ErrorChain(&error).to_string().into(),
                    task_id: row.task_id.as_deref().and_then(|id| TaskId::new(id).ok()),
                    name: row.name.as_deref().map(Into::into),
                    message: row.message.clone(),
                    waits: false,
                });
                store.apply(&batch).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn hear(
    store: &dyn Store,
    (names, celery): (&Names, &[ServiceName]),
    waiting: &[ParkedRow],
) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    let mut said = Vec::new();
    for row in waiting {
        batch.unpark(row.id);
        let (mut records, message) = (Vec::new(), row.message.clone());
        match row.queue == names.celeryev_queue.as_str() {
            true => read::celery::read(&row.queue, message, &mut records),
            false => read::events(&row.queue, message, &mut records),
        }
        said.extend(records.into_iter().map(|record| (&*row.queue, record)));
    }
    let rows = said::rows(store, said.iter().map(|(_, record)| record)).await?;
    // One by one, and long after: the row knows better than anybody remembers.
    let mut listener = Listener::new(celery);
    for (queue, record) in &mut said {
        if let Some(meant) = record.meant(queue, &rows, &mut listener) {
            *record = meant;
        }
    }
    let tasks = said.iter().flat_map(|(_, record)| record.judged());
    let known = store.owners(&subjects(tasks)).await?;
    for (queue, record) in said {
        let objection = record
            .event()
            .and_then(|event| objection(event, queue, &known, &Batch::new()));
        match objection {
            Some(parked) => batch.park(parked),
            None => record.add_to(&mut batch),
        }
    }
    store.apply(&batch).await?;
    Ok(())
}
