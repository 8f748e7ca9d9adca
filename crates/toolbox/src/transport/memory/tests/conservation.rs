//! Whatever consumers do, every message is somewhere, and only once.

use super::*;
use crate::transport::{Delivery, Requeue};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Step {
    Publish,
    Take,
    Settle(usize, How),
    Reopen,
    Lose,
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum How {
    Ack,
    Return,
    Reject,
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![
        3 => Just(How::Ack), 2 => Just(How::Return), 1 => Just(How::Reject), 1 => Just(How::Forget),
    ];
    let step = prop_oneof![
        6 => Just(Step::Publish),
        6 => Just(Step::Take),
        6 => (0..8_usize, how).prop_map(|(which, how)| Step::Settle(which, how)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Lose),
        2 => (0..3000_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..120)
}

/// Publishes, takes, settles and breaks; afterwards each message was acknowledged, or waits in
/// `work`, or is dead with its story.
async fn play(kind: QueueKind, ttl: Option<i64>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let broker = MemoryBroker::new();
    let exchange = fanout(&broker, "dead").await;
    let dead = queue(&broker, "dead", QueueKind::Quorum, &[]).await;
    bind(&broker, &exchange, &dead).await;
    let mut arguments = vec![("x-dead-letter-exchange", exchange.as_str().into())];
    if kind == QueueKind::Quorum {
        arguments.push(("x-delivery-limit", 2_i64.into()));
        arguments.push(("x-dead-letter-strategy", "at-least-once".into()));
        arguments.push(("x-overflow", "reject-publish".into()));
    }
    arguments.extend(ttl.map(|ttl| ("x-message-ttl", ttl.into())));
    let work = queue(&broker, "work", kind, &arguments).await;
    let publisher = broker.publisher(PublisherOptions::default());
    let mut subscription = subscribe(&broker, &work, 4);
    let mut held: Vec<Delivery> = Vec::new();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut published = 0_usize;
    for step in steps {
        match step {
            Step::Publish => {
                let task = to_queue(&work, &published.to_string());
                publisher.publish(task).await.expect("confirmed");
                published += 1;
            }
            Step::Take => held.extend(subscription.try_next()),
            Step::Settle(which, how) if which < held.len() => {
                let delivery = held.swap_remove(which);
                let body = text(&delivery);
                let live = delivery.is_live();
                match how {
                    How::Ack => {
                        let _ = delivery.ack();
                        if live {
                            *ends.entry(body).or_default() += 1;
                        }
                    }
                    How::Return => drop(delivery.nack(Requeue::Yes)),
                    How::Reject => drop(delivery.nack(Requeue::No)),
                    How::Forget => drop(delivery),
                }
                tokio::task::yield_now().await;
            }
            Step::Settle(..) => {}
            Step::Reopen => {
                std::mem::replace(&mut subscription, subscribe(&broker, &work, 4))
                    .close()
                    .await;
            }
            Step::Lose => {
                broker.faults().close_consumers();
                // An acknowledgement that the loss overtakes would be sent in vain, and rightly so.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }
    // Settlements reach the broker before anything is counted.
    tokio::time::sleep(Duration::from_millis(1)).await;
    subscription.close().await;
    for queue in [&work, &dead] {
        let mut reader = subscribe(&broker, queue, 1);
        let soon = Duration::from_millis(1);
        while let Ok(Some(delivery)) = tokio::time::timeout(soon, reader.next()).await {
            *ends.entry(text(&delivery)).or_default() += 1;
            let _ = delivery.ack();
        }
        reader.close().await;
    }
    let once = ends.values().all(|times| *times == 1);
    prop_assert!(
        once && ends.len() == published,
        "{published} published, {ends:?}"
    );
    Ok(())
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_message_is_lost_or_doubled(
        kind in prop_oneof![Just(QueueKind::Quorum), Just(QueueKind::Classic)],
        ttl in proptest::option::of(200..2000_i64),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(play(kind, ttl, steps))?;
    }
}
