//! What an execution leaves for the next one.

use super::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest checkpoint, in bytes of JSON. Headers must fit one frame of 128 KiB, all of them together.
const MAX_CHECKPOINT: usize = 32 * 1024;

/// A checkpoint that cannot be kept, or cannot be read.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct CopyAll { files: u32 }
/// # impl counterfoil_toolbox::Task for CopyAll { const NAME: &'static str = "files.copy_all"; type Output = u32; }
/// use counterfoil_worker::CheckpointError;
///
/// async fn copy_all(_: CopyAll, cx: Context) -> Result<u32, TaskError> {
///     let copied = vec!["a-long-name.tif"; 5000];
///     match cx.checkpoint(&copied) {
///         Err(CheckpointError::TooLarge { bytes }) => Ok(u32::try_from(bytes)?),
///         other => Ok(other.map(|()| 0)?),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(CopyAll { files: 5000 }).by(|worker| worker.handle(copy_all)).await?;
/// assert!(*done.output() > 32 * 1024); // keep the number of files instead
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is no JSON, or not that of the type that was asked for.
    #[error("the checkpoint cannot be written or read as JSON")]
    Json(#[source] serde_json::Error),
    /// Keep it elsewhere, and leave its name or key here.
    #[error("the checkpoint takes {bytes} bytes; at most 32 KiB are kept")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Context {
    /// Leaves something for the next execution of this task, which finds it as
    /// [`Self::last_checkpoint`]. The latest counts.
    ///
    /// It travels with the message of a retry, and with a task whose handler leaves when a draining
    /// worker [asks it to](Self::cancelled). A worker that dies, or a handler that has to be dropped,
    /// leaves what the message had when it came: the checkpoint of the last retry.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct CopyAll { files: u32 }
    /// # impl counterfoil_toolbox::Task for CopyAll { const NAME: &'static str = "files.copy_all"; type Output = u32; }
    /// async fn copy_all(_: CopyAll, cx: Context) -> Result<u32, TaskError> {
    ///     cx.checkpoint(&3)?;
    ///     Err(TaskError::retry("the disk is full"))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let first = Perform::new(CopyAll { files: 5 }).by(|worker| worker.handle(copy_all)).await?;
    /// assert_eq!(first.checkpoint::<u32>()?, Some(3)); // what the retry finds
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CheckpointError`] when it cannot be written as JSON, or takes more than 32 KiB.
    pub fn checkpoint(&self, state: &impl Serialize) -> Result<(), CheckpointError> {
        let json = serde_json::to_string(state).map_err(CheckpointError::Json)?;
        if json.len() > MAX_CHECKPOINT {
            return Err(CheckpointError::TooLarge { bytes: json.len() });
        }
        self.held.set_checkpoint(json.into());
        Ok(())
    }

    /// What an earlier execution of this task left, or this one. `None`: nothing.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct CopyAll { files: u32 }
    /// # impl counterfoil_toolbox::Task for CopyAll { const NAME: &'static str = "files.copy_all"; type Output = u32; }
    /// async fn copy_all(task: CopyAll, cx: Context) -> Result<u32, TaskError> {
    ///     let begin = cx.last_checkpoint()?.unwrap_or(0);
    ///     for file in begin..task.files {
    ///         // … copy it, and then:
    ///         cx.checkpoint(&(file + 1))?;
    ///     }
    ///     Ok(task.files - begin)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let second = Perform::new(CopyAll { files: 5 }).attempt(2).checkpoint(&3)?;
    /// let second = second.by(|worker| worker.handle(copy_all)).await?;
    /// assert_eq!(second.output(), &2); // three were copied by the first
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CheckpointError::Json`] when it is no `T`: perhaps an older version of the handler left it.
    pub fn last_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, CheckpointError> {
        let json = self.held.checkpoint();
        let state = json.map(|json| serde_json::from_str(&json));
        state.transpose().map_err(CheckpointError::Json)
    }
}
