//! `task rerun`

use super::select::Action;
use crate::asking::Doer;
use crate::command::again::{Anew, Sender};
use crate::command::dead::{Platform, clear};
use crate::each::{Outcome, Words};
use crate::failure::Failure;
use chrono::Utc;
use counterfoil_store::Batch;
use counterfoil_store::record::{StoredTask, TaskRow};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::RoutingKey;
use std::collections::HashMap;

/// Whether tasks that are not over are run again too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Living {
    Refused,
    Allowed,
}

/// Runs tasks that are over again, from the messages that the platform keeps.
pub(super) struct Rerun<'a> {
    platform: &'a Platform,
    sender: Sender,
    doer: Doer,
    living: Living,
    /// The runs that were sent.
    sent: HashMap<TaskId, i32>,
}

impl<'a> Rerun<'a> {
    pub(super) fn new(platform: &'a Platform, doer: Doer, living: Living) -> Self {
        Self {
            platform,
            sender: Sender::new(&*platform.transport),
            doer,
            living,
            sent: HashMap::new(),
        }
    }

    /// Takes the messages of earlier runs out of the dead queues. One that cannot be taken out is told:
    /// the runs are on their way, and the next redrive does it.
    pub(super) async fn clear_dead(&self) {
        match clear(self.platform, &self.sent).await {
            Ok(0) => {}
            Ok(1) => eprintln!("1 message of an earlier run was taken out of its dead queue"),
            Ok(taken) => {
                eprintln!("{taken} messages of earlier runs were taken out of their dead queues");
            }
            Err(failure) => eprint!(
                "warning: messages of earlier runs are still in dead queues, where the next `dead redrive` takes them out: {failure}"
            ),
        }
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

    fn objection(&self, task: &TaskRow) -> Option<String> {
        if task.immutable {
            return Some("it is immutable: only what made it may change it".to_owned());
        }
        if task.state.is_terminal() || self.living == Living::Allowed {
            return None;
        }
        if task.state == TaskState::Unroutable {
            let why = "it is UNROUTABLE: it is sent again by itself when its service appears";
            return Some(why.to_owned());
        }
        Some(format!(
            "it is {}, not over: --force runs it again all the same",
            task.state
        ))
    }

    async fn apply(&mut self, tasks: &[TaskRow]) -> Result<Vec<Outcome>, Failure> {
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
                Err(why) => Outcome::Failed(why),
                Ok((_, Some(Err(error)))) => Outcome::Failed(ErrorChain(&error).to_string()),
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
        self.platform.store.apply(&batch).await.map_err(|error| {
            Failure::from(error).context(
                "the last tasks were sent again, but could not be recorded; repeated, the command sends the same runs once more",
            )
        })?;
        Ok(outcomes)
    }
}
