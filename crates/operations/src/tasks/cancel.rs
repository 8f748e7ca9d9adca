//! Cancelling tasks, each for itself.

use super::action::Action;
use crate::asking::{Doer, ask};
use crate::error::OperationError;
use crate::outcome::{Instead, Mode, Objection, Outcome, Words};
use crate::workers::is_alive;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, Cancelling, Store};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::control::Order;
use std::collections::HashSet;
use uuid::Uuid;

/// Cancels tasks, each for itself: what has not been started never will be, what runs is asked to stop.
#[derive(Debug)]
pub struct Cancel<'a> {
    store: &'a dyn Store,
    doer: Doer,
    rows: Rows,
    unheard: Unheard,
    asked: Vec<Uuid>,
}

/// Whether rows of tasks are written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Written,
    LeftToTheDaemon,
}

/// Whether workers are asked about ids that no task has, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unheard {
    Asked,
    Refused,
}

impl<'a> Cancel<'a> {
    /// In the name of `doer`.
    #[must_use]
    pub const fn new(store: &'a dyn Store, doer: Doer) -> Self {
        Self {
            store,
            doer,
            rows: Rows::Written,
            unheard: Unheard::Refused,
            asked: Vec::new(),
        }
    }

    /// Writes no rows of tasks, even where it may: the daemon does, and tells what came of it.
    #[must_use]
    pub const fn only_asking(mut self) -> Self {
        self.rows = Rows::LeftToTheDaemon;
        self
    }

    /// Also ids that no task has yet: should one of them come, no worker starts it.
    #[must_use]
    pub const fn also_unheard(mut self) -> Self {
        self.unheard = Unheard::Asked;
        self
    }

    /// What was asked of workers: see [`passed_on`](crate::passed_on).
    #[must_use]
    pub fn asked(&self) -> &[Uuid] {
        &self.asked
    }

    pub(super) const fn store(&self) -> &'a dyn Store {
        self.store
    }

    pub(super) const fn doer(&self) -> &Doer {
        &self.doer
    }

    /// Notes what was asked of workers.
    pub(super) fn has_asked(&mut self, id: Uuid) {
        self.asked.push(id);
    }
}

impl Action for Cancel<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "cancelled",
    };

    fn objection(&self, task: &TaskRow) -> Option<Objection> {
        let is_over = Cancelling::of(task) == Cancelling::Over;
        is_over.then(|| Objection::new(format!("it is {} already", task.state)))
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, OperationError> {
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
        match self.rows {
            Rows::Written => ask(self.store, &batch).await?,
            Rows::LeftToTheDaemon => self.store.only_ask(&batch).await?,
        }
        let workers = self.store.workers().await?;
        let silent: HashSet<_> = workers
            .iter()
            .filter(|row| !is_alive(row, now))
            .map(|row| row.id.as_str())
            .collect();
        Ok(tasks.iter().map(|task| meaning(task, &silent)).collect())
    }

    async fn apply_unknown(&mut self, id: &str, mode: Mode) -> Result<Outcome, OperationError> {
        if self.unheard == Unheard::Refused {
            let unknown = Objection::new("no task has this id");
            return Ok(Outcome::Failed(unknown.instead(Instead::KeepFromStarting)));
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
