//! What the worker does for each task.

use crate::tasks::{Line, TotalInvoice, WriteInvoice};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use std::path::PathBuf;

/// What the handlers share: a pool of connections, a client, or as here a folder.
#[derive(Debug, Clone)]
pub struct Archive(pub PathBuf);

/// Adds every handler, and what they share, to a worker that is being built.
pub fn register(builder: WorkerBuilder, archive: Archive) -> WorkerBuilder {
    builder
        .state(archive)
        .handle(total)
        // It writes files: such a handler gets a thread of its own.
        .handle_blocking(write)
}

async fn total(task: TotalInvoice, _: Context) -> Result<u64, TaskError> {
    sum(&task.lines)
}

fn write(task: WriteInvoice, cx: Context) -> Result<String, TaskError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if task.number.is_empty() || !task.number.chars().all(allowed) {
        // The next attempt would end like this one: no retry.
        let text = format!("{:?} is no number of an invoice", task.number);
        return Err(TaskError::fail(text));
    }
    let mut text = format!("Invoice {}\n\n", task.number);
    for line in &task.lines {
        let Line {
            text: what,
            quantity,
            cents,
        } = line;
        text.push_str(&format!(
            "{quantity:>6} × {what:<40} {:>10}\n",
            money(*cents)
        ));
    }
    text.push_str(&format!("\nTotal {}\n", money(sum(&task.lines)?)));
    text.push_str(&task.remark.unwrap_or_default());
    cx.progress(1, 2, "laid out");

    // Tasks run at least once, so a second time must do no harm: it writes the same file again.
    let Archive(folder) = cx.state();
    let path = folder.join(format!("{}.txt", task.number));
    // Any other error means: try again later, up to `max_retries` times.
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

fn sum(lines: &[Line]) -> Result<u64, TaskError> {
    if lines.is_empty() {
        return Err(TaskError::fail("an invoice has at least one line"));
    }
    let sum = lines.iter().try_fold(0_u64, |sum, line| {
        sum.checked_add(line.cents.checked_mul(line.quantity.into())?)
    });
    sum.ok_or_else(|| TaskError::fail("the sum has more than 64 bits"))
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
