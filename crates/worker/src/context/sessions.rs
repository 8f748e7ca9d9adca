//! Sessions that a task opens.

use super::Context;
use super::opened::patience;
use crate::control::SessionEnd;
use crate::opening::Sending;
use counterfoil_toolbox::producer::SendError;
use counterfoil_toolbox::session::{
    Answer, Inquiry, Session, SessionError, SessionStatus, StartedSession,
};
use tokio::time::Instant;

/// What a repeated execution does about a session that an earlier one may have opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// It opens it, again perhaps, and sends its subtasks.
    Send,
    /// It ended, and its finalizer has been told how: there is nothing to do.
    Leave(SessionStatus),
    /// Nothing of it was ever sent, its time was over, and all its ids follow from it: another one takes its place.
    Replace,
    /// Somebody aborted it.
    End,
}

impl Resume {
    /// `answer`: what the platform says, if it says anything. `has_chosen_ids`: another session would have tasks under
    /// the same ids, and those have ended as failed.
    const fn after(answer: Option<Answer>, has_chosen_ids: bool) -> Self {
        let Some(Answer { status, sent }) = answer else {
            return Self::Send;
        };
        match status {
            None | Some(SessionStatus::Ongoing) => Self::Send,
            Some(SessionStatus::Aborting | SessionStatus::Aborted) => Self::End,
            Some(SessionStatus::TimedOut) if sent == 0 && !has_chosen_ids => Self::Replace,
            Some(
                status @ (SessionStatus::Success
                | SessionStatus::CompletedWithErrors
                | SessionStatus::Failure
                | SessionStatus::TimedOut),
            ) => Self::Leave(status),
        }
    }
}

