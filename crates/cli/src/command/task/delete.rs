//! `task delete`

use super::select::{Action, Selection};
use crate::asking::Doer;
use crate::each::{Outcome, Words};
use crate::failure::Failure;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;

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
        let outcomes = ids.iter().map(|id| match deleted.contains(id) {
            true => Outcome::Done(None),
            false => Outcome::Failed("it changed meanwhile".to_owned()),
        });
        Ok(outcomes.collect())
    }
}
