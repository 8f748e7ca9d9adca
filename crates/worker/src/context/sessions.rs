//! Sessions that a task opens.

use super::Context;
use counterfoil_toolbox::session::{Session, SessionError, StartedSession};

impl Context {
    /// Opens a session whose subtasks and finalizer are children of this task, and sends its subtasks: see
    /// [`session`](counterfoil_toolbox::session). The worker's user may publish events of its own service only,
    /// so the finalizer must be a task of that.
    ///
    /// Its ids follow from this task, its run and what it does ([`Session::opened_by`]). So an execution that is
    /// repeated opens the same session, if it comes to the same subtasks, whatever else it skips or does before, and
    /// sends them again: one that was sent before may run twice, and counts once. Sessions of equal content that one
    /// execution opens are sessions of their own: the first, the second. If somebody aborts it before all are sent,
    /// no more are, and unless the handler returns a success this task is REVOKED.
    ///
    /// # Errors
    /// [`SessionError`]: nothing of it was sent, but for [`SessionError::Ended`].
    ///
    /// # Cancel safety
    /// Cancelled, the session may be open and some of its subtasks sent: then it times out.
    pub async fn start_session(&self, session: Session) -> Result<StartedSession, SessionError> {
        let (opener, run) = (self.task_id(), self.held.envelope.lineage.run);
        let number = self.opened.take(session.content_id());
        let session =
            session
                .child_of(opener, self.root_id())
                .opened_by(opener, run, number.value());
        let id = session.id().clone();
        let has_ended = || self.shared.control.has_ended(&id).then_some(());
        let (ends, sending) = (self.held.until(has_ended), self.held.opening.begin(&id));
        let started = tokio::select! {
            biased;
            () = ends => return Err(sending.ended()),
            started = self.shared.senders.producer.start_session(session) => started?,
        };
        number.keep();
        Ok(started)
    }
}
