//! Tokens: as many as there should be, whatever happens to them.

use crate::support::{Running, SOON, World, heartbeat, on_both_pairs};
use anyhow::Context;
use chrono::Utc;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::heartbeat::Heartbeat;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::tokens::{LimitReport, TokenId};
use counterfoil_toolbox::transport::Requeue;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

on_both_pairs!(
    tokens_are_put_in_once_however_many_daemons_there_are,
    a_token_that_was_lost_is_replaced,
    a_token_too_many_is_taken_out,
    what_is_no_token_is_taken_out,
    the_number_of_tokens_follows_the_limit,
    a_queue_that_was_deleted_is_declared_and_filled_again,
    tokens_that_workers_have_in_hand_are_not_replaced,
    a_lower_limit_takes_tokens_out_as_they_are_returned,
);

const TASK: &str = "demo.limited";
const QUEUE: &str = "platform.tokens.demo.limited";

/// Many rounds, in each of which the daemon could do something wrong.
const WHILE: Duration = Duration::from_secs(12);

/// A worker that keeps a limit and says what it has in hand.
struct Worker {
    report: Arc<Mutex<LimitReport>>,
    _beating: AbortOnDropHandle<()>,
}

impl Worker {
    fn start(world: &World, limit: u32) -> Self {
        let tokens = Vec::new();
        let report = Arc::new(Mutex::new(LimitReport { limit, tokens }));
        let (said, started_at) = (report.clone(), Utc::now());
        let beating = world.beats(move || {
            let limit = said.lock().expect("sound").clone();
            Heartbeat {
                limits: BTreeMap::from([(TASK.parse().expect("a name"), limit)]),
                started_at,
                ..heartbeat()
            }
        });
        Self {
            report,
            _beating: beating,
        }
    }

    fn says(&self, change: impl FnOnce(&mut LimitReport)) {
        change(&mut self.report.lock().expect("sound"));
    }
}

fn queue() -> QueueName {
    QueueName::new(QUEUE).expect("valid")
}

async fn ready(world: &World) -> anyhow::Result<u32> {
    // Of two that ask at once for what is not there, lapin may give one the other's answer, as the
    // end of its new channel.
    let mut tries = 0;
    loop {
        match world.transport.depth(&queue()).await {
            Ok(depth) => return Ok(depth.map_or(0, |depth| depth.ready)),
            Err(error) if tries == 5 => return Err(error.into()),
            Err(_) => tries += 1,
        }
    }
}

/// Waits until so many tokens are free and looks that it stays so.
async fn settles_at(world: &World, count: u32) -> anyhow::Result<()> {
    let what = format!("{count} free tokens");
    eventually(&what, SOON, async || {
        Ok((ready(world).await? == count).then_some(()))
    })
    .await
    .with_context(|| format!("waiting for {count}"))?;
    never_more_than(world, count, WHILE).await?;
    eventually(&what, SOON, async || {
        Ok((ready(world).await? == count).then_some(()))
    })
    .await
}

