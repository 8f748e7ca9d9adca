//! Where a task comes from and what it is about.

use super::SendOptions;
use crate::ids::{SessionId, TaskId};
use crate::telemetry::TraceContext;

impl SendOptions {
    /// Makes the task a child of `parent` in the family of `root`.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::{TaskId, producer::SendOptions};
    ///
    /// // Where there is no `Context` to do it: what a message of another system asked for, say.
    /// let (parent, root) = (TaskId::new("import-17.part-3")?, TaskId::new("import-17")?);
    /// let options = SendOptions::new().child_of(parent, root);
    /// let draft = Draft::of(&Export { project: 17 }, options, Utc::now())?;
    /// assert_eq!(draft.content.headers.text("parent_id"), Some("import-17.part-3"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn child_of(mut self, parent: TaskId, root: TaskId) -> Self {
        self.parent = Some((parent, root));
        self
    }

    /// Session that the task is part of: one that lists its id. Only for subtasks that are sent once more;
    /// [`Session`](crate::session::Session) does this by itself.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::{SessionId, TaskId, message::names, producer::SendOptions};
    ///
    /// let (session, id) = (SessionId::new("harvest-7")?, TaskId::new("page-3")?); // of `StartedSession::unsent`
    /// let options = SendOptions::new().session(&session).id(id);
    /// let draft = Draft::of(&Export { project: 17 }, options, Utc::now())?;
    /// assert_eq!(draft.content.headers.text(names::SESSION), Some("harvest-7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session(mut self, id: &SessionId) -> Self {
        self.session_id = Some(id.clone());
        self
    }

    /// As a subtask of a session, under an id that the session's opening can list: `unique_for` means nothing
    /// there.
    pub(crate) fn in_session(mut self, session: &SessionId) -> Self {
        self.id.get_or_insert_with(TaskId::random);
        self.session(session)
    }

    /// Who wants the task, as the platform names its users.
    pub fn creator(mut self, creator: impl Into<String>) -> Self {
        self.creator = Some(creator.into());
        self
    }

    /// The object that the task is about: `("project", "17")`.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::{message::names, producer::SendOptions};
    ///
    /// let options = SendOptions::new().creator("anna").related("project", "17");
    /// let draft = Draft::of(&Export { project: 17 }, options, Utc::now())?;
    /// assert_eq!(draft.content.headers.text(names::CREATOR), Some("anna"));
    /// assert_eq!(draft.content.headers.text(names::RELATED), Some("project:17"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn related(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.related = Some((kind.into(), id.into()));
        self
    }

    /// Name that is unique among the living tasks of this type.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::Draft;
    /// # use chrono::Utc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Export { project: u32 }
    /// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
    /// use counterfoil_toolbox::producer::SendOptions;
    ///
    /// let options = SendOptions::new().identifier("project 17"); // a second one is revoked while it lives
    /// let draft = Draft::of(&Export { project: 17 }, options, Utc::now())?;
    /// assert_eq!(draft.identifier(), Some("project 17"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn identifier(mut self, identifier: impl Into<String>) -> Self {
        self.identifier = Some(identifier.into());
        self
    }

    /// The task's result is (part of) the result of its family.
    pub fn family_result(mut self) -> Self {
        self.is_result = true;
        self
    }

    /// The trace that the task is part of, as its message says it. Default: that of the current span, when
    /// traces are exported (feature `otlp`); else that of the parent.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The trace of the parent, for where no span is current. A worker's context does this by itself.
    pub fn parent_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.inherited_trace = trace;
        self
    }

    /// What a span of the sender belongs to, if that is not the current span.
    pub(in crate::producer) fn remote_trace(&self) -> Option<TraceContext> {
        let inherited = || match TraceContext::current() {
            Some(_) => None,
            None => self.inherited_trace.clone(),
        };
        self.trace.clone().or_else(inherited)
    }

    /// What the message says.
    pub(crate) fn trace_of_message(&self) -> Option<TraceContext> {
        let said = self.trace.clone().or_else(TraceContext::current);
        said.or_else(|| self.inherited_trace.clone())
    }
}
