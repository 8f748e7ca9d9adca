//! Doing something to tasks that were chosen by id, or by what they have in common.
//!
//! A command is a [`Selection`] among its arguments and an [`Action`]; see `delete` for the smallest.

use super::filter::FilterArgs;
use crate::each::{Each, mode};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_operations::tasks::{AT_ONCE, Action, Found, act, matching, named};
use counterfoil_operations::{Mode, Outcome, Subject, Told, Words};
use counterfoil_store::Store;

/// Which tasks a command acts on.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Selection {
    /// Public ids or task ids; or choose by the options below
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many of those that match, newest first
    #[arg(long, conflicts_with = "ids")]
    limit: Option<usize>,
    /// Only say which and how many
    #[arg(long)]
    dry_run: bool,
}

impl Selection {
    /// Refuses what chooses nothing, before anything is opened.
    ///
    /// # Errors
    /// When there are neither ids nor a filter, or both.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match (self.ids.is_empty(), self.filter.is_empty()) {
            (true, true) => Err(Failure::usage("no tasks were chosen")
                .remedy("name ids, or choose with a filter such as --state FAILURE --since 1d")),
            (false, false) => Err(Failure::usage(
                "choose tasks by their ids or by a filter, not both",
            )),
            (true, false) | (false, true) => Ok(()),
        }
    }

    /// Whether it is about whatever matches, and not only looks.
    pub(super) const fn changes_all_that_match(&self) -> bool {
        self.ids.is_empty() && !self.dry_run
    }

    /// Does `action` to all of them, and tells.
    ///
    /// # Errors
    /// When nothing was chosen, or it could not be done to all of them.
    pub(crate) async fn run(
        &self,
        action: &mut impl Action,
        store: &dyn Store,
        output: &mut Output,
    ) -> Result<(), Failure> {
        self.run_with(None, action, store, output).await
    }

    /// The same with a note on each to which it is done, where there is nothing else to say.
    ///
    /// # Errors
    /// As above.
    pub(crate) async fn run_with(
        &self,
        note: Option<&str>,
        action: &mut impl Action,
        store: &dyn Store,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let found = self.find(action, store).await?;
        let mode = mode(self.dry_run);
        let count = self.ids.is_empty().then_some(found.ids.len());
        let mut each = Each::begin(output, words_of(action), mode, count);
        each.left_out(found.count_left_out());
        let mut done = act_on_unknown(action, &found.unknown, mode, &mut each).await;
        for ids in found.ids.chunks(AT_ONCE) {
            if done.is_err() {
                break;
            }
            let acted = act(action, mode, store, ids, |told| {
                each.tell(&noted(told, note.filter(|_| mode == Mode::Do)));
            });
            done = acted.await.map_err(Failure::from);
        }
        each.end_after(done)
    }

    async fn find(&self, action: &impl Action, store: &dyn Store) -> Result<Found, Failure> {
        if !self.ids.is_empty() {
            return Ok(named(store, &self.ids).await?);
        }
        let limit = self.limit.unwrap_or(usize::MAX);
        Ok(matching(action, store, self.filter.filter(), limit).await?)
    }
}

const fn words_of<A: Action>(_: &A) -> Words {
    A::WORDS
}

fn noted(mut told: Told, note: Option<&str>) -> Told {
    if let Outcome::Done(detail @ None) = &mut told.outcome {
        *detail = note.map(str::to_owned);
    }
    told
}

async fn act_on_unknown(
    action: &mut impl Action,
    ids: &[String],
    mode: Mode,
    each: &mut Each<'_>,
) -> Result<(), Failure> {
    for id in ids {
        let outcome = action.apply_unknown(id, mode).await?;
        let subject = Subject::nobodys(id);
        each.tell(&Told { subject, outcome });
    }
    Ok(())
}
