//! `publish`: N confirmed, tracked sends. Single times: from the send to its confirm.

use crate::report::{Latencies, Report};
use crate::setting::Setting;
use crate::task::ExportProject;
use counterfoil_toolbox::Producer;
use futures::StreamExt as _;
use std::time::Instant;

/// Sends under way at a time, as many as the peers have.
const UNDER_WAY: usize = 1000;

/// Sends `tasks` tasks through `producer`, many confirms under way at a time.
///
/// # Errors
/// The first send that fails.
pub(crate) async fn send(producer: &Producer, tasks: usize) -> anyhow::Result<Latencies> {
    let one = |_| async {
        let start = Instant::now();
        producer.send(ExportProject::example()).await?;
        Ok::<_, anyhow::Error>(start.elapsed())
    };
    let mut sends = futures::stream::iter(0..tasks)
        .map(one)
        .buffer_unordered(UNDER_WAY);
    let mut latencies = Latencies::default();
    while let Some(time) = sends.next().await {
        latencies.push(time?);
    }
    Ok(latencies)
}

/// Measures sending.
///
/// # Errors
/// When the broker cannot be reached or does not accept a task.
pub async fn publish(amqp_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let setting = Setting::create(amqp_url).await?;
    let producer = Producer::new(setting.transport.clone(), setting.names.clone());
    let start = Instant::now();
    let latencies = send(&producer, tasks).await?;
    let report = Report::new("publish", tasks, start.elapsed(), latencies);
    setting.remove().await?;
    Ok(report)
}
