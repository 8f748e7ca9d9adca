//! Channels that break the protocol.

use super::*;
use crate::transport::StreamOffset;
use crate::transport::TransportError;
use crate::transport::delivery::{Requeue, Settlement};
use crate::transport::link::{Arrival, Frame, Link};

async fn next(link: &mut Box<dyn Link>) -> Result<Arrival, TransportError> {
    std::future::poll_fn(|cx| link.poll_next(cx)).await
}

fn frame(tag: u64, multiple: bool, how: Settlement) -> Frame {
    Frame { tag, multiple, how }
}

async fn refusal(link: &mut Box<dyn Link>) -> String {
    match next(link).await {
        Err(TransportError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn settling_a_tag_twice_closes_the_channel_and_returns_the_rest() {
    for multiple in [false, true] {
        let broker = MemoryBroker::new();
        let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
        fill(&broker, &queue, (0..3).map(|n| n.to_string())).await;
        let mut link = broker.link(&queue).await.expect("open");
        link.consume("c", 3, None).await.expect("consumes");
        for tag in 1..=3 {
            assert_eq!(next(&mut link).await.expect("a message").tag, tag);
        }
        let once = frame(2, false, Settlement::Ack);
        link.settle(&[once]).await.expect("the first time");
        let again = link.settle(&[frame(2, multiple, Settlement::Ack)]).await;
        assert!(again.is_err(), "{again:?}");
        let reason = refusal(&mut link).await;
        assert_eq!(reason, "PRECONDITION_FAILED - unknown delivery tag 2");
        assert_eq!(ready(&broker, &queue).await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn one_frame_settles_all_up_to_its_tag() {
    let broker = MemoryBroker::new();
    let queue = queue(
        &broker,
        "q",
        QueueKind::Quorum,
        &[("x-delivery-limit", 9_i64.into())],
    )
    .await;
    fill(&broker, &queue, (0..5).map(|n| n.to_string())).await;
    let mut link = broker.link(&queue).await.expect("open");
    link.consume("c", 5, None).await.expect("consumes");
    for _ in 0..5 {
        next(&mut link).await.expect("a message");
    }
    let frames = [
        frame(2, true, Settlement::Ack),
        frame(4, true, Settlement::Nack(Requeue::Yes)),
    ];
    link.settle(&frames).await.expect("settled");
    for body in ["2", "3"] {
        let again = next(&mut link).await.expect("it comes again");
        assert_eq!(again.content.body, body);
        assert!(again.redelivered);
    }
    link.close().await;
    assert_eq!(ready(&broker, &queue).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_nothing_back() {
    let broker = MemoryBroker::new();
    let stream = queue(&broker, "s", QueueKind::Stream, &[]).await;
    fill(&broker, &stream, ["1".to_owned()]).await;
    let mut link = broker.link(&stream).await.expect("open");
    let from = Some(StreamOffset::First);
    link.consume("c", 5, from).await.expect("consumes");
    next(&mut link).await.expect("a message");
    let nack = frame(1, false, Settlement::Nack(Requeue::Yes));
    assert!(link.settle(&[nack]).await.is_err());
    assert!(refusal(&mut link).await.starts_with("NOT_IMPLEMENTED"));
}

#[tokio::test(start_paused = true)]
async fn a_consumers_name_can_be_used_once_at_a_time() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let mut link = broker.link(&queue).await.expect("open");
    link.consume("c", 1, None).await.expect("consumes");
    link.cancel("c").await.expect("cancelled");
    link.consume("c", 1, None).await.expect("free again");
    assert!(link.consume("c", 1, None).await.is_err());
    assert!(refusal(&mut link).await.contains("reuse consumer tag 'c'"));
    let depth = broker.depth(&queue).await.expect("reachable");
    assert_eq!(depth.expect("declared").consumers, 0);
}
