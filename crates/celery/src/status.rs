//! What callers are told while a task runs: nobody's work hangs on it, so it is sent without waiting for the broker, and
//! of each task the latest alone. Once the task is over nothing of it is sent any more: a caller that looks takes what
//! comes last for what is so, and never sees a result before it. So it goes by the channel of the answers, and not by the
//! daemon, of which two may pass on what a task is in turn.

use crate::caller::Caller;
use crate::reply::Reply;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::transport::{Publication, PublishError, Publisher};
use counterfoil_worker::extension::Beside;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// How soon it is tried again while too much is under way.
const FULL: Duration = Duration::from_millis(100);

/// The way to whoever waits for a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// What is to be said of each task.
    latest: Mutex<HashMap<TaskId, Publication>>,
    wake: Notify,
    /// A worker sends it.
    is_sent: AtomicBool,
}

impl Status {
    /// Says it soon, unless something else is said of the task before.
    pub(crate) fn say(&self, task: &TaskId, reply: &Reply<'_>, caller: &Caller<'_>) {
        if matches!(caller, Caller::Behind { .. }) {
            return;
        }
        // One that cannot be written is nobody's loss: the end is told in any case.
        let Ok(publication) = caller.publication(reply) else {
            return;
        };
        self.latest().insert(task.clone(), publication);
        self.0.wake.notify_one();
    }

    /// Says nothing more of a task.
    pub(crate) fn over(&self, task: &TaskId) {
        self.latest().remove(task);
    }

    /// Sends what is said until the worker is over. `None`: another worker does.
    pub(crate) fn send(&self, worker: Beside) -> Option<impl Future<Output = ()> + use<>> {
        if self.0.is_sent.swap(true, Ordering::Relaxed) {
            return None;
        }
        let status = self.clone();
        Some(async move {
            loop {
                tokio::select! {
                    biased;
                    () = status.0.wake.notified() => {}
                    () = worker.over() => return,
                }
                while !status.hand_over(&worker.answers) {
                    tokio::time::sleep(FULL).await;
                }
            }
        })
    }

    /// Hands all of it over while nobody can say that a task is over: what is not handed over then is never sent. `false`:
    /// some is left, since too much is under way.
    fn hand_over(&self, answers: &Publisher) -> bool {
        let mut latest = self.latest();
        while let Some(task) = latest.keys().next().cloned() {
            let Some(publication) = latest.remove(&task) else {
                continue;
            };
            let publication = Arc::new(publication);
            // Its confirm is not waited for, and a broker that is away will be told what comes later.
            if let Err(PublishError::NotSent { .. }) = answers.enqueue_now(Arc::clone(&publication))
            {
                latest.insert(task, Arc::unwrap_or_clone(publication));
                return false;
            }
        }
        true
    }

    fn latest(&self) -> MutexGuard<'_, HashMap<TaskId, Publication>> {
        self.0
            .latest
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::raw;
    use counterfoil_toolbox::message::Envelope;

    #[test]
    fn of_each_task_the_latest_is_said_and_nothing_once_it_is_over() {
        let status = Status::default();
        let tasks = ["t1", "t2"].map(|id| {
            let name = "a.b".parse().expect("valid");
            Envelope::new(id.parse().expect("valid"), name)
        });
        for current in [1, 2] {
            for task in &tasks {
                status.say(
                    &task.id,
                    &Reply::new(task, "PROGRESS", raw(&current)),
                    &Caller::At("caller"),
                );
            }
        }
        status.over(&tasks[0].id);
        let left = std::mem::take(&mut *status.latest());
        let said: Vec<_> = left.into_iter().collect();
        assert_eq!((said.len(), &said[0].0), (1, &tasks[1].id));
        let body: serde_json::Value =
            serde_json::from_slice(&said[0].1.content.body).expect("JSON");
        assert_eq!(body["result"], 2);
    }
}
