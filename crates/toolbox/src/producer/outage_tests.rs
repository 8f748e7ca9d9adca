//! A broker that goes away and comes back, and what the circuit breaker makes of it.

use super::tests::{Add, broker, platform};
use super::*;
use crate::config::BreakerSettings;
use crate::event::{Event, EventKind};
use crate::message::Content;
use crate::names::TaskName;
use crate::state::{Lineage, TaskState};
use crate::topology::Names;
use crate::topology::names::event_key;
use crate::transport::memory::MemoryBroker;
use crate::transport::{Publication, PublishError, PublisherOptions, Transport};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(3600);
const AT_ONCE: Duration = Duration::from_millis(50);

/// The default.
const RESET: Duration = Duration::from_secs(5);

fn raw() -> RawTask {
    RawTask {
        name: TaskName::new("demo.add").expect("valid"),
        args: "[1]".to_owned(),
        kwargs: "{}".to_owned(),
    }
}

/// What was asked for, unless it took longer than a person notices.
async fn at_once<T>(sending: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(AT_ONCE, sending).await;
    in_time.expect("an answer at once")
}

async fn until(producer: &Producer, is_available: bool) -> Availability {
    let mut availability = producer.availability();
    let known = availability.wait_for(|known| known.is_available() == is_available);
    let known = tokio::time::timeout(LONG, known).await;
    known
        .expect("it is told")
        .expect("the producer lives")
        .clone()
}

async fn away(broker: &MemoryBroker, producer: &Producer) {
    broker.faults().refuse_connections(LONG);
    until(producer, false).await;
}

async fn tracked(broker: &MemoryBroker, names: &Names) -> u32 {
    let depth = broker.depth(&names.tracking_queue).await;
    depth.expect("reachable").expect("declared").ready
}

