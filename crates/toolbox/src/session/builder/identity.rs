//! Which session one is that a task opens: what it is, and so what ids it gets.

use super::Session;
use crate::ids::{SessionId, TaskId};
use serde_json::json;
use uuid::Uuid;

/// Where ids of sessions come from that tasks open.
const OPENED: Uuid = uuid::uuid!("6c1f0d2e-5b0a-5f57-9d0b-9d6d8a1f3b52");

impl Session {
    /// Gives it and all that is in it ids that follow from who opens it, and from what it is: the `nth` session
    /// [of this content](Self::content_id) that the run `run` of the task `opener` opens. Opened again by an
    /// execution that is repeated it is the same session, and no other; what differs from the one before is another
    /// session. A worker's context does this by itself, so the [id](Self::id) from before means nothing then. Ids
    /// that were chosen by the sender stay.
    ///
    /// ```
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Harvest { page: u32 }
    /// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Publish { session: Option<counterfoil_toolbox::session::SessionSummary> }
    /// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
    /// use counterfoil_toolbox::{TaskId, session::Session};
    ///
    /// let opener = TaskId::new("nightly-17")?;
    /// let open = || Session::new("harvest", Publish { session: None }).map(|it| it.opened_by(&opener, 1, 0));
    /// assert_eq!(open()?.id(), open()?.id()); // without it they would be two
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn opened_by(mut self, opener: &TaskId, run: i32, nth: u32) -> Self {
        let of_opener = Uuid::new_v5(&OPENED, format!("{opener} {run} {nth}").as_bytes());
        let space = Uuid::new_v5(&of_opener, self.content_id().as_bytes());
        let id = |what: &str| Uuid::new_v5(&space, what.as_bytes());
        self.id = SessionId::from(id("session"));
        for (n, part) in self.parts.iter_mut().enumerate() {
            let options = std::mem::take(&mut part.options).session(&self.id);
            part.options = match part.has_own_id {
                true => options,
                false => options.id(id(&format!("subtask {n}")).into()),
            };
        }
        self.derived_finalizer = Some(id("finalizer").into());
        self
    }

    /// What it is, as an id: its action, [key](Self::key), policy and times, and its tasks in order, with their
    /// arguments and options. Of ids only those count that the sender chose.
    ///
    /// An `eta` or `expires` of a task does not count: mostly it is reckoned from the time of day, so an execution
    /// that is repeated would open another session, and all would be done twice. Sessions that differ in nothing
    /// else need a key.
    #[must_use]
    pub fn content_id(&self) -> Uuid {
        Uuid::new_v5(&OPENED, self.content().as_bytes())
    }

    /// The same as text: a line of JSON for the session, and one for each task.
    fn content(&self) -> String {
        let own = json!([
            self.action,
            self.key,
            self.policy.as_str(),
            self.estimated,
            self.buffer,
            self.takes_summary,
        ]);
        let mut text = format!("{own}\n");
        let parts = self.parts.iter().map(|part| (&part.task, &part.options));
        let all = std::iter::once((&self.finalizer, &self.finalizer_options)).chain(parts);
        for (n, (task, options)) in all.enumerate() {
            let own = n == 0 || self.parts[n - 1].has_own_id;
            let id = options.id.as_ref().filter(|_| own);
            let line = json!([task.name, task.args, task.kwargs, id, options.lasting()]);
            text.push_str(&format!("{line}\n"));
        }
        text
    }
}
