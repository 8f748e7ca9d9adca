//! A worker in this process, for tasks that the demo worker does not know.

use crate::platform::PATIENCE;
use counterfoil_testkit::patience;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_worker::{Context, TaskError, Worker};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Takes whatever it is sent.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Anything {
    #[serde(default)]
    first: serde_json::Value,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Task for Anything {
    const NAME: &'static str = "nobody.listens";
    type Output = ();
}

/// Ids of the tasks that ran, and their number for those who wait.
#[derive(Clone)]
struct Ran(Arc<Mutex<Vec<String>>>, watch::Sender<usize>);

async fn note(_: Anything, cx: Context) -> Result<(), TaskError> {
    let Ran(ids, count) = cx.state::<Ran>().clone();
    ids.lock()
        .expect("no code panics while it holds the lock")
        .push(cx.task_id().to_string());
    count.send_modify(|n| *n += 1);
    Ok(())
}

/// Runs a worker for `name` until `wanted` tasks ran and one second more, and returns their ids.
pub(crate) async fn serve(
    broker: &BrokerSettings,
    name: &str,
    wanted: usize,
) -> anyhow::Result<Vec<String>> {
    let (count, mut counted) = watch::channel(0);
    let ran = Ran(Arc::default(), count);
    let transport = AmqpTransport::new(broker)?;
    let worker = Worker::builder(transport, broker.names()?, WorkerSettings::default())
        .state(ran.clone())
        .handle_as(name, note)
        .build()?;
    let enough = async {
        // The sender lives in `ran`, so waiting cannot fail.
        let waited =
            tokio::time::timeout(patience(PATIENCE), counted.wait_for(|n| *n >= wanted)).await;
        drop(waited);
        // A second copy would be there by now.
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    worker.run_until(enough).await;
    let ids = ran
        .0
        .lock()
        .expect("no code panics while it holds the lock")
        .clone();
    Ok(ids)
}
