//! Waiting for what a daemon does.

use super::{SOON, World};
use anyhow::Context;
use counterfoil_store::record::{ParkedRow, TaskRow};
use counterfoil_store::{ParkedFilter, TaskFilter};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use std::sync::Arc;

impl World {
    /// Waits until the task's row is in this state, and returns it.
    pub(crate) async fn row_in(&self, id: &str, state: TaskState) -> anyhow::Result<TaskRow> {
        let what = format!("task {id} to become {state}");
        eventually(&what, SOON, async || {
            let row = self.store.task(id).await?;
            Ok(row.filter(|row| row.state == state))
        })
        .await
    }

    /// Waits until so many messages are parked, and returns them.
    pub(crate) async fn parked(&self, count: usize) -> anyhow::Result<Vec<ParkedRow>> {
        let filter = ParkedFilter {
            limit: 1000,
            ..ParkedFilter::default()
        };
        let mut seen = 0;
        let what = format!("{count} parked messages");
        let rows = eventually(&what, SOON, async || {
            let rows = self.store.parked(&filter).await?;
            seen = rows.len();
            Ok((rows.len() >= count).then_some(rows))
        })
        .await
        .with_context(|| format!("{seen} are parked"))?;
        anyhow::ensure!(rows.len() == count, "{} messages are parked", rows.len());
        Ok(rows)
    }

    /// Waits until nobody consumes a queue and everything was given back to it: at least so many
    /// messages, since canaries may be among them.
    pub(crate) async fn given_back(&self, queue: &QueueName, count: u32) -> anyhow::Result<()> {
        let what = format!("{count} messages to be back in {queue}");
        eventually(&what, SOON, async || {
            let depth = self.transport.depth(queue).await?;
            let back = depth.filter(|depth| depth.ready >= count && depth.consumers == 0);
            Ok(back.map(drop))
        })
        .await
    }

    /// Waits until a queue holds nothing. Canaries do not count: the leader sends them when it likes,
    /// also just before it is stopped.
    pub(crate) async fn emptied(&self, queue: &QueueName) -> anyhow::Result<()> {
        eventually(&format!("{queue} to be empty"), SOON, async || {
            let depth = self.transport.depth(queue).await?.context("the queue")?;
            if depth.ready == 0 {
                return Ok(Some(()));
            }
            if depth.consumers == 0 {
                let options = SubscribeOptions::new(queue.clone(), 1);
                let mut reader = Subscription::open(Arc::clone(&self.transport), options);
                let delivery = tokio::time::timeout(SOON, reader.next()).await?;
                let delivery = delivery.context("a message")?;
                let is_canary = format!("{:?}", delivery.content).contains("platform.canary");
                anyhow::ensure!(is_canary, "left in {queue}: {:?}", delivery.content);
                let _ = delivery.ack();
                reader.close().await;
            }
            Ok(None)
        })
        .await
    }

    /// Waits until a queue holds so many messages that are ready.
    pub(crate) async fn ready(&self, queue: &QueueName, count: u32) -> anyhow::Result<()> {
        let what = format!("{count} messages in {queue}");
        eventually(&what, SOON, async || {
            let depth = self.transport.depth(queue).await?;
            Ok(depth.filter(|depth| depth.ready == count).map(drop))
        })
        .await
    }

    /// Every row that matters, as comparable text, without what differs from run to run.
    pub(crate) async fn rows(&self) -> anyhow::Result<Vec<String>> {
        let filter = TaskFilter {
            limit: 1000,
            ..TaskFilter::default()
        };
        let mut rows = Vec::new();
        for row in self.store.tasks(&filter).await? {
            let result = self.store.result(&row.task_id, row.run).await?;
            let result = result.map(|r| (r.status, r.result.map(|json| json.get().to_owned())));
            rows.push(format!(
                "{} {} {} {} {:?} {:?} {result:?}",
                row.task_id,
                row.state,
                row.attempt(),
                row.event_id,
                row.input.map(|json| json.to_value().to_string()),
                row.worker,
            ));
        }
        rows.sort();
        Ok(rows)
    }
}
