//! What the platform answers to this worker: by the stream, which it reads anyway.

use super::{Control, Following};
use counterfoil_toolbox::control::{Instruction, Order};
use counterfoil_toolbox::session::Answer;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Questions that wait, with their answers as soon as those have come.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<HashMap<Uuid, Option<Answer>>>);

/// A question that waits for its answer, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    control: &'a Control,
    /// Id of the question.
    pub(crate) id: Uuid,
}

impl Answers {
    /// Takes in what was read: mostly nothing of it is an answer, and most of those are for others.
    pub(super) fn hear(&self, instructions: &[Instruction]) {
        for one in instructions {
            if let Order::SessionIs { status, sent, .. } = one.order
                && let Some(answer) = self.all().get_mut(&one.id)
            {
                *answer = Some(Answer { status, sent });
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Option<Answer>>> {
        self.0
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Control {
    /// Expects an answer to a question that is asked next. `None`: this worker cannot read the stream, so none will
    /// come.
    pub(crate) fn expect_answer(&self) -> Option<Waiting<'_>> {
        if matches!(*self.following.borrow(), Following::No(_)) {
            return None;
        }
        let id = Uuid::now_v7();
        self.answers.all().insert(id, None);
        Some(Waiting { control: self, id })
    }
}

impl Waiting<'_> {
    /// The answer; `None`: none has come within that time.
    pub(crate) async fn answer(&self, within: Duration) -> Option<Answer> {
        let answers = &self.control.answers;
        let answer = || answers.all().get(&self.id).copied().flatten();
        let mut changes = self.control.changes();
        let comes = changes.wait_for(|_| answer().is_some());
        let _ = timeout(within, comes).await;
        answer()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.control.answers.all().remove(&self.id);
    }
}
