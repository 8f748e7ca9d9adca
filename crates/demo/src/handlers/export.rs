//! The handler that exports a project.

use crate::export::{self, ExportFolder};
use crate::tasks::{ExportProject, Exported};
use counterfoil_worker::{Context, TaskError};

pub(crate) fn project(task: ExportProject, cx: Context) -> Result<Exported, TaskError> {
    let folder = cx.state::<ExportFolder>();
    Ok(export::write(&task, cx.task_id(), folder.path())?)
}
