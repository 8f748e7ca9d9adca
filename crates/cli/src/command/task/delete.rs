//! `task delete`

use super::select::{Action, Selection};
use crate::asking::Doer;
use crate::each::{Outcome, Words};
use crate::failure::Failure;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::SessionId;
use std::collections::BTreeSet;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Do remove all that match: they cannot be had back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub(super) doer: Doer,
}

impl DeleteArgs {
    /// Refuses what chooses nothing, and a filter that nobody has thought about.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.selection.check()?;
        match self.yes || !self.selection.changes_all_that_match() {
            true => Ok(()),
            false => Err(Failure::usage("all that match would be removed for good")
                .remedy("see which with --dry-run, then repeat it with --yes")),
        }
    }
}

/// Removes tasks that are over, with result, history and log.
pub(super) struct Delete<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) doer: Doer,
}

impl Action for Delete<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "deleted",
    };

    fn objection(&self, task: &TaskRow) -> Option<String> {
        if !task.state.is_terminal() {
            return Some(format!(
                "it is {}: only what is over can be deleted",
                task.state
            ));
        }
        task.immutable
            .then(|| "it is immutable: only what made it may change it".to_owned())
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure> {
        let ids: Vec<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
        let deleted = self.store.delete_tasks(&ids, self.doer.name()).await?;
        let kept = tasks.iter().filter(|task| !deleted.contains(&task.task_id));
        let open = self.open_sessions(kept).await?;
        let outcomes = tasks.iter().map(|task| {
            if deleted.contains(&task.task_id) {
                return Outcome::Done(None);
            }
            let session = task.session_id.as_deref();
            Outcome::Failed(match session.filter(|id| open.contains(*id)) {
                Some(id) => format!("session {id} is not over, and its finalizer is told of it"),
                None => "it changed meanwhile, or a chord waits for its result".to_owned(),
            })
        });
        Ok(outcomes.collect())
    }
}

impl Delete<'_> {
    /// Those of the sessions of these tasks that are not over: the database keeps their subtasks.
    async fn open_sessions(
        &self,
        tasks: impl Iterator<Item = &TaskRow>,
    ) -> Result<BTreeSet<String>, Failure> {
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
