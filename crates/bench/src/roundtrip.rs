//! `roundtrip`: one send at a time, until its SUCCESS event arrives at a private queue on
//! `task_events`. Single times: from the send to that event.

use crate::report::{Latencies, Report};
use crate::setting::Setting;
use crate::task::ExportProject;
use crate::worker::{self, CAUTION, Progress};
use counterfoil_toolbox::Producer;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Measures the way there and back.
///
/// # Errors
/// When the broker cannot be reached, or a task fails.
pub async fn roundtrip(amqp_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let setting = Setting::create(amqp_url).await?;
    let producer =
        Producer::listening(setting.transport.clone(), setting.names.clone(), "bench").await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = worker::run(&setting, Progress::new(tasks + 1), async {
        drop(stopped.await)
    });
    let measuring = async {
        // Warm: connections are open, the consumer holds its whole prefetch.
        producer
            .send(ExportProject::example())
            .await?
            .result(PATIENCE)
            .await?;
        tokio::time::sleep(CAUTION).await;
        let mut latencies = Latencies::default();
        let start = Instant::now();
        for _ in 0..tasks {
            let sent = Instant::now();
            producer
                .send(ExportProject::example())
                .await?
                .result(PATIENCE)
                .await?;
            latencies.push(sent.elapsed());
        }
        let report = Report::new("roundtrip", tasks, start.elapsed(), latencies);
        drop(stop);
        anyhow::Ok(report)
    };
    let (report, ended) = tokio::join!(measuring, working);
    ended?;
    setting.remove().await?;
    report
}
