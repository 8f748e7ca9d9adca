//! Holding tasks back before they start, and letting them go on.

use super::action::Action;
use crate::asking::{Doer, ask};
use crate::error::OperationError;
use crate::outcome::{Objection, Outcome, Words};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, Cancelling, HeldBack, Store};
use counterfoil_toolbox::control::Order;
use uuid::Uuid;

/// Keeps tasks that have not been started from starting, until they are [resumed](Resume).
#[derive(Debug)]
pub struct Pause<'a> {
    store: &'a dyn Store,
    doer: Doer,
    asked: Vec<Uuid>,
}

/// Lets tasks start that were held back.
#[derive(Debug)]
pub struct Resume<'a> {
    store: &'a dyn Store,
    doer: Doer,
    asked: Vec<Uuid>,
}

impl<'a> Pause<'a> {
    /// In the name of `doer`.
    #[must_use]
    pub const fn new(store: &'a dyn Store, doer: Doer) -> Self {
        Self {
            store,
            doer,
            asked: Vec::new(),
        }
    }

    /// What was asked of workers: see [`passed_on`](crate::passed_on).
    #[must_use]
    pub fn asked(&self) -> &[Uuid] {
        &self.asked
    }
}

impl<'a> Resume<'a> {
    /// In the name of `doer`.
    #[must_use]
    pub const fn new(store: &'a dyn Store, doer: Doer) -> Self {
        Self {
            store,
            doer,
            asked: Vec::new(),
        }
    }

    /// What was asked of workers: see [`passed_on`](crate::passed_on).
    #[must_use]
    pub fn asked(&self) -> &[Uuid] {
        &self.asked
    }
}

impl Action for Pause<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "paused",
    };

    fn objection(&self, task: &TaskRow) -> Option<Objection> {
        match Cancelling::of(task) {
            Cancelling::BeforeStart => task.held.then(|| Objection::new("it is paused already")),
            Cancelling::Running { .. } => Some(Objection::new(
                "it runs already: what runs can be cancelled, not paused",
            )),
            Cancelling::Over => Some(Objection::new(format!("it is {} already", task.state))),
        }
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, OperationError> {
        let order = |task: &TaskRow| Order::Hold {
            task_id: task.task_id.clone(),
        };
        let asked = hold_back(self.store, &self.doer, tasks, HeldBack::Yes, order).await?;
        self.asked.extend(asked);
        Ok(vec![Outcome::Done(None); tasks.len()])
    }
}

impl Action for Resume<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "resumed",
    };

    fn objection(&self, task: &TaskRow) -> Option<Objection> {
        (!task.held).then(|| Objection::new("it is not paused"))
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, OperationError> {
        let order = |task: &TaskRow| Order::Release {
            task_id: task.task_id.clone(),
        };
        let asked = hold_back(self.store, &self.doer, tasks, HeldBack::No, order).await?;
        self.asked.extend(asked);
        Ok(vec![Outcome::Done(None); tasks.len()])
    }
}

async fn hold_back(
    store: &dyn Store,
    doer: &Doer,
    tasks: &[TaskRow],
    held: HeldBack,
    order: impl Fn(&TaskRow) -> Order,
) -> Result<Vec<Uuid>, OperationError> {
    let now = store.clock().await?;
    let mut batch = Batch::new();
    let mut asked = Vec::with_capacity(tasks.len());
    for task in tasks {
        asked.push(batch.ask(order(task), doer.name(), now));
        batch.hold_back(&task.task_id, held);
    }
    ask(store, &batch).await?;
    Ok(asked)
}
