//! A task without its type.

use super::error::SendError;
use super::options::SendOptions;
use super::result::RawHandle;
use super::send::Producer;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::task::Task;

/// A task that is not known as a Rust type: from the command line, from JSON.
///
/// ```
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::producer::RawTask;
///
/// let task = RawTask::of(&Add { x: 2, y: 3 })?;
/// assert_eq!((task.name.as_str(), &*task.kwargs), ("demo.add", r#"{"x":2,"y":3}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RawTask {
    /// Its name.
    pub name: TaskName,
    /// Arguments by position: a JSON array.
    pub args: String,
    /// Arguments by keyword: a JSON object.
    pub kwargs: String,
}

impl RawTask {
    /// A typed task as JSON text.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be written as JSON.
    pub fn of<T: Task>(task: &T) -> Result<Self, SendError> {
        let name = TaskName::new(T::NAME)?;
        match serde_json::to_string(task) {
            Ok(kwargs) => Ok(Self {
                name,
                args: "[]".to_owned(),
                // A struct without fields may write itself as null.
                kwargs: if kwargs == "null" {
                    "{}".to_owned()
                } else {
                    kwargs
                },
            }),
            Err(source) => Err(SendError::Arguments { task: name, source }),
        }
    }
}

impl Producer {
    /// Sends a task by name, its arguments as JSON text.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// use counterfoil_toolbox::producer::{RawTask, SendOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// let task = RawTask {
    ///     name: "demo.add".parse()?,
    ///     args: "[2]".to_owned(),
    ///     kwargs: r#"{"y": 3}"#.to_owned(),
    /// };
    /// let id = producer.send_raw(task, SendOptions::new()).await?;
    /// # assert!(id.as_uuid().is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_raw(&self, task: RawTask, options: SendOptions) -> Result<TaskId, SendError> {
        Ok(self.send_raw_awaited(task, options).await?.id().clone())
    }

    /// Sends a task by name; the handle of a listening producer can be asked for its result.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_raw_awaited(
        &self,
        task: RawTask,
        options: SendOptions,
    ) -> Result<RawHandle, SendError> {
        self.begin(task, options).await?.confirmed().await
    }
}
