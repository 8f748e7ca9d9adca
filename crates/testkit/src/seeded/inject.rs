//! Faults as they come.

use super::plan::{Planned, Trouble};
use super::process::{Process, Running};
use super::rescue::rescue;
use super::trial::{Inner, lock};
use counterfoil_toolbox::ids::WorkerId;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Injects one fault after the other, until all is calm.
pub(super) async fn inject_all(trial: Weak<Inner>, planned: Vec<Planned>) {
    for (number, planned) in planned.into_iter().enumerate() {
        tokio::time::sleep(planned.after).await;
        let Some(trial) = trial.upgrade() else { return };
        if trial.is_calm.load(Ordering::Relaxed) {
            return;
        }
        if !trial.left_out.contains(&number) {
            let happened = trial.inject(&planned);
            trial.note_fault(number, happened);
        }
    }
}

impl Inner {
    fn inject(self: &Arc<Self>, planned: &Planned) -> String {
        let Planned { time, messages, .. } = *planned;
        let all = self.platform.faults();
        match planned.trouble {
            Trouble::Nack => {
                all.nack_next(messages);
                format!("the broker refuses the next {messages} messages")
            }
            Trouble::LoseConfirms => {
                all.lose_confirms(messages);
                format!("the broker takes the next {messages} messages and confirms none")
            }
            Trouble::Block => {
                all.block_publishers(time);
                format!("the broker takes no messages for {time:?}")
            }
            Trouble::Outage => {
                all.refuse_connections(time);
                format!("the broker is away for {time:?}")
            }
            Trouble::Kill
            | Trouble::Replace
            | Trouble::EndConsumer
            | Trouble::Disconnect
            | Trouble::Redeliver => match self.pick(planned.pick) {
                Some(process) => self.disturb(&process, planned),
                None => "a fault finds no worker at work".to_owned(),
            },
        }
    }

    /// One of those that run.
    fn pick(&self, pick: u64) -> Option<Arc<Process>> {
        let mut running = self.processes();
        running.retain(|process| process.is_running());
        let count = u64::try_from(running.len()).ok()?;
        let nth = usize::try_from(pick.checked_rem(count)?).ok()?;
        Some(running.swap_remove(nth))
    }

    fn disturb(self: &Arc<Self>, process: &Arc<Process>, planned: &Planned) -> String {
        let Planned { time, pick, .. } = *planned;
        let nobody = || format!("{process} does not run");
        let Some(faults) = process.faults() else {
            return nobody();
        };
        match planned.trouble {
            Trouble::Kill => match process.take() {
                Some(running) => {
                    self.kill(running);
                    self.start_after(process.clone(), time);
                    format!("{process} is killed, and starts again after {time:?}")
                }
                None => nobody(),
            },
            Trouble::Replace => match process.replace(&self.platform) {
                Ok(Some(old)) => {
                    self.drain_beside(old);
                    format!("{process} is replaced, and the old one told to stop")
                }
                Ok(None) => nobody(),
                Err(error) => format!("{process} cannot be built again: {error}"),
            },
            Trouble::EndConsumer => match faults.close_consumer(pick >> 32) {
                Some(queue) => format!("{process} loses its consumer of {queue}"),
                None => format!("{process} has no consumer to lose"),
            },
            Trouble::Disconnect => {
                faults.close_consumers();
                format!("{process} loses all of its channels")
            }
            Trouble::Redeliver
            | Trouble::Nack
            | Trouble::LoseConfirms
            | Trouble::Block
            | Trouble::Outage => {
                faults.lose_next_acks();
                format!("the next acknowledgement of {process} is lost")
            }
        }
    }

    fn kill(self: &Arc<Self>, running: Running) {
        let id = running.id.clone();
        running.kill();
        self.rescue_tasks_of(id);
    }

    fn start_after(self: &Arc<Self>, process: Arc<Process>, time: Duration) {
        let trial = Arc::downgrade(self);
        lock(&self.beside).spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(trial) = trial.upgrade()
                && !trial.is_calm.load(Ordering::Relaxed)
            {
                trial.start(&process);
            }
        });
    }

    fn drain_beside(self: &Arc<Self>, old: Running) {
        let (trial, id) = (Arc::downgrade(self), old.id.clone());
        lock(&self.leaving).spawn(async move {
            // A worker that panics has told so itself.
            let _ = old.drain().await;
            // What it told last may not have been confirmed in time.
            if let Some(trial) = trial.upgrade() {
                trial.rescue_tasks_of(id);
            }
        });
    }

    /// Sends again what a worker leaves that was killed or has ended by itself.
    pub(super) fn rescue_tasks_of(self: &Arc<Self>, worker: WorkerId) {
        lock(&self.beside).spawn(rescue(Arc::downgrade(self), worker));
    }
}
