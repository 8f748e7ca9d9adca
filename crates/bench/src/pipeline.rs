//! `pipeline`: send N tasks, run them, until the last result is in the database and every row is
//! complete. Counted from the first send; worker and daemon wait on empty queues by then. Single
//! times: from the send of a task to its confirm, under the load of all the rest.

use crate::mirrored::{Rows, daemon};
use crate::publish::send;
use crate::report::Report;
use crate::setting::Setting;
use crate::worker::{self, CAUTION, Progress};
use counterfoil_toolbox::{Producer, TaskState};
use std::time::Instant;

/// Measures the whole way.
///
/// # Errors
/// When broker or database cannot be reached, or rows are missing.
pub async fn pipeline(amqp_url: &str, database_url: &str, tasks: usize) -> anyhow::Result<Report> {
    let rows = Rows::open(database_url).await?;
    let setting = Setting::create(amqp_url).await?;
    let running = daemon(&setting, rows.store.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = worker::run(&setting, Progress::new(tasks), async {
        drop(stopped.await)
    });
    let measuring = async {
        // Warm: the consumers of worker and daemon hold their whole prefetch.
        tokio::time::sleep(CAUTION * 2).await;
        let producer = Producer::new(setting.transport.clone(), setting.names.clone());
        let start = Instant::now();
        let latencies = send(&producer, tasks).await?;
        rows.wait_for(Some(TaskState::Success), tasks, |_| ())
            .await?;
        let report = Report::new("pipeline", tasks, start.elapsed(), latencies);
        anyhow::ensure!(
            rows.count(None).await? == tasks,
            "there are rows that nobody sent"
        );
        drop(stop);
        anyhow::Ok(report)
    };
    let (report, worked) = tokio::join!(measuring, working);
    worked?;
    running.stop().await?;
    setting.remove().await?;
    report
}
