//! Workers as processes: stopped in the middle, replaced, killed by their tasks, blocked by them.

mod blocking;
mod leases;
mod poison;
mod stopping;

use crate::platform::Platform;
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{Producer, RawTask, SendOptions};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(150);

/// A platform on the servers of all tests, and where it is.
pub(crate) async fn platform() -> anyhow::Result<(Vhost, Database, Platform)> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let platform = Platform::init(&vhost.amqp_url(), database.url())?;
    Ok((vhost, database, platform))
}

/// Sends a task of the service `demo`, its arguments by keyword.
pub(crate) async fn send(producer: &Producer, name: &str, kwargs: &str) -> anyhow::Result<TaskId> {
    let task = RawTask {
        name: TaskName::new(name)?,
        args: "[]".to_owned(),
        kwargs: kwargs.to_owned(),
    };
    let sent = producer.send_raw(task, SendOptions::new()).await;
    sent.with_context(|| format!("{name} was not sent"))
}

/// Waits until this many executions have started.
async fn until_started(platform: &Platform, count: usize) -> anyhow::Result<()> {
    let what = format!("{count} executions to start");
    let started = async || Ok((platform.starts()?.len() >= count).then_some(()));
    eventually(&what, PATIENCE, started).await
}
