//! Handlers that schedule tasks.

use crate::tasks::Tree;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_worker::{Context, TaskError};
use futures::stream::{self, StreamExt, TryStreamExt};
use uuid::Uuid;

/// Children whose confirms may be under way at the same time.
const SENDS_UNDER_WAY: usize = 100;

pub(crate) async fn tree(task: Tree, cx: Context) -> Result<u32, TaskError> {
    if task.descendants().is_none() {
        let text = format!("more than {} descendants", Tree::MAX_DESCENDANTS);
        return Err(TaskError::fail(text));
    }
    let Some(depth) = task.depth.checked_sub(1) else {
        return Ok(0);
    };
    let child = Tree { depth, ..task };
    let send = |index| {
        let options = SendOptions::new().id(child_id(&cx, index));
        cx.send_with(child, options)
    };
    let sent = stream::iter(0..task.width).map(send);
    let sent = sent.buffer_unordered(SENDS_UNDER_WAY);
    let count = sent.try_fold(0, async |count, _| Ok(count + 1)).await?;
    Ok(count)
}

/// The same id whenever this run is repeated: a worker that is lost half-way through makes its
/// successor send the same children again, not more of them.
fn child_id(cx: &Context, index: u32) -> TaskId {
    let name = format!("{}/{}/{index}", cx.task_id(), cx.lineage().run);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).into()
}
