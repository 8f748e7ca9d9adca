//! Doing something to tasks that were chosen by id, or by what they have in common.
//!
//! A command is a [`Selection`] among its arguments and an [`Action`]; see `delete` for the smallest.

use super::filter::{Enough, FilterArgs};
use crate::each::{Each, Mode, Outcome, Subject, Words};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::TaskId;
use std::collections::HashMap;

/// Tasks that are acted on together.
const AT_ONCE: usize = 200;

/// What a command does to tasks.
pub(crate) trait Action {
    /// What it is, in words.
    const WORDS: Words;

    /// Why it cannot be done to this task; `None`: it can. A task that was named by its id is then a
    /// failure, one that matches a filter is left out.
    fn objection(&self, task: &TaskRow) -> Option<String>;

    /// Does it to some hundred tasks without an objection, and says what became of each, in their
    /// order.
    ///
    /// # Errors
    /// What keeps it from being done to any task: the others are not tried.
    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure>;

    /// What becomes of an id that no task has.
    ///
    /// # Errors
    /// As above.
    async fn apply_unknown(&mut self, _: &str, _: Mode) -> Result<Outcome, Failure> {
        Ok(Outcome::Failed("no task has this id".to_owned()))
    }
}

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

/// What was found.
#[derive(Debug, Default)]
struct Found {
    ids: Vec<TaskId>,
    /// Ids that are nobody's.
    unknown: Vec<String>,
    /// Tasks that match, but to which it cannot be done.
    left_out: usize,
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
        let found = self.find(action, store).await?;
        let mode = Mode::of(self.dry_run);
        let count = self.ids.is_empty().then_some(found.ids.len());
        let mut each = Each::begin(output, words_of(action), mode, count);
        each.left_out(found.left_out);
        let mut done = act_on_unknown(action, &found.unknown, mode, &mut each).await;
        for ids in found.ids.chunks(AT_ONCE) {
            if done.is_err() {
                break;
            }
            done = act(action, ids, mode, store, &mut each).await;
        }
        each.end_after(done)
    }

    async fn find(&self, action: &impl Action, store: &dyn Store) -> Result<Found, Failure> {
        let mut found = Found::default();
        for id in &self.ids {
            match store.task(id).await? {
                Some(task) if found.ids.contains(&task.task_id) => {}
                Some(task) => found.ids.push(task.task_id),
                None => found.unknown.push(id.clone()),
            }
        }
        if self.ids.is_empty() {
            let limit = self.limit.unwrap_or(usize::MAX);
            let walk = self.filter.walk(store, |task| {
                if found.ids.len() >= limit {
                    return Enough::Yes;
                }
                match action.objection(&task) {
                    None => found.ids.push(task.task_id),
                    Some(_) => found.left_out += 1,
                }
                Enough::No
            });
            walk.await?;
        }
        Ok(found)
    }
}

const fn words_of<A: Action>(_: &A) -> Words {
    A::WORDS
}

async fn act_on_unknown(
    action: &mut impl Action,
    ids: &[String],
    mode: Mode,
    each: &mut Each<'_>,
) -> Result<(), Failure> {
    for id in ids {
        let outcome = action.apply_unknown(id, mode).await?;
        each.tell(Subject::nobodys(id), &outcome);
    }
    Ok(())
}

/// Acts on some of the tasks, as they are now.
async fn act(
    action: &mut impl Action,
    ids: &[TaskId],
    mode: Mode,
    store: &dyn Store,
    each: &mut Each<'_>,
) -> Result<(), Failure> {
    let rows = store.tasks_with_ids(ids).await?.into_iter();
    let mut rows: HashMap<TaskId, TaskRow> = rows.map(|row| (row.task_id.clone(), row)).collect();
    let mut able = Vec::with_capacity(rows.len());
    for id in ids {
        let Some(row) = rows.remove(id) else {
            let subject = Subject {
                id: id.as_str(),
                task_id: Some(id.as_str()),
                name: None,
            };
            each.tell(
                subject,
                &Outcome::Failed("it was deleted meanwhile".to_owned()),
            );
            continue;
        };
        match action.objection(&row) {
            Some(why) => each.tell(subject(&row), &Outcome::Failed(why)),
            None => able.push(row),
        }
    }
    let outcomes = match mode {
        Mode::DryRun => vec![Outcome::Done(None); able.len()],
        Mode::Do if able.is_empty() => Vec::new(),
        Mode::Do => action.apply(&able).await?,
    };
    for (row, outcome) in able.iter().zip(&outcomes) {
        each.tell(subject(row), outcome);
    }
    Ok(())
}

fn subject(row: &TaskRow) -> Subject<'_> {
    Subject {
        id: &row.id,
        task_id: Some(row.task_id.as_str()),
        name: Some(&row.name),
    }
}
