//! `task pause`, `task resume`

use super::select::{Action, Selection};
use crate::asking::{Doer, ask};
use crate::each::{Outcome, Words};
use crate::failure::Failure;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, Cancelling, HeldBack, Store};
use counterfoil_toolbox::control::Order;
use uuid::Uuid;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) doer: Doer,
}

/// Holds tasks back that have not been started.
pub(super) struct Pause<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) doer: Doer,
    /// What was asked of workers.
    pub(super) asked: Vec<Uuid>,
}

/// Lets tasks start that were held back.
pub(super) struct Resume<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) doer: Doer,
    /// What was asked of workers.
    pub(super) asked: Vec<Uuid>,
}

impl Action for Pause<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "paused",
    };

    fn objection(&self, task: &TaskRow) -> Option<String> {
        match Cancelling::of(task) {
            Cancelling::BeforeStart => task.held.then(|| "it is paused already".to_owned()),
            Cancelling::Running { .. } => {
                Some("it runs already: what runs can be cancelled, not paused".to_owned())
            }
            Cancelling::Over => Some(format!("it is {} already", task.state)),
        }
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure> {
        let order = |task: &TaskRow| Order::Hold {
            task_id: task.task_id.clone(),
        };
        let asked = hold_back(self.store, &self.doer, tasks, HeldBack::Yes, order).await?;
        self.asked.extend(asked);
        let told = "it will not start until `counterfoil task resume`";
        Ok(vec![Outcome::Done(Some(told.to_owned())); tasks.len()])
    }
}

impl Action for Resume<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "resumed",
    };

    fn objection(&self, task: &TaskRow) -> Option<String> {
        (!task.held).then(|| "it is not paused".to_owned())
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure> {
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
) -> Result<Vec<Uuid>, Failure> {
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
