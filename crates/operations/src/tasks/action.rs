//! The same done to many tasks, to each as it is by then.

use crate::error::OperationError;
use crate::outcome::{Mode, Objection, Outcome, Subject, Told, Words};
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::TaskId;
use std::collections::{HashMap, HashSet};
use std::future::Future;

/// How many tasks are acted on together.
pub const AT_ONCE: usize = 200;

/// What is done to tasks.
pub trait Action: Send {
    /// What it is, in words.
    const WORDS: Words;

    /// Why it cannot be done to this task; `None`: it can. A task that was named by its id is then a
    /// failure, one that matches a filter is left out.
    fn objection(&self, task: &TaskRow) -> Option<Objection>;

    /// Does it to some hundred tasks without an objection, and says what became of each, in their
    /// order.
    ///
    /// # Errors
    /// What keeps it from being done to any task: the others need not be tried.
    ///
    /// # Cancel safety
    /// Dropped, it may have been done to some of them. Done once more, it does no harm.
    fn apply(
        &mut self,
        tasks: &[TaskRow],
    ) -> impl Future<Output = Result<Vec<Outcome>, OperationError>> + Send;

    /// What becomes of an id that no task has.
    ///
    /// # Errors
    /// As above.
    ///
    /// # Cancel safety
    /// As above.
    fn apply_unknown(
        &mut self,
        _id: &str,
        _mode: Mode,
    ) -> impl Future<Output = Result<Outcome, OperationError>> + Send {
        async { Ok(Outcome::failed("no task has this id")) }
    }
}

/// Does `action` to these tasks, each once, as they are now, and `tell`s what became of each: first of those to
/// which it cannot be done. With [`Mode::DryRun`] only what would become of them. Best at most [`AT_ONCE`] at a time.
///
/// # Errors
/// What keeps it from being done to any task. What was told until then holds.
///
/// # Cancel safety
/// Dropped, it may have been done to some of them. Done once more, it does no harm.
pub async fn act(
    action: &mut impl Action,
    mode: Mode,
    store: &dyn Store,
    ids: &[TaskId],
    mut tell: impl FnMut(Told),
) -> Result<(), OperationError> {
    let rows = store.tasks_with_ids(ids).await?.into_iter();
    let mut rows: HashMap<TaskId, TaskRow> = rows.map(|row| (row.task_id.clone(), row)).collect();
    let mut able = Vec::with_capacity(rows.len());
    let mut seen = HashSet::with_capacity(ids.len());
    for id in ids.iter().filter(|id| seen.insert(*id)) {
        let Some(row) = rows.remove(id) else {
            let subject = Subject {
                task_id: Some(id.to_string()),
                ..Subject::nobodys(id.as_str())
            };
            tell(Told::new(
                subject,
                Outcome::failed("it was deleted meanwhile"),
            ));
            continue;
        };
        match action.objection(&row) {
            Some(objection) => tell(Told::new(subject(&row), Outcome::Failed(objection))),
            None => able.push(row),
        }
    }
    let outcomes = match mode {
        Mode::DryRun => vec![Outcome::Done(None); able.len()],
        Mode::Do if able.is_empty() => Vec::new(),
        Mode::Do => action.apply(&able).await?,
    };
    for (row, outcome) in able.iter().zip(outcomes) {
        tell(Told::new(subject(row), outcome));
    }
    Ok(())
}

fn subject(row: &TaskRow) -> Subject {
    Subject {
        id: row.id.clone(),
        task_id: Some(row.task_id.to_string()),
        name: Some(row.name.clone()),
    }
}