async fn never_more_than(world: &World, count: u32, time: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let free = ready(world).await?;
        anyhow::ensure!(
            free <= count,
            "{free} tokens are free, at most {count} may be"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Takes free tokens and holds them.
struct Hand {
    link: Box<dyn Link>,
    held: Vec<Arrival>,
}

impl Hand {
    async fn take(world: &World, count: u16) -> anyhow::Result<Self> {
        let mut link = world.transport.link(&queue()).await?;
        link.consume("hand", count, None).await?;
        let mut held = Vec::new();
        for _ in 0..count {
            let arrival = timeout(SOON, poll_fn(|cx| link.poll_next(cx))).await;
            held.push(arrival.context("a token")??);
        }
        link.cancel("hand").await?;
        Ok(Self { link, held })
    }

    fn tokens(&self) -> Vec<TokenId> {
        let tokens = self.held.iter().map(|held| TokenId::of(&held.content));
        tokens.map(|token| token.expect("a token")).collect()
    }

    fn slots(&self) -> BTreeSet<u32> {
        self.tokens().iter().map(|token| token.slot).collect()
    }

    async fn settle(&mut self, how: Settlement) -> anyhow::Result<()> {
        for arrival in self.held.drain(..) {
            let frame = Frame {
                tag: arrival.tag,
                multiple: false,
                how,
            };
            self.link.settle(&[frame]).await?;
        }
        Ok(())
    }

    async fn put_back(mut self) -> anyhow::Result<()> {
        self.settle(Settlement::Nack(Requeue::Yes)).await?;
        self.link.settle_last(&[]).await?;
        self.link.close().await;
        Ok(())
    }

    async fn lose(mut self) -> anyhow::Result<()> {
        self.settle(Settlement::Ack).await?;
        self.link.settle_last(&[]).await?;
        self.link.close().await;
        Ok(())
    }
}

async fn has_slots(world: &World, slots: impl IntoIterator<Item = u32>) -> anyhow::Result<()> {
    let wanted: BTreeSet<_> = slots.into_iter().collect();
    let hand = Hand::take(world, u16::try_from(wanted.len())?).await?;
    let found = hand.slots();
    hand.put_back().await?;
    anyhow::ensure!(found == wanted, "{found:?}");
    Ok(())
}

async fn seeded(world: &World, limit: u32) -> anyhow::Result<(Worker, Running)> {
    let worker = Worker::start(world, limit);
    let daemon = world.daemon();
    eventually("tokens to be put in", SOON, async || {
        Ok((ready(world).await? == limit).then_some(()))
    })
    .await?;
    Ok((worker, daemon))
}

async fn put_in(world: &World, token: TokenId) -> anyhow::Result<()> {
    let message = token.message(&world.names, &TaskName::new(TASK)?)?;
    let key = message.routing_key.to_string();
    world
        .publish(&message.exchange, &key, message.content)
        .await
}

async fn tokens_are_put_in_once_however_many_daemons_there_are(world: World) -> anyhow::Result<()> {
    let _worker = Worker::start(&world, 3);
    let daemons = [world.daemon(), world.daemon(), world.daemon()];
    settles_at(&world, 3).await?;
    has_slots(&world, 1..=3).await?;
    // Whoever leads next finds what is there.
    for daemon in daemons {
        daemon.stop().await?;
        never_more_than(&world, 3, Duration::from_secs(1)).await?;
    }
    let last = world.daemon();
    settles_at(&world, 3).await?;
    Ok(last.stop().await?)
}

async fn a_token_that_was_lost_is_replaced(world: World) -> anyhow::Result<()> {
    let (_worker, daemon) = seeded(&world, 3).await?;
    Hand::take(&world, 2).await?.lose().await?;
    settles_at(&world, 3).await?;
    has_slots(&world, 1..=3).await?;
    Ok(daemon.stop().await?)
}

async fn a_token_too_many_is_taken_out(world: World) -> anyhow::Result<()> {
    let (_worker, daemon) = seeded(&world, 3).await?;
    let now = Utc::now();
    for token in [
        TokenId::issued(2, now, 1),
        TokenId::issued(2, now, 2),
        TokenId::issued(9, now, 1),
    ] {
        put_in(&world, token).await?;
    }
    eventually("them to be taken out", SOON, async || {
        Ok((ready(&world).await? == 3).then_some(()))
    })
    .await?;
    settles_at(&world, 3).await?;
    has_slots(&world, 1..=3).await?;
    Ok(daemon.stop().await?)
}

async fn what_is_no_token_is_taken_out(world: World) -> anyhow::Result<()> {
    let (_worker, daemon) = seeded(&world, 2).await?;
    let exchange = ExchangeName::default_exchange();
    world.publish(&exchange, QUEUE, Content::json("{}")).await?;
    eventually("it to be taken out", SOON, async || {
        Ok((ready(&world).await? == 2).then_some(()))
    })
    .await?;
    has_slots(&world, 1..=2).await?;
    Ok(daemon.stop().await?)
}

async fn the_number_of_tokens_follows_the_limit(world: World) -> anyhow::Result<()> {
    let (worker, daemon) = seeded(&world, 3).await?;
    for limit in [5, 2, 4] {
        worker.says(|report| report.limit = limit);
        let what = format!("{limit} tokens");
        eventually(&what, SOON, async || {
            Ok((ready(&world).await? == limit).then_some(()))
        })
        .await?;
        never_more_than(&world, limit, Duration::from_secs(2)).await?;
        has_slots(&world, 1..=limit).await?;
    }
    Ok(daemon.stop().await?)
}

async fn a_queue_that_was_deleted_is_declared_and_filled_again(world: World) -> anyhow::Result<()> {
    let (_worker, daemon) = seeded(&world, 3).await?;
    // Some are in hand: whoever runs by them has time to learn of it.
    let hand = Hand::take(&world, 2).await?;
    world.transport.delete_queue(&queue()).await?;
    never_more_than(&world, 0, Duration::from_secs(4)).await?;
    settles_at(&world, 3).await?;
    drop(hand);
    has_slots(&world, 1..=3).await?;
    Ok(daemon.stop().await?)
}

async fn tokens_that_workers_have_in_hand_are_not_replaced(world: World) -> anyhow::Result<()> {
    let (worker, daemon) = seeded(&world, 3).await?;
    let hand = Hand::take(&world, 2).await?;
    worker.says(|report| report.tokens = hand.tokens());
    never_more_than(&world, 1, WHILE).await?;
    // Nor by a leader that has just begun.
    daemon.crash().await;
    let daemon = world.daemon();
    never_more_than(&world, 1, WHILE).await?;
    hand.put_back().await?;
    worker.says(|report| report.tokens.clear());
    settles_at(&world, 3).await?;
    Ok(daemon.stop().await?)
}

async fn a_lower_limit_takes_tokens_out_as_they_are_returned(world: World) -> anyhow::Result<()> {
    let (worker, daemon) = seeded(&world, 5).await?;
    let hand = Hand::take(&world, 5).await?;
    worker.says(|report| (report.limit, report.tokens) = (2, hand.tokens()));
    never_more_than(&world, 0, WHILE).await?;
    hand.put_back().await?;
    worker.says(|report| report.tokens.clear());
    eventually("three to be taken out", SOON, async || {
        Ok((ready(&world).await? == 2).then_some(()))
    })
    .await?;
    settles_at(&world, 2).await?;
    has_slots(&world, 1..=2).await?;
    Ok(daemon.stop().await?)
}