fn is_refused<T>(sent: Result<T, SendError>) -> bool {
    matches!(sent, Err(SendError::BrokerUnavailable { .. }))
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_every_way_of_sending_is_refused_at_once_and_nothing_is_sent() {
    let (broker, names, producer) = platform().await;
    away(&broker, &producer).await;
    let later = SendOptions::new().countdown(Duration::from_secs(60));
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    assert!(is_refused(
        at_once(producer.send_with(Add { x: 1 }, later)).await
    ));
    let none = SendOptions::new;
    assert!(is_refused(at_once(producer.send_raw(raw(), none())).await));
    assert!(is_refused(at_once(producer.begin(raw(), none())).await));
    let all = at_once(producer.send_all((0..5000).map(|x| Add { x }))).await;
    assert!(all.len() == 5000 && all.into_iter().all(is_refused));
    broker.faults().refuse_connections(Duration::ZERO);
    until(&producer, true).await;
    assert_eq!(tracked(&broker, &names).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_refusal_names_what_failed_since_when_and_when_it_is_tried_again() {
    let (broker, _, producer) = platform().await;
    away(&broker, &producer).await;
    let error = producer.send(Add { x: 1 }).await.expect_err("refused");
    let text = crate::error::ErrorChain(&error).to_string();
    let SendError::BrokerUnavailable {
        task,
        since,
        retry_in,
        source,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(task.as_str(), "demo.add");
    assert!(retry_in > Duration::ZERO && retry_in <= LONG);
    for part in [
        "demo.add was not sent",
        &since.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "tried again in 3600.0 s",
        "the broker memory cannot be reached",
    ] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
    let known = producer.availability().borrow().clone();
    let reason = source;
    assert_eq!(known, Availability::Unavailable { since, reason });
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_back_is_told_by_itself_and_the_first_send_succeeds() {
    let (broker, names, producer) = platform().await;
    let mut availability = producer.availability();
    assert!(availability.borrow_and_update().is_available());
    for tasks in 1..4 {
        away(&broker, &producer).await;
        let back = Instant::now();
        broker.faults().refuse_connections(Duration::ZERO);
        until(&producer, true).await;
        producer.send(Add { x: 1 }).await.expect("sent");
        assert!(back.elapsed() < RESET * 2);
        assert_eq!(tracked(&broker, &names).await, tasks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_is_made_while_no_broker_is_there_sends_later() {
    let (broker, names) = broker().await;
    broker.faults().refuse_connections(LONG);
    let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    until(&producer, false).await;
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    broker.faults().refuse_connections(Duration::ZERO);
    until(&producer, true).await;
    producer.send(Add { x: 1 }).await.expect("sent");
    assert_eq!(tracked(&broker, &names).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_listens_needs_no_broker_to_begin_with_and_hears_later() {
    let (broker, names) = broker().await;
    broker.faults().refuse_connections(LONG);
    let transport = Arc::new(broker.clone());
    let producer = at_once(Producer::listening(transport, names.clone(), "test")).await;
    let producer = producer.expect("it starts");
    until(&producer, false).await;
    broker.faults().refuse_connections(Duration::ZERO);
    until(&producer, true).await;
    let mut handle = producer.send(Add { x: 1 }).await.expect("sent");
    let name = TaskName::new("demo.add").expect("valid");
    let kind = EventKind::State(TaskState::Success);
    let now = chrono::Utc::now();
    let mut ended = Event::new(handle.id().clone(), name, Lineage::default(), kind, now);
    ended.result = serde_json::value::to_raw_value(&7).ok();
    let told = Publication {
        exchange: names.events.clone(),
        routing_key: event_key("demo"),
        content: Content::json(serde_json::to_vec(&[ended]).expect("JSON")),
    };
    let publisher = broker.publisher(PublisherOptions::default());
    publisher.publish(told).await.expect("confirmed");
    assert_eq!(handle.result(LONG).await.expect("heard"), 7);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_no_queue_can_be_named_after_is_told_at_once_with_or_without_a_broker() {
    let (broker, names) = broker().await;
    broker.faults().refuse_connections(LONG);
    let owner = "x".repeat(300);
    let listening = Producer::listening(Arc::new(broker), names, &owner).await;
    assert!(listening.is_err());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_their_turn_when_it_opens_are_answered_at_once_and_never_sent() {
    let (broker, names) = broker().await;
    // Two failures open it: the lost connection, and the task whose confirm does not come.
    let settings = BreakerSettings {
        fail_max: 2,
        ..BreakerSettings::default()
    };
    let builder = Producer::builder(Arc::new(broker.clone()), names.clone());
    let producer = builder.breaker(settings).build();
    broker.faults().lose_confirms(1);
    let doubtful = producer.begin(raw(), SendOptions::new()).await;
    let doubtful = tokio::spawn(doubtful.expect("handed over").confirmed());
    tokio::time::sleep(Duration::from_secs(5)).await;
    broker.faults().refuse_connections(LONG);
    tokio::task::yield_now().await;
    let began = Instant::now();
    let waiting = producer.send_all((0..100).map(|x| Add { x })).await;
    let waited = began.elapsed();
    assert!(waiting.into_iter().all(is_refused));
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(5) + AT_ONCE);
    broker.faults().refuse_connections(Duration::ZERO);
    let sent = doubtful.await.expect("no panic");
    sent.expect("what may be there is tried on until it is known");
    // Twice the doubtful one, and nobody else.
    assert_eq!(tracked(&broker, &names).await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_the_broker_is_told_by_itself_and_so_is_its_end() {
    let (broker, _, producer) = platform().await;
    broker.faults().block_publishers(LONG);
    let known = until(&producer, false).await;
    assert!(format!("{known:?}").contains("alarm"), "{known:?}");
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    broker.faults().block_publishers(Duration::ZERO);
    until(&producer, true).await;
    producer.send(Add { x: 1 }).await.expect("sent");
}

/// Opens the breaker of a broker that takes tasks and does not confirm them.
async fn silent(broker: &MemoryBroker, producer: &Producer) {
    broker.faults().lose_confirms(1);
    let lost = producer.begin(raw(), SendOptions::new()).await;
    let lost = tokio::spawn(lost.expect("handed over").confirmed());
    until(producer, false).await;
    // Its other tries are not what is looked at.
    lost.abort();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_confirms_nothing_is_probed_by_one_task_while_the_others_are_refused() {
    let (broker, _, producer) = platform().await;
    silent(&broker, &producer).await;
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    let opened = Instant::now();
    let began = until(&producer, false).await;
    // Told by itself: whoever waits for it before he sends would wait for ever otherwise.
    until(&producer, true).await;
    assert_eq!(opened.elapsed(), RESET);
    broker.faults().lose_confirms(1);
    let probe = producer.begin(raw(), SendOptions::new()).await;
    let probe = tokio::spawn(probe.expect("it probes").confirmed());
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    assert_eq!(until(&producer, false).await, began, "the same outage");
    // The probe fails, and it is open for another while.
    tokio::time::sleep(Duration::from_secs(10)).await;
    probe.abort();
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    until(&producer, true).await;
    at_once(producer.send(Add { x: 1 })).await.expect("sent");
    at_once(producer.send(Add { x: 1 })).await.expect("sent");
    assert!(producer.availability().borrow().is_available());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_leaves_the_next_one_to_the_next_sender() {
    let (broker, _, producer) = platform().await;
    silent(&broker, &producer).await;
    tokio::time::sleep(RESET).await;
    broker.faults().lose_confirms(1);
    let probe = at_once(producer.begin(raw(), SendOptions::new())).await;
    assert!(is_refused(at_once(producer.send(Add { x: 1 })).await));
    drop(probe);
    at_once(producer.send(Add { x: 1 })).await.expect("sent");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_which_the_platform_cannot_be_told_leaves_the_task_unknown() {
    let (broker, names, producer) = platform().await;
    broker
        .delete_exchange(&names.events)
        .await
        .expect("deleted");
    broker.faults().nack_next(5);
    let unknown = producer.send(Add { x: 1 }).await;
    let is_unknown = matches!(
        unknown,
        Err(SendError::Unknown {
            source: PublishError::Nacked,
            ..
        })
    );
    assert!(is_unknown, "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_brokers_fault_opens_nothing() {
    let (broker, names, producer) = platform().await;
    broker.faults().nack_next(5);
    let full = producer.send(Add { x: 1 }).await;
    assert!(matches!(full, Err(SendError::QueueFull { .. })), "{full:?}");
    let never = SendOptions::new().countdown(Duration::MAX);
    let late = producer.send_with(Add { x: 1 }, never).await;
    assert!(matches!(late, Err(SendError::Delay(_))), "{late:?}");
    let mut large = raw();
    large.args = format!("[\"{}\"]", "x".repeat(17 << 20));
    let large = producer.send_raw(large, SendOptions::new()).await;
    assert!(
        matches!(large, Err(SendError::TooLarge { .. })),
        "{large:?}"
    );
    let long = SendOptions::new().identifier("x".repeat(501));
    let long = producer.send_with(Add { x: 1 }, long).await;
    assert!(matches!(long, Err(SendError::Name(_))), "{long:?}");
    let wide = SendOptions::new().creator("x".repeat(200 * 1024));
    let wide = producer.send_with(Add { x: 1 }, wide).await;
    let is_invalid = matches!(
        wide,
        Err(SendError::Refused {
            source: PublishError::Invalid { .. },
            ..
        })
    );
    assert!(is_invalid, "{wide:?}");
    broker.delete_exchange(&names.tasks).await.expect("deleted");
    let refused = producer.send(Add { x: 1 }).await;
    let is_refused = matches!(
        refused,
        Err(SendError::Refused {
            source: PublishError::Refused { .. },
            ..
        })
    );
    assert!(is_refused, "{refused:?}");
    assert!(producer.availability().borrow().is_available());
}

#[tokio::test(start_paused = true)]
async fn a_closed_transport_is_told_and_blamed_by_name() {
    let (broker, _, producer) = platform().await;
    broker.close().await;
    let known = until(&producer, false).await;
    assert!(format!("{known:?}").contains("closed"), "{known:?}");
    let closed = producer.send(Add { x: 1 }).await;
    let is_closed = matches!(
        closed,
        Err(SendError::Refused {
            source: PublishError::Closed,
            ..
        })
    );
    assert!(is_closed, "{closed:?}");
}
