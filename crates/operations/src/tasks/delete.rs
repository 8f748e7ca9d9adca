//! Removing tasks that are over.

use super::action::Action;
use crate::asking::Doer;
use crate::error::OperationError;
use crate::outcome::{Objection, Outcome, Words};
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::SessionId;
use std::collections::BTreeSet;

/// Removes tasks that are over, with result, history and log. Who did it is kept.
#[derive(Debug)]
pub struct Delete<'a> {
    store: &'a dyn Store,
    doer: Doer,
}

impl<'a> Delete<'a> {
    /// In the name of `doer`.
    #[must_use]
    pub const fn new(store: &'a dyn Store, doer: Doer) -> Self {
        Self { store, doer }
    }

    /// Those of the sessions of these tasks that are not over: the database keeps their subtasks.
    async fn open_sessions(
        &self,
        tasks: impl Iterator<Item = &TaskRow> + Send,
    ) -> Result<BTreeSet<String>, OperationError> {
        let ids: BTreeSet<_> = tasks.filter_map(|task| task.session_id.clone()).collect();
        let mut open = BTreeSet::new();
        for id in ids {
            let Ok(session) = SessionId::new(&id) else {
                continue;
            };
            let session = self.store.session(&session).await?;
            if session.is_some_and(|session| session.status.is_open()) {
                open.insert(id);
            }
        }
        Ok(open)
    }
}

impl Action for Delete<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "deleted",
    };

    fn objection(&self, task: &TaskRow) -> Option<Objection> {
        if !task.state.is_terminal() {
            return Some(Objection::new(format!(
                "it is {}: only what is over can be deleted",
                task.state
            )));
        }
        task.immutable
            .then(|| Objection::new("it is immutable: only what made it may change it"))
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, OperationError> {
        let ids: Vec<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
        let deleted = self.store.delete_tasks(&ids, self.doer.name()).await?;
        let kept = tasks.iter().filter(|task| !deleted.contains(&task.task_id));
        let open = self.open_sessions(kept).await?;
        let outcomes = tasks.iter().map(|task| {
            if deleted.contains(&task.task_id) {
                return Outcome::Done(None);
            }
            let session = task.session_id.as_deref();
            Outcome::failed(match session.filter(|id| open.contains(*id)) {
                Some(id) => format!("session {id} is not over, and its finalizer is told of it"),
                None => "it changed meanwhile, or a chord waits for its result".to_owned(),
            })
        });
        Ok(outcomes.collect())
    }
}
