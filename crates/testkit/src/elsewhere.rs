//! Async work from within `drop`, which cannot wait for it on the runtime that it may be running on.

use std::future::Future;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};

/// How long dropping something may take. A broker that a test has frozen never answers.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs `work` on a thread and a runtime of its own, and waits for it.
pub(crate) fn wait_for(
    work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> anyhow::Result<()> {
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            tokio::time::timeout(DEADLINE, work)
                .await
                .with_context(|| format!("not done within {DEADLINE:?}"))?
        })
    });
    thread.join().map_err(|_| anyhow!("the work panicked"))?
}
