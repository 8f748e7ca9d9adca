//! What is known of every task of a trial, and what is wrong with it.

use super::settled::{Settled, SettledTask};
use super::told::{end_of, is_last};
use super::trial::{Inner, lock};
use counterfoil_toolbox::event::{Event, FaultKind, TaskFault};
use counterfoil_toolbox::message::{Content, names};
use counterfoil_toolbox::{TaskId, TaskName, TaskState};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of every task that the trial's workers are there for.
pub(super) struct Books {
    tasks: Vec<Entry>,
}

pub(super) struct Entry {
    id: TaskId,
    name: TaskName,
    last: Option<Event>,
    /// Why it is in a dead queue.
    death: Option<String>,
}

impl Books {
    pub(super) async fn of(trial: &Inner) -> anyhow::Result<Self> {
        let scheduled = trial.platform.scheduled().await?;
        let deaths = deaths(trial).await?;
        let told = trial.told.borrow();
        let is_ours = |name: &TaskName| lock(&trial.services).contains(name.service());
        let entry = |(id, name): (&TaskId, &TaskName)| Entry {
            id: id.clone(),
            name: name.clone(),
            last: told.get(id).cloned(),
            death: deaths.get(id).cloned(),
        };
        let sent: BTreeSet<_> = scheduled.iter().map(|task| task.id()).collect();
        // Of what went straight into a queue there is no tracking copy.
        let unsent = told.values().map(|event| (&event.task_id, &event.task));
        let unsent = unsent.filter(|(id, _)| !sent.contains(id));
        let sent = scheduled.iter().map(|task| (task.id(), task.name()));
        let all = sent.chain(unsent).filter(|(_, name)| is_ours(name));
        Ok(Self {
            tasks: all.map(entry).collect(),
        })
    }

    /// Those that are not over.
    pub(super) fn open(&self) -> impl Iterator<Item = &Entry> {
        self.tasks.iter().filter(|task| !task.is_over())
    }

    /// What is wrong, a line each.
    pub(super) fn problems(&self, trial: &Inner) -> Vec<String> {
        let problem = |task: &Entry| {
            let number = trial.number_of(&task.id);
            let what = match (&task.last, &task.death) {
                (_, Some(_)) => "it is dead, and nobody knows why".to_owned(),
                (Some(last), None) => {
                    format!(
                        "the last that was told of it is {} ({})",
                        last.kind.as_str(),
                        last.lineage
                    )
                }
                (None, None) => "nothing was ever told of it".to_owned(),
            };
            format!("{} #{number} ({}) is lost: {what}", task.name, task.id)
        };
        self.open().map(problem).collect()
    }

    pub(super) fn settled(self) -> Settled {
        let tasks = self.tasks.into_iter().map(Entry::settled);
        Settled::new(tasks.collect())
    }
}

impl Entry {
    fn is_over(&self) -> bool {
        let has_reason = self.death.as_ref().is_some_and(|reason| !reason.is_empty());
        has_reason || self.last.as_ref().is_some_and(is_last)
    }

    fn settled(self) -> SettledTask {
        let state = self.last.as_ref().and_then(end_of);
        let crashed = |reason| TaskFault::new(FaultKind::WorkerCrashed, reason);
        let (fault, result) = match self.last.filter(is_last) {
            Some(last) => (last.error, last.result),
            // As the daemon has it: the broker gave it up.
            None => (self.death.map(crashed), None),
        };
        SettledTask {
            id: self.id,
            name: self.name,
            state: state.unwrap_or(TaskState::Failure),
            fault,
            result,
        }
    }
}

/// Tasks in dead queues, and why. Read from the daemon's copies, so that the queues stay as they are.
async fn deaths(trial: &Inner) -> anyhow::Result<BTreeMap<TaskId, String>> {
    let queue = &trial.platform.names().deaths_queue;
    let waiting = trial.platform.waiting(queue).await?;
    if waiting > 0 {
        let copies = trial.platform.take(queue, waiting).await?;
        let dead = copies.iter().filter_map(|copy| {
            let id = copy.content.headers.text("id")?.parse().ok()?;
            Some((id, reason(&copy.content)))
        });
        lock(&trial.deaths).extend(dead);
    }
    Ok(lock(&trial.deaths).clone())
}

/// What its worker said, else what the broker did; empty when neither is known.
fn reason(content: &Content) -> String {
    let said = content.headers.text(names::REASON);
    let by_broker = || content.headers.deaths().next()?.text("reason");
    said.or_else(by_broker).unwrap_or_default().to_owned()
}
