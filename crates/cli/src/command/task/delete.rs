//! `task delete`

use super::select::{Action, Selection};
use crate::asking::Doer;
use crate::each::{Outcome, Words};
use crate::failure::Failure;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::SessionId;

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
        let mut outcomes = Vec::with_capacity(tasks.len());
        for task in tasks {
            outcomes.push(match deleted.contains(&task.task_id) {
                true => Outcome::Done(None),
                false => Outcome::Failed(self.why_not(task).await?),
            });
        }
        Ok(outcomes)
    }
}

impl Delete<'_> {
    /// Why the database kept a task that may be deleted by what its row said.
    async fn why_not(&self, task: &TaskRow) -> Result<String, Failure> {
        if let Some(Ok(id)) = task.session_id.as_deref().map(SessionId::new) {
            let session = self.store.session(&id).await?;
            if session.is_some_and(|session| session.status.is_open()) {
                return Ok(format!(
                    "session {id} is not over, and its finalizer is told of it"
                ));
            }
        }
        Ok("it changed meanwhile".to_owned())
    }
}
