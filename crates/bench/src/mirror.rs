//! `mirror`: rows per second from a full tracking queue.
//!
//! Counted, like `drain`, from a second after the first row. Single times: between one look at the
//! number of rows and the next one that found more, so they show whether the flow is even.

use crate::mirrored::{Rows, daemon};
use crate::publish::send;
use crate::report::{Latencies, Report};
use crate::setting::Setting;
use crate::worker::CAUTION;
use anyhow::Context as _;
use counterfoil_toolbox::Producer;
use std::time::Instant;

/// Measures the daemon on a full tracking queue.
///
/// # Errors
/// When broker or database cannot be reached, or rows are missing.
pub async fn mirror(amqp_url: &str, database_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let rows = Rows::open(database_url).await?;
    let setting = Setting::create(amqp_url).await?;
    send(
        &Producer::new(setting.transport.clone(), setting.names.clone()),
        tasks,
    )
    .await?;

    let running = daemon(&setting, rows.store.clone());
    let (mut first, mut wide, mut last) = (None, None, None);
    let mut latencies = Latencies::default();
    rows.wait_for(None, tasks, |there| {
        let now = Instant::now();
        if there == 0 || last.is_some_and(|(_, seen)| seen == there) {
            return;
        }
        let started = *first.get_or_insert(now);
        if wide.is_none() && now.duration_since(started) >= CAUTION {
            wide = Some((now, there));
        }
        if let Some((at, _)) = last.replace((now, there)) {
            latencies.push(now.duration_since(at));
        }
    })
    .await?;
    let (start, first) = wide
        .filter(|(_, first)| *first < tasks)
        .or(first.map(|at| (at, 0)))
        .context("no row appeared")?;
    let mut report = Report::new("mirror", tasks - first, start.elapsed(), latencies);
    report.tasks = tasks;
    running.stop().await?;
    setting.remove().await?;
    Ok(report)
}
