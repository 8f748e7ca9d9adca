use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, Task};
use counterfoil_worker::{Context, TaskError, Worker};

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

async fn work(broker: &BrokerSettings) -> anyhow::Result<i32> {
    let (transport, names) = (AmqpTransport::new(broker)?, broker.names()?);
    let worker = Worker::builder(transport, names, WorkerSettings::default()).handle(thumbnail).build()?;
    Ok(worker.run().await.code()) // until SIGTERM, which lets running tasks finish
}

async fn produce(broker: &BrokerSettings) -> anyhow::Result<()> {
    let producer = Producer::new(AmqpTransport::new(broker)?, broker.names()?);
    let task = Thumbnail { path: "parcel.png".to_owned(), width: 200 };
    let handle = producer.send(task).await?; // confirmed: stored by the broker, and tracked
    println!("scheduled {}", handle.id());
    Ok(())
}
