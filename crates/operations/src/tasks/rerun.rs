//! Running tasks that are over again.

use super::action::Action;
use crate::again::{Anew, Sender, may_record};
use crate::asking::Doer;
use crate::dead::clear;
use crate::error::OperationError;
use crate::outcome::{Instead, Objection, Outcome, Words};
use crate::platform::Platform;
use chrono::Utc;
use counterfoil_store::Batch;
use counterfoil_store::record::{StoredTask, TaskRow};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::RoutingKey;
use std::collections::HashMap;

/// Whether tasks that are not over are run again too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Living {
    /// Only what is over.
    Refused,
    /// All of them: what still runs goes on, and counts no more.
    Allowed,
}

/// Runs tasks that are over again, each as the next run of the same task, from the messages that the platform keeps.
///
/// Messages of earlier runs may lie in dead queues: [`clear_dead`](Self::clear_dead) takes them out afterwards.
#[derive(Debug)]
pub struct Rerun<'a> {
    platform: &'a Platform,
    sender: Sender,
    doer: Doer,
    living: Living,
    /// Whether it was asked already that the runs can be recorded.
    can_record: bool,
    /// The runs that were sent.
    sent: HashMap<TaskId, i32>,
}

impl<'a> Rerun<'a> {
    /// In the name of `doer`.
    #[must_use]
    pub fn new(platform: &'a Platform, doer: Doer, living: Living) -> Self {
        Self {
            platform,
            sender: Sender::new(&*platform.transport),
            doer,
            living,
            can_record: false,
            sent: HashMap::new(),
        }
    }

    /// Takes the messages of earlier runs of what was sent out of the dead queues, and returns how many that were.
    /// The runs are on their way: what cannot be taken out now, the next redrive of that queue takes out.
    ///
    /// # Errors
    /// When broker or database do not answer, or somebody else is at work on such a queue.
    ///
    /// # Cancel safety
    /// Dropped, it leaves behind what the next redrive takes out.
    pub async fn clear_dead(&self) -> Result<usize, OperationError> {
        clear(self.platform, &self.sent).await
    }

    /// The task's next run.
    fn anew(&self, task: &TaskRow, stored: Option<&StoredTask>) -> Result<Anew, String> {
        let stored = stored.ok_or("its message is not stored, so it cannot be sent again")?;
        let key = RoutingKey::new(&stored.message.routing_key);
        let key = key.map_err(|error| error.to_string())?;
        let (names, run) = (&self.platform.names, task.run.saturating_add(1));
        let (content, key) = (&stored.message.content, without_delay(&key));
        Anew::run(names, content, run, key, Utc::now())
    }
}

impl Action for Rerun<'_> {
    const WORDS: Words = Words {
        things: ["task", "tasks"],
        done: "run again",
    };

    fn objection(&self, task: &TaskRow) -> Option<Objection> {
        if task.immutable {
            let why = "it is immutable: only what made it may change it";
            return Some(Objection::new(why));
        }
        if task.state.is_terminal() || self.living == Living::Allowed {
            return None;
        }
        if task.state == TaskState::Unroutable {
            let why = "it is UNROUTABLE: it is sent again by itself when its service appears";
            return Some(Objection::new(why));
        }
        let lives = Objection::new(format!("it is {}, not over", task.state));
        Some(lives.instead(Instead::RunLiving))
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, OperationError> {
        if !self.can_record {
            may_record(&*self.platform.store).await?;
            self.can_record = true;
        }
        self.sender.check()?;
        let ids: Vec<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
        let stored = self.platform.store.stored_tasks(&ids).await?.into_iter();
        let stored: HashMap<_, _> = stored.map(|task| (task.task_id.clone(), task)).collect();
        let anew: Vec<_> = tasks
            .iter()
            .map(|task| self.anew(task, stored.get(&task.task_id)))
            .collect();
        let publications = anew.iter().flatten().map(|anew| anew.publication.clone());
        let mut sent = self.sender.send(publications.collect()).await.into_iter();
        let mut batch = Batch::new();
        let mut outcomes = Vec::with_capacity(tasks.len());
        for (task, anew) in tasks.iter().zip(anew) {
            let sent = anew.map(|anew| (anew, sent.next()));
            outcomes.push(match sent {
                Err(why) => Outcome::failed(why),
                Ok((_, Some(Err(error)))) => Outcome::failed_by(&error),
                Ok((anew, Some(Ok(())) | None)) => {
                    if let Some(copy) = &anew.copy {
                        batch.rerun(copy, self.doer.deed("rerun"));
                    }
                    let run = task.run.saturating_add(1);
                    self.sent.insert(task.task_id.clone(), run);
                    Outcome::Done(Some(format!("run {run}")))
                }
            });
        }
        let recorded = self.platform.store.apply(&batch).await;
        recorded.map_err(OperationError::RunsNotRecorded)?;
        Ok(outcomes)
    }
}
