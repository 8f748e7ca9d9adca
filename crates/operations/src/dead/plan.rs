//! What becomes of a dead message. Pure: what is known comes in as arguments.

use crate::again::Anew;
use crate::outcome::{Instead, Objection};
use chrono::{DateTime, Utc};
use counterfoil_store::DeadLetter;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::delay::addressee;
use counterfoil_toolbox::names::{RoutingKey, ServiceName, TaskName};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::topology::names::dead_key;
use counterfoil_toolbox::{Priority, TaskState};

/// What a redrive does with a message.
#[derive(Debug)]
pub(super) enum Plan {
    /// It is sent again.
    Send(Box<Anew>),
    /// This later run of the task has been sent already, by a redrive that did not come to its end or
    /// by a re-run: the message is left over.
    LeftOver(i32),
    /// It stays where it is, and why.
    Refuse(Objection),
}

/// Decides about `letter` of the dead queue of `service`. `row` is what the platform knows of its
/// task, `sent` the latest run of it that was just sent.
///
/// The new run follows from the message alone, so that a redrive that is repeated after a crash sends
/// the same run, and does not begin another one.
pub(super) fn plan(
    letter: &DeadLetter,
    service: &ServiceName,
    row: Option<&TaskRow>,
    sent: Option<i32>,
    names: &Names,
    now: DateTime<Utc>,
) -> Plan {
    let content = &letter.message.content;
    let key = key(letter, service, row);
    if letter.task_id.is_none() {
        return Plan::Send(Box::new(Anew::unread(names, content, key)));
    }
    let run = letter.lineage.run;
    let latest = row.map(|row| row.run).max(sent);
    if let Some(latest) = latest.filter(|latest| *latest > run) {
        return Plan::LeftOver(latest);
    }
    if let Some(why) = row.and_then(|row| objection(row, service, run)) {
        return Plan::Refuse(why);
    }
    match Anew::run(names, content, run.saturating_add(1), key, now) {
        Ok(anew) => Plan::Send(Box::new(anew)),
        Err(why) => Plan::Refuse(Objection::new(why)),
    }
}

fn objection(row: &TaskRow, service: &ServiceName, run: i32) -> Option<Objection> {
    if row.immutable {
        let why = "its task is immutable: only what made it may change it";
        return Some(Objection::new(why));
    }
    if row.state == TaskState::Success && row.run == run {
        let succeeded = Objection::new("its task has succeeded after all");
        return Some(succeeded.instead(Instead::DiscardOrRerun));
    }
    // Whoever may bury messages here may put any id into them.
    let sent_to = addressee(row.routing_key.as_deref()?);
    (sent_to != service.as_str() && row.service != service.as_str()).then(|| {
        Objection::new(format!(
            "its task was sent to service {sent_to}, which alone may bury it: discard the message"
        ))
    })
}

/// The way back into the queue of the service: by the task's name where that leads there. The key of
/// a dead message tells no class; that which the task was sent by does.
fn key(letter: &DeadLetter, service: &ServiceName, row: Option<&TaskRow>) -> RoutingKey {
    let sent_to = row.and_then(|row| row.routing_key.as_deref());
    let class = sent_to.map(Priority::of_key).unwrap_or_default();
    let name = letter
        .name
        .as_deref()
        .and_then(|name| TaskName::new(name).ok());
    match name {
        Some(name) if name.service() == service.as_str() => class.route(&name),
        Some(_) | None => dead_key(&format!("{service}{}", class.suffix())),
    }
}
