//! The same message twice: after a reconnect the broker delivers again what this worker still
//! runs, or has just finished.
//!
//! What still runs adopts its redelivery. What still waits for its turn runs only once it has been
//! delivered here again: another worker may have it by now. What was finished and reported, but whose
//! acknowledgement was lost with the connection, is acknowledged again without running.

use crate::held::{Held, Key};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::Delivery;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

/// Which messages this worker holds, and which it has finished lately.
#[derive(Debug)]
pub(crate) struct Guard {
    known: Mutex<Known>,
    /// How many finished messages are remembered.
    memory: usize,
}

#[derive(Debug, Default)]
struct Known {
    messages: HashMap<Key, Fate>,
    /// Finished messages, oldest first.
    finished: VecDeque<Key>,
}

#[derive(Debug)]
enum Fate {
    Held(Arc<Held>),
    Finished,
}

impl Guard {
    pub(crate) fn new(memory: usize) -> Self {
        Self {
            known: Mutex::default(),
            memory,
        }
    }

    /// Lets `held`, made from `delivery`, in. `None`: there is nothing to run for it.
    pub(crate) fn enter(
        &self,
        key: &Key,
        delivery: Delivery,
        hold: impl FnOnce(Delivery) -> Held,
    ) -> Option<Arc<Held>> {
        let mut known = self.known();
        match known.messages.get(key) {
            Some(Fate::Held(running)) => {
                running.adopt(delivery);
                None
            }
            Some(Fate::Finished) if delivery.redelivered => {
                drop(known);
                let _ = delivery.ack();
                None
            }
            // Sent once more under the same id, on purpose or not: it runs.
            Some(Fate::Finished) | None => {
                let held = Arc::new(hold(delivery));
                known.messages.insert(key.clone(), Fate::Held(held.clone()));
                Some(held)
            }
        }
    }

    /// Everything about these tasks is durable: acknowledges them and remembers that.
    pub(crate) fn finish(&self, tasks: &[Arc<Held>]) {
        let mut known = self.known();
        for held in tasks {
            known.messages.insert(held.key.clone(), Fate::Finished);
            known.finished.push_back(held.key.clone());
        }
        while known.finished.len() > self.memory {
            let Some(oldest) = known.finished.pop_front() else {
                break;
            };
            if matches!(known.messages.get(&oldest), Some(Fate::Finished)) {
                known.messages.remove(&oldest);
            }
        }
        drop(known);
        tasks.iter().for_each(|held| held.ack());
    }

    /// This worker will not finish the task: `settle` gives it away.
    pub(crate) fn release(&self, held: &Held, settle: impl FnOnce(&Held)) {
        let mut known = self.known();
        known.messages.remove(&held.key);
        settle(held);
    }

    /// A queue was deleted: what came out of it will not be delivered again, to anybody.
    pub(crate) fn orphan(&self, queue: &QueueName) {
        let of_it = |held: &Arc<Held>| (held.queue == *queue).then(|| Arc::clone(held));
        self.held(of_it).iter().for_each(|held| held.orphan());
    }

    /// Something was asked of the worker: whoever waits for a task in hand looks again.
    pub(crate) fn look_again(&self) {
        let all = self.held(|held| Some(Arc::clone(held)));
        all.iter().for_each(|held| held.look_again());
    }

    /// Ids of the tasks in hand.
    pub(crate) fn held_ids(&self) -> Vec<TaskId> {
        self.held(|held| Some(held.envelope.id.clone()))
    }

    /// Ids of the tasks in hand that the broker has forgotten.
    pub(crate) fn taken_over(&self) -> Vec<TaskId> {
        self.held(|held| held.lease().map(|_| held.envelope.id.clone()))
    }

    /// What `look` finds among the tasks in hand, in the order of their ids: whoever is woken by it shall
    /// be so in the same order when a test is repeated.
    pub(crate) fn held<T>(&self, look: impl Fn(&Arc<Held>) -> Option<T>) -> Vec<T> {
        let known = self.known();
        let held = known.messages.values().filter_map(|fate| match fate {
            Fate::Held(held) => Some(held),
            Fate::Finished => None,
        });
        let mut held: Vec<_> = held.collect();
        held.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        held.into_iter().filter_map(look).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known
            .lock()
            .expect("no code panics while it holds the lock")
    }
}
