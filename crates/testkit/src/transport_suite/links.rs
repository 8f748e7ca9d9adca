//! What a channel alone does, without what subscriptions add to it.

use super::stage::{LONG, Stage};
use crate::eventually;
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::message::HeaderValue;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::QueueKind;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use counterfoil_toolbox::transport::{Mailbox, Requeue, TransportError};
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::timeout;

const LIMITED: [(&str, HeaderValue); 1] = [("x-delivery-limit", HeaderValue::Int(20))];

/// After so long without a message, none is on its way.
const SOON: Duration = Duration::from_millis(500);

pub async fn a_message_tells_which_consumer_of_its_channel_got_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let (queue, mut link) = linked(&stage, &["1", "2", "3"]).await?;
    for number in 1..=3 {
        link.consume(&format!("c{number}"), 1, None).await?;
        ensure!(next(&mut *link).await?.consumer == number);
    }
    nothing(&mut *link).await?;
    link.close().await;
    stage.wait_ready(&queue, 3).await
}

pub async fn what_an_ended_consumer_holds_can_be_returned_and_goes_to_one_that_waits(
    stage: Stage,
) -> anyhow::Result<()> {
    let (_, mut holding) = linked(&stage, &["1"]).await?;
    holding.consume("c", 1, None).await?;
    let held = next(&mut *holding).await?;
    let mut waiting = stage.transport.link(&QueueName::new("q")?).await?;
    waiting.consume("c", 1, None).await?;
    holding.cancel("c").await?;
    nothing(&mut *waiting).await?;
    holding.settle(&[returned(&held)]).await?;
    let came = next(&mut *waiting).await?;
    ensure!(came.redelivered && came.content.body == held.content.body);
    nothing(&mut *holding).await
}

pub async fn a_consumer_that_is_full_learns_that_its_queue_was_deleted(
    stage: Stage,
) -> anyhow::Result<()> {
    let (queue, mut link) = linked(&stage, &["1"]).await?;
    link.consume("c", 1, None).await?;
    next(&mut *link).await?;
    stage.transport.delete_queue(&queue).await?;
    match timeout(LONG, poll_fn(|cx| link.poll_next(cx))).await? {
        Err(TransportError::NoQueue { queue: missing }) => ensure!(missing == queue),
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

/// A channel on a new queue with these messages.
async fn linked(stage: &Stage, bodies: &[&str]) -> anyhow::Result<(QueueName, Box<dyn Link>)> {
    let queue = stage.queue("q", QueueKind::Quorum, &LIMITED).await?;
    stage.fill(&queue, bodies).await?;
    let link = stage.transport.link(&queue).await?;
    Ok((queue, link))
}

async fn next(link: &mut dyn Link) -> anyhow::Result<Arrival> {
    let arrival = timeout(LONG, poll_fn(|cx| link.poll_next(cx))).await;
    Ok(arrival.context("no message came")??)
}

async fn nothing(link: &mut dyn Link) -> anyhow::Result<()> {
    let arrival = timeout(SOON, poll_fn(|cx| link.poll_next(cx))).await;
    ensure!(arrival.is_err(), "{arrival:?}");
    Ok(())
}

fn returned(arrival: &Arrival) -> Frame {
    Frame {
        tag: arrival.tag,
        multiple: false,
        how: Settlement::Nack(Requeue::Yes),
    }
}

pub async fn everybody_with_a_mailbox_gets_each_word_and_it_goes_with_its_reader(
    stage: Stage,
) -> anyhow::Result<()> {
    let mailbox = |name: &str| -> anyhow::Result<Mailbox> {
        let exchange = ExchangeName::new("words")?;
        Ok(Mailbox::new(exchange, QueueName::new(name)?))
    };
    let (one, two) = (mailbox("one")?, mailbox("two")?);
    let mut readers = [
        stage.transport.mailbox(&one).await?,
        stage.transport.mailbox(&two).await?,
    ];
    stage.publish(&one.exchange, "any", &["1", "2"]).await?;
    for reader in &mut readers {
        for word in ["1", "2"] {
            ensure!(next(&mut **reader).await?.content.body == word);
        }
        // A channel that ends without a word does the same.
        reader.close().await;
    }
    for name in ["one", "two"] {
        let name = QueueName::new(name)?;
        eventually("the queue to go", LONG, async || {
            Ok(stage.transport.depth(&name).await?.is_none().then_some(()))
        })
        .await?;
    }
    // There is nobody any more, and it can be made again.
    stage.publish(&one.exchange, "any", &["3"]).await?;
    let mut again = stage.transport.mailbox(&one).await?;
    nothing(&mut *again).await?;
    stage.publish(&one.exchange, "any", &["4"]).await?;
    ensure!(next(&mut *again).await?.content.body == "4");
    Ok(())
}
