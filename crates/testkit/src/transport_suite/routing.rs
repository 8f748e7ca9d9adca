//! Which queues a message gets to.

use super::stage::Stage;
use super::values::{exchange, message};
use anyhow::ensure;
use counterfoil_toolbox::message::{HeaderValue, Headers};
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::{Destination, ExchangeKind, Item, QueueKind};

pub async fn one_publish_reaches_the_service_and_the_tracking_queue(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let export = stage.service("export").await?;
    let tasks = stage.names.tasks.clone();
    stage.publish(&tasks, "export.project", &["1"]).await?;
    stage.publish(&tasks, "export", &["2"]).await?;
    for queue in [&export, &stage.names.tracking_queue] {
        let received = stage.drain(queue, 2).await?;
        let bodies: Vec<_> = received.iter().map(|one| one.body()).collect();
        ensure!(bodies == ["1", "2"], "{queue}: {bodies:?}");
        ensure!(received[0].exchange == tasks && received[0].routing_key == "export.project");
    }
    ensure!(stage.ready(&stage.names.unroutable_queue).await? == 0);
    Ok(())
}

pub async fn what_no_service_owns_is_tracked_and_set_aside_as_unroutable(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let tasks = stage.names.tasks.clone();
    stage.publish(&tasks, "export.project", &["1"]).await?;
    for queue in [&stage.names.tracking_queue, &stage.names.unroutable_queue] {
        let received = stage.drain(queue, 1).await?;
        ensure!(received[0].body() == "1" && received[0].routing_key == "export.project");
    }
    // Once somebody owns it, the alternate is out.
    let export = stage.service("export").await?;
    stage.publish(&tasks, "export.project", &["2"]).await?;
    ensure!(stage.drain(&export, 1).await?[0].body() == "2");
    ensure!(stage.drain(&stage.names.tracking_queue, 1).await?[0].body() == "2");
    stage.wait_ready(&stage.names.unroutable_queue, 0).await
}

pub async fn what_the_platform_sends_again_is_not_tracked_twice(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let export = stage.service("export").await?;
    let requeue = stage.names.requeue.clone();
    stage.publish(&requeue, "export.project", &["1"]).await?;
    ensure!(stage.drain(&export, 1).await?[0].body() == "1");
    stage.publish(&requeue, "nobody.home", &["2"]).await?;
    ensure!(stage.drain(&stage.names.unroutable_queue, 1).await?[0].body() == "2");
    stage.wait_ready(&stage.names.tracking_queue, 0).await
}

pub async fn a_queue_that_is_reached_by_two_ways_gets_one_copy(stage: Stage) -> anyhow::Result<()> {
    let source = stage.exchange("source", ExchangeKind::Topic).await?;
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    for key in ["#", "a.*", "a.b"] {
        stage.bind_queue(&source, &queue, key).await?;
    }
    for name in ["left", "right"] {
        let way = stage.exchange(name, ExchangeKind::Fanout).await?;
        stage.bind(&source, to(&way), "#", Headers::new()).await?;
        stage.bind_queue(&way, &queue, "").await?;
    }
    stage.publish(&source, "a.b", &["1", "2"]).await?;
    let received = stage.drain(&queue, 2).await?;
    ensure!(received[0].body() == "1" && received[1].body() == "2");
    stage.wait_ready(&queue, 0).await
}

pub async fn exchanges_bound_in_a_ring_pass_a_message_on_once(stage: Stage) -> anyhow::Result<()> {
    let one = stage.exchange("one", ExchangeKind::Topic).await?;
    let two = stage.exchange("two", ExchangeKind::Topic).await?;
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.bind(&one, to(&two), "#", Headers::new()).await?;
    stage.bind(&two, to(&one), "#", Headers::new()).await?;
    stage.bind(&one, to(&one), "#", Headers::new()).await?;
    stage.bind_queue(&two, &queue, "#").await?;
    stage.publish(&one, "k", &["1"]).await?;
    stage.wait_ready(&queue, 1).await
}

pub async fn an_alternate_is_asked_only_when_no_binding_was_taken(
    stage: Stage,
) -> anyhow::Result<()> {
    let alternate = stage.exchange("alternate", ExchangeKind::Fanout).await?;
    let aside = stage.queue("aside", QueueKind::Quorum, &[]).await?;
    stage.bind_queue(&alternate, &aside, "").await?;
    let mut outer = exchange("outer", ExchangeKind::Topic);
    outer.alternate = Some(alternate);
    let outer_name = outer.name.clone();
    stage.apply(vec![Item::Exchange(outer)]).await?;
    let inner = stage.exchange("inner", ExchangeKind::Topic).await?;
    stage
        .bind(&outer_name, to(&inner), "a.#", Headers::new())
        .await?;
    // The binding to `inner` was taken, though nothing is behind it.
    stage.publish(&outer_name, "a.b", &["lost"]).await?;
    stage.publish(&outer_name, "b", &["saved"]).await?;
    ensure!(stage.drain(&aside, 1).await?[0].body() == "saved");
    stage.wait_ready(&aside, 0).await
}

