//! `task cancel`

use super::filter::{Enough, walk};
use super::select::{Action, Selection};
use crate::asking::{Doer, ask};
use crate::command::workers::is_alive;
use crate::each::{Mode, Outcome, Words};
use crate::failure::Failure;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, Cancelling, Store, TaskFilter};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::control::Order;
use std::collections::HashSet;
use uuid::Uuid;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Every task of their families too: all that have the same first task, and what they still send
    #[arg(long)]
    pub(super) family: bool,
    /// Also ids that no task has yet: should one of them come, no worker starts it
    #[arg(long, conflicts_with = "family")]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) doer: Doer,
}

/// Cancels tasks, each for itself.
pub(super) struct Cancel<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) doer: Doer,
    /// Whether rows of tasks may be written at once.
    pub(super) may_write: bool,
    /// What was asked of workers.
    pub(super) asked: Vec<Uuid>,
    /// Whether it is asked of tasks that nobody has heard of, too.
    pub(super) unheard: bool,
}

/// Cancels whole families.
pub(super) struct CancelFamilies<'a> {
    pub(super) cancel: Cancel<'a>,
    pub(super) done: HashSet<TaskId>,
}

/// Rows that are written together.
const AT_ONCE: usize = 500;

const WORDS: Words = Words {
    things: ["task", "tasks"],
    done: "cancelled",
};

impl Action for Cancel<'_> {
    const WORDS: Words = WORDS;

    fn objection(&self, task: &TaskRow) -> Option<String> {
        let is_over = Cancelling::of(task) == Cancelling::Over;
        is_over.then(|| format!("it is {} already", task.state))
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure> {
        let (by, now) = (self.doer.name(), self.store.clock().await?);
        let mut batch = Batch::new();
        for task in tasks {
            let order = Order::Revoke {
                task_id: task.task_id.clone(),
                run: task.run,
            };
            self.asked.push(batch.ask(order, by, now));
            batch.revoke(task, by, now);
        }
        match self.may_write {
            true => ask(self.store, &batch).await?,
            false => self.store.only_ask(&batch).await?,
        }
        let workers = self.store.workers().await?;
        let silent: HashSet<_> = workers
            .iter()
            .filter(|row| !is_alive(row, now))
            .map(|row| row.id.as_str())
            .collect();
        Ok(tasks.iter().map(|task| meaning(task, &silent)).collect())
    }

    async fn apply_unknown(&mut self, id: &str, mode: Mode) -> Result<Outcome, Failure> {
        if !self.unheard {
            return Ok(Outcome::Failed(
                "no task has this id; if it was sent a moment ago, `--force` keeps it from starting"
                    .to_owned(),
            ));
        }
        if mode == Mode::DryRun {
            return Ok(Outcome::Done(None));
        }
        let task_id = TaskId::new(id)?;
        let mut batch = Batch::new();
        let order = Order::Revoke { task_id, run: 0 };
        let now = self.store.clock().await?;
        self.asked.push(batch.ask(order, self.doer.name(), now));
        ask(self.store, &batch).await?;
        Ok(Outcome::Asked(
            "no task has this id yet; workers are asked not to start it".to_owned(),
        ))
    }
}

/// What a cancellation means for a task, where of these workers nothing is heard any more.
fn meaning(task: &TaskRow, silent: &HashSet<&str>) -> Outcome {
    match Cancelling::of(task) {
        Cancelling::BeforeStart => {
            Outcome::Done(Some("it was waiting and is not to be started".to_owned()))
        }
        Cancelling::Running {
            worker: Some(worker),
        } if silent.contains(worker) => Outcome::Asked(format!(
            "worker {worker} had it, of which nothing is heard any more: no other one is to start it"
        )),
        Cancelling::Running {
            worker: Some(worker),
        } => Outcome::Asked(format!("worker {worker} is asked to stop it")),
        Cancelling::Running { worker: None } => {
            Outcome::Asked("its worker is asked to stop it".to_owned())
        }
        Cancelling::Over => Outcome::Done(Some("it is over already".to_owned())),
    }
}

impl Action for CancelFamilies<'_> {
    const WORDS: Words = Words {
        things: ["task with its family", "tasks with their families"],
        done: "cancelled",
    };

    fn objection(&self, _: &TaskRow) -> Option<String> {
        // Others of its family may still run.
        None
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::with_capacity(tasks.len());
        for task in tasks {
            let root = task.root_id.as_deref().and_then(|id| TaskId::new(id).ok());
            let root = root.unwrap_or_else(|| task.task_id.clone());
            outcomes.push(Outcome::Done(Some(match self.done.insert(root.clone()) {
                true => self.family(&root).await?.to_string(),
                false => format!("with the family of {root}"),
            })));
        }
        Ok(outcomes)
    }
}

/// What a cancellation means for a family.
#[derive(Debug, Default)]
struct Members {
    waiting: usize,
    running: usize,
    over: usize,
}

impl std::fmt::Display for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            waiting,
            running,
            over,
        } = self;
        write!(
            f,
            "of its family, as far as the daemon has heard of it: {waiting} were waiting and are not to be started, \
             {running} are asked to stop, {over} were over"
        )
    }
}

impl CancelFamilies<'_> {
    async fn family(&mut self, root: &TaskId) -> Result<Members, Failure> {
        let now = self.cancel.store.clock().await?;
        let doer = self.cancel.doer.clone();
        let by = doer.name();
        let members = TaskFilter {
            root: Some(root.to_string()),
            ..TaskFilter::default()
        };
        let mut run = 0;
        let highest = walk(self.cancel.store, members.clone(), |task| {
            run = run.max(task.run);
            Enough::No
        });
        highest.await?;
        // First what covers those that nobody has heard of yet, then the rows.
        let order = Order::RevokeFamily {
            root_id: root.clone(),
            run,
        };
        let mut batch = Batch::new();
        self.cancel.asked.push(batch.ask(order, by, now));
        ask(self.cancel.store, &batch).await?;
        let (mut batches, mut told) = (vec![Batch::new()], Members::default());
        let mut count = 0;
        let rows = walk(self.cancel.store, members, |task| {
            match Cancelling::of(&task) {
                Cancelling::BeforeStart => told.waiting += 1,
                Cancelling::Running { .. } => told.running += 1,
                Cancelling::Over => told.over += 1,
            }
            count += 1;
            if count % AT_ONCE == 0 {
                batches.push(Batch::new());
            }
            let batch = batches.last_mut().expect("there is one from the start");
            batch.revoke(&task, by, now);
            Enough::No
        });
        rows.await?;
        for batch in &batches {
            ask(self.cancel.store, batch).await?;
        }
        Ok(told)
    }
}
