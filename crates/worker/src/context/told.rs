//! What a handler tells of its task: how far it is, and lines of its log.

use super::Context;
use crate::extension::Step;
use crate::outcome::cut;
use counterfoil_toolbox::event::{LogLine, Progress};
use serde_json::{Map, Value};
use tracing::Level;

/// Longest line of a log or of progress, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// Largest fields of a log line, in bytes of JSON.
const MAX_FIELDS: usize = 64 * 1024;

impl Context {
    /// Tells how far the task is. Only the latest matters: of many in a row, few are sent.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Import { rows: u32 }
    /// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
    /// async fn import(task: Import, cx: Context) -> Result<u32, TaskError> {
    ///     cx.progress(0, None, "counting the rows"); // of how many is not known yet
    ///     cx.progress(2, i64::from(task.rows), "rows");
    ///     Ok(task.rows)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Import { rows: 10 }).by(|worker| worker.handle(import)).await?;
    /// let progress = done.progress().expect("it told some");
    /// assert_eq!((progress.current, progress.total), (2, Some(10)));
    /// # Ok(()) }
    /// ```
    pub fn progress(&self, current: i64, total: impl Into<Option<i64>>, message: impl AsRef<str>) {
        let message = Some(cut(message.as_ref(), MAX_LINE)).filter(|text| !text.is_empty());
        let progress = Progress {
            current,
            total: total.into(),
            message,
        };
        let (live, executions) = (self.live, self.executions);
        let step = Step::Progress(&progress);
        self.shared.tell(&self.held, executions, &step);
        self.shared.reporter.progress(live, executions, progress);
    }

    /// Writes a line into the task's log, which the database keeps. `fields` is a JSON object,
    /// `null` for none. Lines are dropped, and counted, when far more are written than can be sent.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Import { rows: u32 }
    /// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
    /// use counterfoil_worker::Level;
    /// use serde_json::json;
    ///
    /// async fn import(task: Import, cx: Context) -> Result<u32, TaskError> {
    ///     cx.log(Level::WARN, "a row was left out", json!({"row": 17}));
    ///     Ok(task.rows - 1)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Import { rows: 20 }).by(|worker| worker.handle(import)).await?;
    /// let line = done.log().next().expect("one was written");
    /// assert_eq!((&*line.level, &*line.message), ("warn", "a row was left out"));
    /// assert_eq!(line.fields["row"], 17);
    /// # Ok(()) }
    /// ```
    pub fn log(&self, level: Level, message: impl AsRef<str>, fields: Value) {
        let line = LogLine {
            level: level.as_str().to_ascii_lowercase().into(),
            message: cut(message.as_ref(), MAX_LINE),
            fields: log_fields(fields),
        };
        self.shared.reporter.log(self.live, self.executions, line);
    }
}

/// Fields as an object: anything else becomes the field `value`; too large ones are left out.
fn log_fields(fields: Value) -> Map<String, Value> {
    let fields = match fields {
        Value::Null => return Map::new(),
        Value::Object(fields) => fields,
        value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Map::from_iter([("value".to_owned(), value)])
        }
    };
    match serde_json::to_string(&fields).map(|json| json.len()) {
        Ok(..=MAX_FIELDS) => fields,
        Ok(bytes) => Map::from_iter([("fields_too_large".to_owned(), bytes.into())]),
        Err(error) => Map::from_iter([("fields_unwritable".to_owned(), error.to_string().into())]),
    }
}
