//! Producers while their RabbitMQ is killed, frozen or short of memory, and afterwards.

use anyhow::Context as _;
use counterfoil_testkit::{RabbitNode, eventually, patience};
use counterfoil_toolbox::Producer;
use counterfoil_toolbox::config::{BreakerSettings, BrokerSettings};
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ServiceName, TaskName};
use counterfoil_toolbox::producer::{
    Availability, ProducerBuilder, RawTask, SendError, SendOptions,
};
use counterfoil_toolbox::state::{Lineage, TaskState};
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::topology::{self, ItemState, Names, QueueSettings, ServiceSettings};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use counterfoil_toolbox::{Task, TaskId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a broker may take to be back, or to be missed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a refusal may take.
const AT_ONCE: Duration = Duration::from_millis(50);

const RESET: Duration = Duration::from_secs(2);

/// For a confirm.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Add {
    x: i64,
}

impl Task for Add {
    const NAME: &'static str = "demo.add";
    type Output = i64;
}

fn names() -> Names {
    let names = BrokerSettings::default().names();
    names.expect("the default names are valid")
}

/// A broker with everything declared, and how to reach it.
struct Site {
    node: RabbitNode,
    broker: BrokerSettings,
}

impl Site {
    async fn start(confirm_timeout: Duration) -> anyhow::Result<Self> {
        let node = RabbitNode::start().await?;
        let broker = BrokerSettings {
            urls: vec![node.amqp_url("/").into()],
            confirm_timeout,
            connect_timeout: Duration::from_secs(2),
            ..BrokerSettings::default()
        };
        let site = Self { node, broker };
        let (transport, service) = (site.transport()?, ServiceName::new("demo")?);
        let mut items = topology::platform(&names(), QueueSettings::Arguments);
        items.extend(topology::service(
            &names(),
            &service,
            &ServiceSettings::default(),
        ));
        for found in topology::apply(&*transport, items).await? {
            anyhow::ensure!(
                found.state == ItemState::Applied,
                "{}: {:?}",
                found.item,
                found.state
            );
        }
        Ok(site)
    }

    fn transport(&self) -> anyhow::Result<Arc<AmqpTransport>> {
        Ok(AmqpTransport::new(&self.broker)?)
    }

    /// A process of its own, as far as connections go.
    fn builder(&self) -> anyhow::Result<ProducerBuilder> {
        let settings = BreakerSettings {
            reset_timeout: RESET,
            ..BreakerSettings::default()
        };
        let builder = Producer::builder(self.transport()?, names());
        Ok(builder.breaker(settings))
    }

    async fn tracked(&self) -> anyhow::Result<u32> {
        let depth = self.transport()?.depth(&names().tracking_queue).await?;
        Ok(depth.context("the tracking queue")?.ready)
    }
}

fn raw(n: usize) -> anyhow::Result<RawTask> {
    Ok(RawTask {
        name: TaskName::new("demo.add")?,
        args: format!("[{n}]"),
        kwargs: "{}".to_owned(),
    })
}

async fn until(producer: &Producer, is_available: bool) -> anyhow::Result<Availability> {
    let mut availability = producer.availability();
    let told = availability.wait_for(|known| known.is_available() == is_available);
    let told = tokio::time::timeout(patience(PATIENCE), told).await;
    Ok(told.context("nothing was told")??.clone())
}

/// Every way of sending is refused, and none takes longer than a person notices.
async fn assert_refused_at_once(producer: &Producer) -> anyhow::Result<()> {
    let delayed = SendOptions::new().countdown(Duration::from_secs(60));
    for n in 0..20 {
        let began = Instant::now();
        let mut errors = vec![
            producer.send(Add { x: 1 }).await.err(),
            producer
                .send_with(Add { x: 1 }, delayed.clone())
                .await
                .err(),
            producer.send_raw(raw(n)?, SendOptions::new()).await.err(),
        ];
        let all = producer.send_all((0..100).map(|x| Add { x })).await;
        errors.extend(all.into_iter().map(Result::err));
        anyhow::ensure!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
        for error in errors {
            let refused = matches!(error, Some(SendError::BrokerUnavailable { .. }));
            anyhow::ensure!(refused, "{error:?}");
        }
    }
    Ok(())
}

