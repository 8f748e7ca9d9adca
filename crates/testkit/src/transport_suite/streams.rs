//! Logs that are read, not emptied.

use super::awaiting::{next, nothing, status, take};
use super::stage::Stage;
use anyhow::ensure;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::QueueKind;
use counterfoil_toolbox::transport::{
    StreamOffset, SubscribeOptions, Subscription, SubscriptionStatus,
};
use std::time::Duration;

pub async fn every_reader_gets_all_of_a_stream_and_leaves_it_there(
    stage: Stage,
) -> anyhow::Result<()> {
    let stream = stage.queue("s", QueueKind::Stream, &[]).await?;
    stage.fill_with(&stream, 50).await?;
    let expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    // One after the other and side by side, with more and with less in hand than there is.
    let mut slow = read(&stage, &stream, 1);
    for prefetch in [10, 100] {
        let mut reader = read(&stage, &stream, prefetch);
        ensure!(take(&mut reader, 50).await? == expected);
        nothing(&mut reader).await?;
        reader.close().await;
    }
    ensure!(take(&mut slow, 50).await? == expected);
    nothing(&mut slow).await
}

pub async fn a_reader_gets_what_is_written_while_it_reads(stage: Stage) -> anyhow::Result<()> {
    let stream = stage.queue("s", QueueKind::Stream, &[]).await?;
    let mut reader = read(&stage, &stream, 10);
    for n in 0..3_i64 {
        stage.fill(&stream, &[&n.to_string()]).await?;
        let delivery = next(&mut reader).await?;
        ensure!(delivery.content.body == n.to_string());
        ensure!(
            delivery.content.headers.int("x-stream-offset") == Some(n),
            "{delivery:?}"
        );
        let _ = delivery.ack();
    }
    Ok(())
}

pub async fn an_older_part_of_a_stream_can_be_left_out(stage: Stage) -> anyhow::Result<()> {
    let stream = stage.queue("s", QueueKind::Stream, &[]).await?;
    stage.fill(&stream, &["old"]).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.fill(&stream, &["new"]).await?;
    let options = SubscribeOptions {
        from: Some(StreamOffset::Age(Duration::from_secs(3))),
        ..SubscribeOptions::new(stream, 10)
    };
    let mut reader = Subscription::open(stage.transport.clone(), options);
    ensure!(take(&mut reader, 1).await? == ["new"]);
    Ok(())
}

pub async fn whoever_begins_at_the_end_of_a_stream_gets_its_last_message(
    stage: Stage,
) -> anyhow::Result<()> {
    let stream = stage.queue("s", QueueKind::Stream, &[]).await?;
    let at_the_end = || {
        let options = SubscribeOptions {
            from: Some(StreamOffset::Last),
            ..SubscribeOptions::new(stream.clone(), 100)
        };
        Subscription::open(stage.transport.clone(), options)
    };
    let mut early = at_the_end();
    nothing(&mut early).await?;
    stage.fill_with(&stream, 30).await?;
    ensure!(take(&mut early, 30).await?.last().map(String::as_str) == Some("29"));
    // One after the other, so that each is a chunk of its own.
    for text in ["30", "31"] {
        stage.fill(&stream, &[text]).await?;
    }
    ensure!(take(&mut at_the_end(), 1).await? == ["31"]);
    Ok(())
}

pub async fn a_stream_position_means_nothing_to_a_queue(stage: Stage) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let reader = read(&stage, &queue, 10);
    let refused = |status: &SubscriptionStatus| matches!(status, SubscriptionStatus::Down { reason, transient: false } if reason.contains("x-stream-offset"));
    status(&reader, "refused", refused).await?;
    Ok(())
}

fn read(stage: &Stage, stream: &QueueName, prefetch: u16) -> Subscription {
    let options = SubscribeOptions::stream(stream.clone(), prefetch);
    Subscription::open(stage.transport.clone(), options)
}
