//! Ids that have no row: those of sessions, of finalizers that are not sent yet, and of tasks that somebody
//! deleted.

use super::explanation::Explanation;
use super::facts::Lag;
use crate::error::OperationError;
use crate::time::shown;
use chrono::{DateTime, Utc};
use counterfoil_store::{DeadFilter, DeletedTask, SessionFilter, SessionRow, Store};
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::session::SessionStatus;

/// Where the finalizer of a session is that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finalizer {
    /// The outbox does not have it.
    Sent,
    /// It is in the outbox, and the daemon has not sent it yet.
    Waits,
    /// It is in the outbox and can never be sent as it is, for this reason.
    Refused(String),
}

impl Finalizer {
    async fn of(session: &SessionRow, store: &dyn Store) -> Result<Self, OperationError> {
        let id = session.finalizer_id.as_str();
        if let Some(message) = store.refused_messages(Some(id), 1).await?.pop() {
            return Ok(Self::Refused(message.refusal));
        }
        let waits = match TaskId::new(id) {
            Ok(id) => !store.unsent_tasks(&[id]).await?.is_empty(),
            Err(_) => false,
        };
        Ok(if waits { Self::Waits } else { Self::Sent })
    }
}

/// What there is to say of `id`, if it is one of those.
pub(super) async fn explained(
    id: &str,
    settings: &SyncSettings,
    store: &dyn Store,
    lag: &Lag,
) -> Result<Option<Explanation>, OperationError> {
    if let Some(task) = store.deleted_task(id).await? {
        let filter = DeadFilter {
            id: Some(task.task_id.clone()),
            limit: 1,
            ..DeadFilter::default()
        };
        let dead = store.dead(&filter).await?.pop();
        let dead = dead.map(|letter| letter.service);
        return Ok(Some(of_deleted(&task, dead.as_deref())));
    }
    // What no session can be called, no task can.
    let Ok(session) = SessionId::new(id) else {
        return Ok(None);
    };
    let deadline = |row: &SessionRow| {
        let deadline = row.deadline(settings.session_estimate, settings.session_buffer);
        row.status.is_open().then_some(deadline)
    };
    if let Some(row) = store.session(&session).await? {
        let finalizer = Finalizer::of(&row, store).await?;
        return Ok(Some(of_session(&row, deadline(&row), &finalizer)));
    }
    let filter = SessionFilter {
        finalizer: Some(id.to_owned()),
        limit: 1,
        ..SessionFilter::default()
    };
    let Some(row) = store.sessions(&filter).await?.pop() else {
        return Ok(None);
    };
    let finalizer = Finalizer::of(&row, store).await?;
    Ok(Some(of_finalizer(&row, deadline(&row), &finalizer, lag)))
}

/// `dead` is the service in whose dead queue its message lies.
pub(super) fn of_deleted(task: &DeletedTask, dead: Option<&str>) -> Explanation {
    let by = task.deleted_by.as_deref().unwrap_or("somebody");
    let (name, at) = (&task.name, shown(task.deleted_at));
    let answer = format!("it was a task {name}, and was deleted by {by} at {at}");
    let explanation = Explanation::new("deleted", answer);
    match dead {
        None => explanation,
        Some(service) => explanation
            .detail(format!("its message is in the dead queue of {service}"))
            .remedy(format!(
                "counterfoil dead discard {service} --id {}",
                task.task_id
            )),
    }
}

