//! Sending to a broker that is in trouble, on a clock of its own.

use super::*;
use crate::task::Task;
use crate::topology::{self, Names, QueueSettings};
use crate::transport::memory::MemoryBroker;
use crate::transport::{PublishError, Transport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Add {
    pub(super) x: i64,
}

impl Task for Add {
    const NAME: &'static str = "demo.add";
    type Output = i64;
}

pub(super) async fn broker() -> (MemoryBroker, Names) {
    let broker = MemoryBroker::new();
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid names");
    let items = topology::platform(&names, QueueSettings::Arguments);
    topology::apply(&broker, items).await.expect("declared");
    (broker, names)
}

pub(super) async fn platform() -> (MemoryBroker, Names, Producer) {
    let (broker, names) = broker().await;
    let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    (broker, names, producer)
}

/// With a producer that waits.
async fn patient_platform() -> (MemoryBroker, Names, Producer) {
    let (broker, names) = broker().await;
    let builder = Producer::builder(Arc::new(broker.clone()), names.clone());
    (broker, names, builder.patient().build())
}

#[tokio::test(start_paused = true)]
async fn thousands_of_tasks_of_a_patient_producer_are_given_up_together() {
    let (broker, _, producer) = patient_platform().await;
    broker
        .faults()
        .refuse_connections(Duration::from_secs(3600));
    let began = Instant::now();
    let outcomes = producer.send_all((0..5000).map(|x| Add { x })).await;
    assert_eq!(outcomes.len(), 5000);
    for outcome in outcomes {
        let error = outcome.expect_err("nobody took it");
        let source = PublishError::NotSent {
            after: Duration::from_secs(10),
        };
        let given_up =
            matches!(&error, SendError::Refused { source: found, .. } if *found == source);
        assert!(given_up, "{error:?}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_patient_producer_waits_for_a_broker_that_is_away_for_less_than_three_timeouts() {
    let (broker, names, producer) = patient_platform().await;
    broker.faults().refuse_connections(Duration::from_secs(25));
    let outcomes = producer.send_all((0..10).map(|x| Add { x })).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let depth = broker
        .depth(&names.tracking_queue)
        .await
        .expect("reachable");
    assert_eq!(depth.expect("declared").ready, 10);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_confirm_is_lost_is_sent_again_as_the_same_task() {
    let (broker, names, producer) = platform().await;
    broker.faults().lose_confirms(1);
    let handle = producer.send(Add { x: 1 }).await.expect("sent at last");
    let link = crate::transport::SubscribeOptions::new(names.tracking_queue, 10);
    let mut copies = crate::transport::Subscription::open(Arc::new(broker), link);
    for _ in 0..2 {
        let copy = copies.next().await.expect("a copy of each try");
        assert_eq!(copy.content.headers.text("id"), Some(handle.id().as_str()));
        let _ = copy.ack();
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_refused_once_and_then_not_heard_of_may_be_there() {
    let (broker, _, producer) = platform().await;
    broker.faults().nack_next(1);
    let sending = producer.send(Add { x: 1 });
    let cut_off = async {
        // Between the nack and the next try.
        tokio::task::yield_now().await;
        broker
            .faults()
            .refuse_connections(Duration::from_secs(3600));
    };
    let (sent, ()) = tokio::join!(sending, cut_off);
    let error = sent.expect_err("nobody took it");
    assert!(matches!(error, SendError::Unknown { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_not_called_full_when_an_earlier_try_may_have_been_stored() {
    let (broker, _, producer) = platform().await;
    broker.faults().lose_confirms(1);
    let sending = producer.send(Add { x: 1 });
    let refuse_what_follows = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        broker.faults().nack_next(100);
    };
    let (sent, ()) = tokio::join!(sending, refuse_what_follows);
    let error = sent.expect_err("nobody knows");
    assert!(matches!(error, SendError::Unknown { .. }), "{error:?}");
}
