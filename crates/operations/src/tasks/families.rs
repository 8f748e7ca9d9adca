//! Cancelling whole families.

use super::action::Action;
use super::cancel::Cancel;
use super::find::{Enough, next_page, pages};
use crate::asking::ask;
use crate::error::OperationError;
use crate::outcome::{Objection, Outcome, Words};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, Cancelling, TaskFilter};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::control::Order;
use std::collections::HashSet;
use std::fmt;
use uuid::Uuid;

/// Cancels tasks with their families: all that have the same first task, and what they still send.
#[derive(Debug)]
pub struct CancelFamilies<'a> {
    cancel: Cancel<'a>,
    done: HashSet<TaskId>,
}

impl<'a> CancelFamilies<'a> {
    /// As `cancel` would cancel the tasks alone.
    #[must_use]
    pub fn new(cancel: Cancel<'a>) -> Self {
        Self {
            cancel,
            done: HashSet::new(),
        }
    }

    /// What was asked of workers: see [`passed_on`](crate::passed_on).
    #[must_use]
    pub fn asked(&self) -> &[Uuid] {
        self.cancel.asked()
    }

    async fn family(&mut self, root: &TaskId) -> Result<Members, OperationError> {
        let store = self.cancel.store();
        let now = store.clock().await?;
        let doer = self.cancel.doer().clone();
        let by = doer.name();
        let mut members = TaskFilter {
            root: Some(root.to_string()),
            ..TaskFilter::default()
        };
        let mut run = 0;
        let highest = pages(store, members.clone(), |task| {
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
        self.cancel.has_asked(batch.ask(order, by, now));
        ask(store, &batch).await?;
        // A page at a time, however large it is.
        let (mut told, mut is_last) = (Members::default(), false);
        while !is_last {
            let page;
            (page, is_last) = next_page(store, &mut members).await?;
            let mut batch = Batch::new();
            for task in &page {
                told.count(task);
                batch.revoke(task, by, now);
            }
            ask(store, &batch).await?;
        }
        Ok(told)
    }
}

impl Action for CancelFamilies<'_> {
    const WORDS: Words = Words {
        things: ["task with its family", "tasks with their families"],
        done: "cancelled",
    };

    fn objection(&self, _: &TaskRow) -> Option<Objection> {
        // Others of its family may still run.
        None
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, OperationError> {
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

impl Members {
    fn count(&mut self, task: &TaskRow) {
        match Cancelling::of(task) {
            Cancelling::BeforeStart => self.waiting += 1,
            Cancelling::Running { .. } => self.running += 1,
            Cancelling::Over => self.over += 1,
        }
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
