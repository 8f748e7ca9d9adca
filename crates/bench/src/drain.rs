//! `drain`: an empty handler, a full quorum queue; every task reported and acknowledged.
//!
//! Counted from the moment when the consumer holds its whole prefetch, a second after its start:
//! until then it takes one message at a time, in case one of them is poison. Single times: between
//! the start of one handler and of the next.

use crate::publish::send;
use crate::report::{Latencies, Report};
use crate::setting::Setting;
use crate::worker::{self, Progress};
use anyhow::Context as _;
use counterfoil_toolbox::Producer;

/// Measures a worker on a full queue.
///
/// # Errors
/// When the broker cannot be reached, or tasks are left in the queue.
pub async fn drain(amqp_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let setting = Setting::create(amqp_url).await?;
    send(
        &Producer::new(setting.transport.clone(), setting.names.clone()),
        tasks,
    )
    .await?;
    let progress = Progress::new(tasks);
    let exit = worker::run(&setting, progress.clone(), progress.finished()).await?;
    let (start, before) = progress.wide().context("no task ran")?;
    let elapsed = start.elapsed();
    let left = setting.ready(&setting.service_queue()).await?;
    anyhow::ensure!(left == 0, "{left} tasks were left behind: {exit}");
    let mut latencies = Latencies::default();
    progress
        .gaps()
        .into_iter()
        .for_each(|gap| latencies.push(gap));
    let mut report = Report::new("drain", tasks - before, elapsed, latencies);
    report.tasks = tasks;
    setting.remove().await?;
    Ok(report)
}