/// The first send after the broker is back, in time.
async fn assert_sends_again(producer: &Producer) -> anyhow::Result<()> {
    let back = Instant::now();
    eventually("the first send", RESET * 2, async || {
        match producer.send(Add { x: 1 }).await {
            Ok(_) => Ok(Some(())),
            Err(SendError::BrokerUnavailable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    anyhow::ensure!(back.elapsed() < patience(RESET * 2), "{:?}", back.elapsed());
    Ok(())
}

/// Sends while it can, and counts what was sent. Whatever else happens is a fault.
async fn send_until(producer: Producer, stop: CancellationToken) -> anyhow::Result<u32> {
    let mut sent = 0;
    while !stop.is_cancelled() {
        for outcome in producer.send_all((0..500).map(|x| Add { x })).await {
            match outcome {
                Ok(_) => sent += 1,
                Err(SendError::BrokerUnavailable { .. }) => {}
                Err(error) => anyhow::bail!("{error:?}"),
            }
        }
        until(&producer, true).await?;
    }
    Ok(sent)
}

/// What a worker would say of a task.
async fn report_success(transport: &dyn Transport, id: &TaskId, result: i64) -> anyhow::Result<()> {
    let kind = EventKind::State(TaskState::Success);
    let name = TaskName::new("demo.add")?;
    let mut event = Event::new(
        id.clone(),
        name,
        Lineage::default(),
        kind,
        chrono::Utc::now(),
    );
    event.result = Some(serde_json::value::to_raw_value(&result)?);
    let publication = Publication {
        exchange: names().events,
        routing_key: event_key("demo"),
        content: Content::json(serde_json::to_vec(&[event])?),
    };
    let publisher = transport.publisher(PublisherOptions::default());
    Ok(publisher.publish(publication).await?)
}

mod own_nodes {
    use super::*;

    #[tokio::test]
    async fn a_killed_broker_is_missed_and_its_return_noticed_by_everyone_without_a_restart()
    -> anyhow::Result<()> {
        let mut site = Site::start(TIMEOUT).await?;
        let producer = site.builder()?.build();
        producer
            .send(Add { x: 1 })
            .await
            .context("a healthy start")?;
        anyhow::ensure!(producer.availability().borrow().is_available());

        site.node.kill9().await?;
        // Nobody sends.
        until(&producer, false).await?;
        assert_refused_at_once(&producer).await?;

        // Processes that are started now serve all the same.
        let late = site.builder()?.build();
        let listening = site.builder()?.listening("test").await?;
        until(&late, false).await?;
        until(&listening, false).await?;
        assert_refused_at_once(&late).await?;
        assert_refused_at_once(&listening).await?;

        site.node.restart().await?;
        assert_sends_again(&producer).await?;
        assert_sends_again(&late).await?;
        until(&producer, true).await?;
        until(&listening, true).await?;
        let mut handle = listening.send(Add { x: 1 }).await?;
        report_success(&*site.transport()?, handle.id(), 7).await?;
        assert_eq!(handle.result(PATIENCE).await?, 7);
        // What was refused was not sent.
        assert_eq!(site.tracked().await?, 4);
        Ok(())
    }

    #[tokio::test]
    async fn a_send_under_way_when_the_broker_is_killed_is_refused_or_known_and_never_lost()
    -> anyhow::Result<()> {
        // Three of them are longer than the broker takes to start.
        let mut site = Site::start(PATIENCE).await?;
        let producer = site.builder()?.build();
        producer.send(Add { x: 1 }).await?;
        let stop = CancellationToken::new();
        let sending = tokio::spawn(send_until(producer.clone(), stop.clone()));
        eventually("some tasks", PATIENCE, async || {
            Ok((site.tracked().await? > 200).then_some(()))
        })
        .await?;
        site.node.kill9().await?;
        until(&producer, false).await?;
        site.node.restart().await?;
        until(&producer, true).await?;
        stop.cancel();
        // Those that may have been stored were tried on until that was known.
        let sent = sending.await??;
        let tracked = site.tracked().await?;
        anyhow::ensure!(sent > 200 && tracked > sent, "{tracked} of {sent}");
        Ok(())
    }

    #[tokio::test]
    async fn a_frozen_broker_is_missed_after_one_confirm_timeout_and_used_again_once_it_goes_on()
    -> anyhow::Result<()> {
        let site = Site::start(TIMEOUT).await?;
        let producer = site.builder()?.build();
        producer.send(Add { x: 1 }).await?;
        site.node.pause()?;
        let began = Instant::now();
        let sender = producer.clone();
        let doubtful = tokio::spawn(async move { sender.send(Add { x: 2 }).await });
        until(&producer, false).await?;
        let missed = began.elapsed();
        anyhow::ensure!(missed < patience(TIMEOUT + RESET), "{missed:?}");
        assert_refused_at_once(&producer).await?;
        site.node.resume()?;
        until(&producer, true).await?;
        assert_sends_again(&producer).await?;
        doubtful.await??;
        Ok(())
    }

    #[tokio::test]
    async fn an_alarm_is_missed_by_the_first_send_and_its_end_noticed_without_one()
    -> anyhow::Result<()> {
        let site = Site::start(TIMEOUT).await?;
        let producer = site.builder()?.build();
        producer.send(Add { x: 1 }).await?;
        let control = async |limit| {
            site.node
                .control(&["set_vm_memory_high_watermark", limit])
                .await
        };
        control("0.000001").await?;
        let sender = producer.clone();
        let doubtful = tokio::spawn(async move { sender.send(Add { x: 2 }).await });
        let known = until(&producer, false).await?;
        anyhow::ensure!(format!("{known:?}").contains("alarm"), "{known:?}");
        assert_refused_at_once(&producer).await?;
        control("0.8").await?;
        until(&producer, true).await?;
        assert_sends_again(&producer).await?;
        doubtful.await??;
        Ok(())
    }
}