/// `deadline` is when the time of one that is not over ends.
pub(super) fn of_session(
    row: &SessionRow,
    deadline: Option<DateTime<Utc>>,
    finalizer: &Finalizer,
) -> Explanation {
    let (over, total) = (row.attempted(), row.total);
    let answer = format!(
        "it is a session and no task: {}, {over} of {total} subtasks are over, {} of them without success",
        row.action, row.failed
    );
    let explanation = Explanation::new("session", answer).detail(format!("it is {}", row.status));
    let name = format!("its finalizer {} {}", row.finalizer_type, row.finalizer_id);
    if let Some(at) = deadline {
        let aborting = (row.status == SessionStatus::Aborting).then(|| {
            format!(
                "{} aborted it; subtasks of which no worker tells are REVOKED once all workers know, and nobody else has \
                 consumed their queues for sync.lost_after",
                row.aborted_by.as_deref().unwrap_or("somebody")
            )
        });
        return explanation
            .details_of(aborting)
            .detail(format!(
                "{name} is sent when all are over, and within sync.session_interval (60 s) after {} at the latest",
                shown(at)
            ))
            .remedy(unfinished(row));
    }
    let told = match (discarded(row), finalizer) {
        (Some(by), _) => format!("{name} never ran: {by}"),
        (None, Finalizer::Sent) => format!("{name} was sent when it ended"),
        (None, Finalizer::Waits) => format!("{name} waits in the outbox"),
        (None, Finalizer::Refused(why)) => {
            format!("{name} is in the outbox, and can never be sent as it is: {why}")
        }
    };
    explanation
        .detail(told)
        .remedy(format!("counterfoil session show {}", row.id))
        .remedy(format!("counterfoil why {}", row.finalizer_id))
}

/// The same for a finalizer of which there is no row.
pub(super) fn of_finalizer(
    row: &SessionRow,
    deadline: Option<DateTime<Utc>>,
    finalizer: &Finalizer,
    lag: &Lag,
) -> Explanation {
    let answer = format!("it is the finalizer of session {}", row.id);
    if let Some(at) = deadline {
        let (left, total) = (row.total - row.attempted(), row.total);
        return Explanation::new(
            "finalizer",
            format!("{answer}, which waits for {left} of {total} subtasks"),
        )
        .detail(format!(
            "it is not sent before they are over, and within sync.session_interval (60 s) after {} at the latest, whatever \
             became of them",
            shown(at)
        ))
        .remedy(unfinished(row));
    }
    let answer = format!("{answer}, which is {}", row.status);
    let explanation = match (discarded(row), finalizer) {
        (Some(by), _) => Explanation::new("discarded", format!("{answer}; it never ran: {by}")),
        (None, Finalizer::Refused(why)) => Explanation::new(
            "refused",
            format!("{answer}; it is in the outbox, and can never be sent as it is: {why}"),
        )
        .remedy(format!(
            "mend what it is refused for, then counterfoil outbox retry {}",
            row.finalizer_id
        ))
        .remedy(format!("counterfoil outbox discard {}", row.finalizer_id)),
        (None, Finalizer::Waits) => in_outbox(&answer, lag),
        (None, Finalizer::Sent) => match lag.note() {
            Some(note) => Explanation::new(
                "sent",
                format!(
                    "{answer}; it was sent, and its row is not there yet, or was removed since"
                ),
            )
            .detail(note),
            None => Explanation::new(
                "deleted",
                format!("{answer}, and its row was removed since"),
            ),
        },
    };
    explanation.remedy(format!("counterfoil session show {}", row.id))
}

/// It waits in the outbox: for the broker, for a daemon, or for its turn.
fn in_outbox(answer: &str, lag: &Lag) -> Explanation {
    let explanation = Explanation::new(
        "outbox",
        format!(
            "{answer}; it is in the outbox of the database, and the daemon has not sent it yet"
        ),
    );
    match lag {
        Lag::Unknown { reason } => explanation.detail(format!(
            "the broker cannot be asked ({reason}): it is sent as soon as the daemon reaches the broker"
        )),
        Lag::Known { daemons: 0, .. } => explanation
            .detail("no daemon runs that could send it")
            .remedy("start `counterfoil-sync`"),
        Lag::Known { .. } => explanation.detail("it is sent in its turn").remedy(
            "if it stays so, `counterfoil doctor` tells what the outbox waits for",
        ),
    }
}

/// Who threw the session's finalizer away instead of sending it, in words; `None`: nobody did.
#[must_use]
pub fn discarded(row: &SessionRow) -> Option<String> {
    let at = shown(row.finalizer_discarded_at?);
    let by = row.finalizer_discarded_by.as_deref().unwrap_or("somebody");
    Some(format!(
        "its message could not be sent, and was discarded from the outbox by {by} at {at}"
    ))
}

fn unfinished(row: &SessionRow) -> String {
    format!("counterfoil session show {} --unfinished", row.id)
}
