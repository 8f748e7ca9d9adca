//! What the worker does for each task.

use crate::settings::Settings;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use abacus_tasks::{CountAll, CountWords};

/// How long a document that is not there yet is given to come.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// Adds every handler, and what they share, to a worker that is being built.
pub fn register(worker: WorkerBuilder, settings: Settings) -> WorkerBuilder {
    worker
        // Handlers get it by its type. A pool of connections or a client goes the same way.
        .state(settings)
        .handle(count_all)
        // It reads files: such a handler gets a thread of its own.
        .handle_blocking(count_words)
}

/// Tasks run at least once, so a second time must do no harm: this one sends its children under the
/// same ids then, and the platform keeps one row for each.
async fn count_all(task: CountAll, cx: Context) -> Result<usize, TaskError> {
    let total = task.documents.len();
    for (number, document) in (1..).zip(task.documents) {
        let id = format!("{}.{}.{number}", cx.task_id(), cx.lineage().run).parse()?;
        let child = CountWords {
            document,
            at_least: 0,
        };
        let options = SendOptions::new().id(id);
        cx.send_with(child, options).await?;
        cx.progress(number, i64::try_from(total)?, "scheduled");
    }
    Ok(total)
}

fn count_words(task: CountWords, cx: Context) -> Result<usize, TaskError> {
    let path = file(&task.document, &cx)?;
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why = format!("{}: {error}", path.display());
            return Err(TaskError::retry_after(why, ON_ITS_WAY));
        }
        // Any other error means: again, with the task's backoff, up to `max_retries` times.
        read => read?,
    };
    let words = text.split_whitespace();
    let counts = |word: &&str| word.chars().count() >= task.at_least;
    let count = words.filter(counts).count();
    // Into the program's log, and into the task's own: `counterfoil task log ID`.
    tracing::info!(count, "words are counted");
    Ok(count)
}

/// Where a document is. What leads out of the folder is refused, whoever asks for it.
fn file(document: &str, cx: &Context) -> Result<PathBuf, TaskError> {
    let path = Path::new(document);
    let mut parts = path.components();
    if document.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        // The next attempt would end like this one: no retry.
        let why = format!("{document:?} is no file of the folder");
        return Err(TaskError::fail(why));
    }
    Ok(cx.state::<Settings>().documents.join(path))
}