impl Context {
    /// Opens a session whose subtasks and finalizer are children of this task, and sends its subtasks: see
    /// [`session`](counterfoil_toolbox::session). The worker's user may publish events of its own service only,
    /// so the finalizer must be a task of that.
    ///
    /// Its ids follow from this task, its run and what it does ([`Session::opened_by`]). So an execution that is
    /// repeated (its worker was lost, or its handler asked for a retry) opens the same session, if it comes to the
    /// same subtasks, whatever else it skips or does before. A run that people ask for opens another.
    ///
    /// So sessions of equal content (action, tasks, arguments, options) need a [key](Session::key) of their own each:
    /// in one execution the second without one is refused. That cannot be seen where the handler skips the first by a
    /// checkpoint: it would then be told of the first, and nothing of the second be sent.
    ///
    /// A repeated execution (after a retry or a rescue, or of a message that was delivered before, whether its queue
    /// counts that or not) first asks the platform, mostly for less than a second, what became of the session. Not
    /// covered is a second message of this task's id, as of one that was sent twice: it is a first execution, asks
    /// nothing, and sends the subtasks again, which may run twice and count once. What it is told:
    /// - it is open: its subtasks are sent again. One that was sent before may run twice, and counts once;
    /// - it has ended: nothing is sent, and [`StartedSession::status`] says how. That is
    ///   [`TimedOut`](SessionStatus::TimedOut), too, where some were sent before its time was over: its finalizer
    ///   was told what is missing. Whoever wants all of it done again opens it once more, under another key;
    /// - its time was over before any of it was sent: another one is opened in its place, unless an id of a task in it
    ///   is the sender's choice ([`Session::has_chosen_ids`]). Those tasks have failed with it, so it is left, as one
    ///   that has ended;
    /// - somebody aborted it, or does before all are sent: no more are, and unless the handler returns a success
    ///   this task is REVOKED;
    /// - it is not told within 30 s, or a quarter of the time that is left until the handler's soft or else hard time
    ///   limit, because no daemon runs, or the worker may not read what is asked of workers: its subtasks are sent again,
    ///   as if it were open. Of sessions that it opens later it does not ask any more.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct HarvestAll { pages: u32 }
    /// # impl counterfoil_toolbox::Task for HarvestAll { const NAME: &'static str = "harvest.all"; type Output = (); }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Page { number: u32 }
    /// # impl counterfoil_toolbox::Task for Page { const NAME: &'static str = "harvest.page"; type Output = (); }
    /// # use counterfoil_toolbox::session::SessionSummary;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Publish { session: Option<SessionSummary> }
    /// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
    /// use counterfoil_toolbox::session::Session;
    ///
    /// async fn harvest_all(task: HarvestAll, cx: Context) -> Result<(), TaskError> {
    ///     let session = Session::new("harvest", Publish { session: None })?;
    ///     let session = session.subtasks((0..task.pages).map(|number| Page { number }))?;
    ///     cx.start_session(session).await?; // an error: a retry, which opens the same session
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(HarvestAll { pages: 3 }).by(|worker| worker.handle(harvest_all)).await?;
    /// assert_eq!(done.scheduled().all::<Page>().len(), 3); // `Publish` is sent when they are over
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SessionError`]: this execution sent nothing of it, but for [`SessionError::Aborted`],
    /// [`SessionError::TimedOut`] and [`SessionError::Unsent`], after which some may be sent. An earlier execution may
    /// have sent some or all. With [`SessionError::Unsent`] the broker went away under way: hand the error on, so that
    /// the task is retried and sends all of it. A handler that goes on instead may open the same session once more.
    ///
    /// # Cancel safety
    /// Cancelled, the session may be open and some of its subtasks sent: then it times out.
    pub async fn start_session(&self, session: Session) -> Result<StartedSession, SessionError> {
        let (opener, run) = (self.task_id(), self.held.envelope.lineage.run);
        let claim = self.opened.claim(session.content_id());
        let claim = claim.ok_or_else(|| SessionError::EqualContent {
            action: session.action().into(),
        })?;
        let session = session.child_of(opener, self.root_id());
        let mut session = session.parent_trace(self.trace().as_ref());
        for nth in 0.. {
            session = session.opened_by(opener, run, nth);
            match self.resume(&session).await? {
                Resume::Send => {
                    let started = self.send_session(session).await?;
                    claim.keep();
                    return Ok(started);
                }
                Resume::Leave(status) => {
                    let left = left(&session, status)?;
                    claim.keep();
                    return Ok(left);
                }
                Resume::Replace => {}
                Resume::End => return Err(self.aborted(self.held.opening.begin(session.id()))),
            }
        }
        unreachable!("there are fewer sessions than numbers")
    }

    /// What to do about a session that an earlier execution may have opened.
    async fn resume(&self, session: &Session) -> Result<Resume, SessionError> {
        if !self.may_be_repeated() || !self.opened.is_worth_asking() {
            return Ok(Resume::Send);
        }
        let Some(waiting) = self.shared.control.expect_answer() else {
            return Ok(Resume::Send);
        };
        let inquiry = Inquiry {
            id: waiting.id,
            session_id: session.id().clone(),
        };
        let producer = &self.shared.senders.producer;
        producer.inquire(&inquiry, session.finalizer()).await?;
        let now = Instant::now();
        let left = self.ends_at.map(|end| end.saturating_duration_since(now));
        let answer = waiting.answer(patience(left)).await;
        if answer.is_none() {
            self.opened.unanswered();
        }
        Ok(Resume::after(answer, session.has_chosen_ids()))
    }

    /// Opens it and sends its subtasks, unless it ends before all are sent.
    async fn send_session(&self, session: Session) -> Result<StartedSession, SessionError> {
        let id = session.id().clone();
        let end = || self.shared.control.end_of(&id);
        let (ends, sending) = (self.held.until(end), self.held.opening.begin(&id));
        tokio::select! {
            biased;
            end = ends => Err(match end {
                SessionEnd::Aborted => self.aborted(sending),
                SessionEnd::TimedOut => SessionError::TimedOut { id: id.clone() },
            }),
            started = self.shared.senders.producer.start_session(session) => all_sent(started?),
        }
    }

    /// Whether an execution of this message may have come before this one. Not every queue counts deliveries, so one
    /// that was delivered again without a count is no [attempt](Self::attempt) more.
    fn may_be_repeated(&self) -> bool {
        self.attempt() > 1 || self.held.lineage(self.executions).deliveries > 0
    }

    /// Somebody has aborted it, which is the end of this task as well. Whoever ends that may have looked before this was
    /// known here, as it is where the answer to a question is all that tells of it.
    fn aborted(&self, sending: Sending<'_>) -> SessionError {
        let error = sending.aborted();
        self.held.look_again();
        error
    }
}

/// An error where some of it was not sent and may well be, if it is tried again.
fn all_sent(mut started: StartedSession) -> Result<StartedSession, SessionError> {
    let transient = |unsent: &(_, SendError)| unsent.1.is_transient();
    let Some(first) = started.unsent.iter().position(transient) else {
        return Ok(started);
    };
    Err(SessionError::Unsent {
        id: started.id,
        unsent: started.unsent.len(),
        total: started.subtasks.len(),
        source: started.unsent.swap_remove(first).1,
    })
}

/// The handle of a session that has ended.
fn left(session: &Session, status: SessionStatus) -> Result<StartedSession, SessionError> {
    let opening = session.opening()?;
    Ok(StartedSession {
        id: opening.id,
        status,
        finalizer: opening.finalizer.id,
        subtasks: opening.subtasks.into_iter().map(|it| it.id).collect(),
        unsent: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_session_decides_what_is_done_about_it_again() {
        use SessionStatus as S;
        let after = |status, sent| Resume::after(Some(Answer { status, sent }), false);
        assert_eq!(Resume::after(None, false), Resume::Send);
        let timed_out = Answer {
            status: Some(S::TimedOut),
            sent: 0,
        };
        let left = Resume::after(Some(timed_out), true);
        assert_eq!(left, Resume::Leave(S::TimedOut));
        for (status, sent, then) in [
            (None, 0, Resume::Send),
            (Some(S::Ongoing), 2, Resume::Send),
            (Some(S::Success), 2, Resume::Leave(S::Success)),
            // One without subtasks.
            (Some(S::Success), 0, Resume::Leave(S::Success)),
            (
                Some(S::CompletedWithErrors),
                2,
                Resume::Leave(S::CompletedWithErrors),
            ),
            (Some(S::Failure), 2, Resume::Leave(S::Failure)),
            (Some(S::TimedOut), 1, Resume::Leave(S::TimedOut)),
            (Some(S::TimedOut), 0, Resume::Replace),
            (Some(S::Aborting), 0, Resume::End),
            (Some(S::Aborted), 2, Resume::End),
        ] {
            assert_eq!(after(status, sent), then, "{status:?} {sent}");
        }
    }
}
