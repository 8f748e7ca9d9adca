//! The message that a task came by.

use super::Context;
use crate::extension::Subject;
use counterfoil_toolbox::message::Properties;

impl Context {
    /// The message that this task came by: its headers, its arguments as JSON, and by which queue it came.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Import { rows: u32 }
    /// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = String; }
    /// async fn import(_: Import, cx: Context) -> Result<String, TaskError> {
    ///     let message = cx.message();
    ///     let tenant = message.envelope.extra.text("tenant"); // a header that the sender added
    ///     Ok(format!("{} by {}", tenant.unwrap_or("nobody"), message.queue))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Import { rows: 3 }).by(|worker| worker.handle(import)).await?;
    /// assert_eq!(done.output(), "nobody by parcels");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn message(&self) -> Subject<'_> {
        let mut subject = Subject::of(&self.shared, &self.held, self.executions, None);
        subject.lineage = self.lineage();
        subject
    }

    /// What AMQP itself says of the message: its content type, who sent it from which application, its priority.
    /// `None`: the broker has taken the message back.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Import { rows: u32 }
    /// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = bool; }
    /// async fn import(_: Import, cx: Context) -> Result<bool, TaskError> {
    ///     let properties = cx.properties();
    ///     Ok(properties.is_some_and(|it| it.app_id.as_deref() == Some("portal")))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Import { rows: 3 }).by(|worker| worker.handle(import)).await?;
    /// assert_eq!(done.output(), &false);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn properties(&self) -> Option<Properties> {
        self.held.content().map(|content| content.properties)
    }
}
