//! Ids that have no row: those of sessions, of finalizers that are not sent yet, and of tasks that somebody
//! deleted.

use super::explanation::Explanation;
use crate::failure::Failure;
use crate::when::shown;
use chrono::{DateTime, Utc};
use counterfoil_store::{DeadFilter, DeletedTask, SessionFilter, SessionRow, Store};
use counterfoil_toolbox::SessionId;
use counterfoil_toolbox::config::Config;

/// What there is to say of `id`, if it is one of those.
pub(super) async fn explained(
    id: &str,
    config: &Config,
    store: &dyn Store,
) -> Result<Option<Explanation>, Failure> {
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
    let settings = &config.sync;
    let deadline = |row: &SessionRow| {
        let deadline = row.deadline(settings.session_estimate, settings.session_buffer);
        row.status.is_open().then_some(deadline)
    };
    if let Some(row) = store.session(&session).await? {
        return Ok(Some(of_session(&row, deadline(&row))));
    }
    let filter = SessionFilter {
        finalizer: Some(id.to_owned()),
        limit: 1,
        ..SessionFilter::default()
    };
    let row = store.sessions(&filter).await?.pop();
    Ok(row.map(|row| of_finalizer(&row, deadline(&row))))
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
pub(super) fn of_session(row: &SessionRow, deadline: Option<DateTime<Utc>>) -> Explanation {
    let (over, total) = (row.attempted(), row.total);
    let answer = format!(
        "it is a session and no task: {}, {over} of {total} subtasks are over, {} of them without success",
        row.action, row.failed
    );
    let explanation = Explanation::new("session", answer).detail(format!("it is {}", row.status));
    let finalizer = format!("its finalizer {} {}", row.finalizer_type, row.finalizer_id);
    match deadline {
        Some(at) => explanation
            .detail(format!(
                "{finalizer} is sent when all are over, and soon after {} at the latest",
                shown(at)
            ))
            .remedy(unfinished(row)),
        None => explanation
            .detail(format!("{finalizer} was sent when it ended"))
            .remedy(format!("counterfoil session show {}", row.id))
            .remedy(format!("counterfoil why {}", row.finalizer_id)),
    }
}

/// The same for a finalizer of which there is no row.
pub(super) fn of_finalizer(row: &SessionRow, deadline: Option<DateTime<Utc>>) -> Explanation {
    let (left, total) = (row.total - row.attempted(), row.total);
    let answer = format!("it is the finalizer of session {}", row.id);
    match deadline {
        Some(at) => Explanation::new(
            "finalizer",
            format!("{answer}, which waits for {left} of {total} subtasks"),
        )
        .detail(format!(
            "it is not sent before they are over, and soon after {} at the latest, whatever became of them",
            shown(at)
        ))
        .remedy(unfinished(row)),
        None => Explanation::new(
            "deleted",
            format!("{answer}, which is {}, and its row was deleted since", row.status),
        )
        .remedy(format!("counterfoil session show {}", row.id)),
    }
}

fn unfinished(row: &SessionRow) -> String {
    format!("counterfoil session show {} --unfinished", row.id)
}