/// Pattern, keys that it takes, keys that it does not.
const PATTERNS: [(&str, &[&str], &[&str]); 10] = [
    (
        "export.#",
        &["export", "export.a", "export.a.b", "export."],
        &["exports.a", "", "a.export"],
    ),
    (
        "*.*.export.#",
        &["0.1.export", "..export.a"],
        &["0.export", "0.1.2.export"],
    ),
    ("a.*", &["a.b", "a."], &["a", "a.b.c"]),
    ("#", &["", "a", "a.b", "."], &[]),
    ("*", &["x"], &["", ".", "a.b"]),
    ("", &[""], &[".", "a"]),
    ("#.a", &["a", ".a", "b.a", "a.a"], &["a.b", "", "ba"]),
    ("*.#", &["a", "a.b", "."], &[""]),
    ("#.#", &["", "a.b"], &[]),
    ("a.#.b", &["a.b", "a..b", "a.x.b.b"], &["a", "a.b.c", "b"]),
];

pub async fn patterns_match_word_by_word(stage: Stage) -> anyhow::Result<()> {
    let source = stage.exchange("x", ExchangeKind::Topic).await?;
    for (at, (pattern, takes, leaves)) in PATTERNS.into_iter().enumerate() {
        let queue = stage
            .queue(&format!("q{at}"), QueueKind::Classic, &[])
            .await?;
        stage.bind_queue(&source, &queue, pattern).await?;
        for key in leaves.iter().chain(takes) {
            stage.publish(&source, key, &[key]).await?;
        }
        let received = stage.drain(&queue, takes.len()).await?;
        let keys: Vec<_> = received.iter().map(|one| one.body()).collect();
        ensure!(keys == *takes, "{pattern:?} took {keys:?}");
        stage.wait_ready(&queue, 0).await?;
        stage.transport.delete_queue(&queue).await?;
    }
    Ok(())
}

type Pairs = &'static [(&'static str, &'static str)];

/// Arguments of the binding (`-`: only has to be there), headers of the message, whether they match.
const HEADER_MATCHES: [(Pairs, Pairs, bool); 12] = [
    (&[], &[], true),
    (&[("a", "1")], &[("a", "1"), ("b", "2")], true),
    (&[("a", "1"), ("b", "3")], &[("a", "1"), ("b", "2")], false),
    (
        &[("x-match", "any"), ("a", "1"), ("b", "3")],
        &[("a", "1"), ("b", "2")],
        true,
    ),
    (&[("x-match", "any"), ("c", "1")], &[("a", "1")], false),
    (&[("x-match", "any")], &[("a", "1")], false),
    (
        &[("x-match", "all"), ("a", "-")],
        &[("a", "whatever")],
        true,
    ),
    (
        &[("x-match", "all"), ("a", "-")],
        &[("b", "whatever")],
        false,
    ),
    (&[("x-match", "all"), ("x-a", "1")], &[], true),
    (&[("x-match", "all-with-x"), ("x-a", "1")], &[], false),
    (&[("x-match", "any"), ("x-a", "1")], &[("x-a", "1")], false),
    (
        &[("x-match", "any-with-x"), ("x-a", "1")],
        &[("x-a", "1")],
        true,
    ),
];

pub async fn headers_are_matched_as_the_binding_asks(stage: Stage) -> anyhow::Result<()> {
    let source = stage.exchange("x", ExchangeKind::Headers).await?;
    let publisher = stage.publisher();
    for (at, (asked, given, taken)) in HEADER_MATCHES.into_iter().enumerate() {
        let queue = stage
            .queue(&format!("q{at}"), QueueKind::Classic, &[])
            .await?;
        stage
            .bind(
                &source,
                Destination::Queue(queue.clone()),
                "",
                headers(asked),
            )
            .await?;
        let mut matched = message(&source, "ignored", "by headers");
        matched.content.headers = headers(given);
        publisher.publish(matched).await?;
        stage.fill(&queue, &["directly"]).await?;
        let first = stage.drain(&queue, 1).await?;
        let came = first[0].body() == "by headers";
        ensure!(came == taken, "{asked:?} / {given:?}: {came}");
        stage.transport.delete_queue(&queue).await?;
    }
    Ok(())
}

fn headers(pairs: Pairs) -> Headers {
    let value = |value: &str| match value {
        "-" => HeaderValue::Null,
        text => text.into(),
    };
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), value(text)))
        .collect()
}

pub async fn direct_and_default_exchanges_go_by_the_very_key(stage: Stage) -> anyhow::Result<()> {
    let direct = stage.exchange("direct", ExchangeKind::Direct).await?;
    let a = stage.queue("a.#", QueueKind::Quorum, &[]).await?;
    let b = stage.queue("b", QueueKind::Quorum, &[]).await?;
    stage.bind_queue(&direct, &a, "#").await?;
    stage.bind_queue(&direct, &b, "k").await?;
    stage.publish(&direct, "k", &["direct"]).await?;
    stage.fill(&a, &["default"]).await?;
    ensure!(stage.drain(&b, 1).await?[0].body() == "direct");
    let received = stage.drain(&a, 1).await?;
    ensure!(received[0].body() == "default" && received[0].exchange == "");
    for queue in [&a, &b] {
        stage.wait_ready(queue, 0).await?;
    }
    let nobody = QueueName::new("a.b")?;
    stage.fill(&nobody, &["dropped"]).await
}

fn to(exchange: &ExchangeName) -> Destination {
    Destination::Exchange(exchange.clone())
}
