use counterfoil_toolbox::config::{BrokerSettings, Config, LoadOptions, Role};
use counterfoil_toolbox::start::{self, StartError, prepare_queues};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, Task};
use counterfoil_worker::{Context, TaskError, Worker};
use std::time::Duration;

/// The fields are the arguments, by keyword or in this order.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Thumbnail {
    path: String,
    width: u32,
}

impl Task for Thumbnail {
    const NAME: &'static str = "image.thumbnail"; // service "image", queue "image"
    type Output = u64;
}

async fn thumbnail(task: Thumbnail, cx: Context) -> Result<u64, TaskError> {
    let image = tokio::fs::read(&task.path).await?; // an error: retried with backoff, then dead
    cx.progress(1, 2, "read");
    Ok(image.len() as u64 / u64::from(task.width))
}

/// The worker's: a stack that hostile messages cannot overflow, and exit codes for its supervisor.
fn main() {
    start::main(|| async { work(&Config::load(LoadOptions::from_process(Role::Worker))?).await })
}

async fn work(config: &Config) -> Result<i32, StartError> {
    let transport = AmqpTransport::new(&config.broker).map_err(StartError::setup)?;
    let worker = Worker::builder(transport.clone(), config.broker.names()?, config.worker.clone());
    let worker = worker.broker(&config.broker).handle(thumbnail);
    let worker = worker.build().map_err(StartError::setup)?;
    prepare_queues(&*transport, config, worker.queues()).await?;
    Ok(worker.run().await.code()) // until SIGTERM, which lets running tasks finish
}

async fn produce(broker: &BrokerSettings, path: String) -> anyhow::Result<u64> {
    let producer = Producer::listening(AmqpTransport::new(broker)?, broker.names()?, "shop").await?;
    let mut handle = producer.send(Thumbnail { path, width: 200 }).await?; // confirmed: stored, and tracked
    println!("scheduled {}", handle.id());
    Ok(handle.result(Duration::from_secs(60)).await?) // most producers need not wait
}
