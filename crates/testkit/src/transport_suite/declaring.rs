//! Creating, comparing and deleting exchanges, queues and bindings.

use super::stage::Stage;
use super::values::{exchange, queue};
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::message::Headers;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::{
    self, Binding, Destination, ExchangeKind, Item, ItemState, Queue, QueueKind, QueueSettings,
};
use counterfoil_toolbox::transport::{Declare, DeclareError, TransportError};

pub async fn the_whole_topology_applies_twice_and_then_plans_as_present(
    stage: Stage,
) -> anyhow::Result<()> {
    for _ in 0..2 {
        stage.platform().await?;
        stage.delay_levels().await?;
        stage.service("export").await?;
    }
    let items = topology::platform(&stage.names, QueueSettings::Arguments);
    for finding in topology::plan(&*stage.transport, items).await? {
        let expected = match finding.item {
            Item::Binding(_) => ItemState::Unknown,
            Item::Exchange(_) | Item::Queue(_) => ItemState::Present,
        };
        ensure!(
            finding.state == expected,
            "{}: {:?}",
            finding.item,
            finding.state
        );
    }
    Ok(())
}

pub async fn what_is_missing_is_found_missing_and_not_created_by_looking(
    stage: Stage,
) -> anyhow::Result<()> {
    let items = [
        Item::Queue(queue("nowhere", QueueKind::Quorum, &[])),
        Item::Exchange(exchange("nowhere", ExchangeKind::Topic)),
    ];
    for item in items.iter().chain(&items) {
        let looked = stage.transport.declare(item, Declare::Passive).await;
        ensure!(
            matches!(looked, Err(DeclareError::Missing { .. })),
            "{looked:?}"
        );
    }
    ensure!(
        stage
            .transport
            .depth(&QueueName::new("nowhere")?)
            .await?
            .is_none()
    );
    let findings = topology::plan(&*stage.transport, items.to_vec()).await?;
    ensure!(
        findings
            .iter()
            .all(|finding| finding.state == ItemState::Missing)
    );
    Ok(())
}

pub async fn a_queue_with_other_arguments_is_told_apart_in_the_brokers_words(
    stage: Stage,
) -> anyhow::Result<()> {
    let limit = |n: i64| ("x-delivery-limit", n.into());
    let name = stage.queue("q", QueueKind::Quorum, &[limit(20)]).await?;
    let others = [
        (
            queue("q", QueueKind::Classic, &[]),
            "inequivalent arg 'x-queue-type' for queue 'q' in vhost",
            "received none but current is the value 'quorum' of type 'longstr'",
        ),
        (
            queue("q", QueueKind::Quorum, &[limit(21)]),
            "inequivalent arg 'x-delivery-limit' for queue 'q' in vhost",
            "received '21' but current is '20'",
        ),
        (
            queue(
                "q",
                QueueKind::Quorum,
                &[limit(20), ("x-message-ttl", 5_i64.into())],
            ),
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost",
            "received the value '5' of type 'signedint' but current is none",
        ),
    ];
    for (other, which, how) in others {
        let words = difference(&stage, Item::Queue(other)).await?;
        ensure!(words.contains(which) && words.contains(how), "{words}");
    }
    // Looking compares names only, and a refusal changes nothing.
    let other = Item::Queue(queue("q", QueueKind::Classic, &[]));
    stage.transport.declare(&other, Declare::Passive).await?;
    stage.queue("q", QueueKind::Quorum, &[limit(20)]).await?;
    stage.fill(&name, &["still in use"]).await
}

pub async fn an_exchange_of_another_kind_is_told_apart_in_the_brokers_words(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.exchange("x", ExchangeKind::Topic).await?;
    let mut internal = exchange("x", ExchangeKind::Topic);
    internal.internal = true;
    let mut with_alternate = exchange("x", ExchangeKind::Topic);
    with_alternate.alternate = Some(ExchangeName::new("y")?);
    let others = [
        (
            exchange("x", ExchangeKind::Fanout),
            "'type'",
            "received 'fanout' but current is 'topic'",
        ),
        (
            internal,
            "'internal'",
            "received 'true' but current is 'false'",
        ),
        (
            with_alternate,
            "'alternate-exchange'",
            "received the value 'y' of type 'longstr' but current is none",
        ),
    ];
    for (other, which, how) in others {
        let words = difference(&stage, Item::Exchange(other)).await?;
        let which = format!("inequivalent arg {which} for exchange 'x' in vhost");
        ensure!(words.contains(&which) && words.contains(how), "{words}");
    }
    Ok(())
}

async fn difference(stage: &Stage, item: Item) -> anyhow::Result<String> {
    match stage.transport.declare(&item, Declare::Active).await {
        Err(DeclareError::Differs { difference, .. }) => Ok(difference),
        other => anyhow::bail!("{item}: {other:?}"),
    }
}

pub async fn arguments_that_make_no_sense_are_refused(stage: Stage) -> anyhow::Result<()> {
    let wrong: [Queue; 5] = [
        queue(
            "q",
            QueueKind::Classic,
            &[("x-message-ttl", (-1_i64).into())],
        ),
        queue("q", QueueKind::Quorum, &[("x-max-length", "many".into())]),
        queue("q", QueueKind::Classic, &[("x-overflow", "explode".into())]),
        queue(
            "q",
            QueueKind::Classic,
            &[("x-delivery-limit", 5_i64.into())],
        ),
        queue(
            "q",
            QueueKind::Classic,
            &[("x-dead-letter-routing-key", "k".into())],
        ),
    ];
    for queue in wrong {
        let (argument, _) = queue.arguments.iter().next().context("each has one")?;
        let argument = argument.to_owned();
        let declared = stage
            .transport
            .declare(&Item::Queue(queue), Declare::Active)
            .await;
        let named = matches!(&declared, Err(DeclareError::Invalid { reason, .. }) if reason.contains(&argument));
        ensure!(named, "{argument}: {declared:?}");
    }
    let source = stage.exchange("h", ExchangeKind::Headers).await?;
    let target = stage.queue("q", QueueKind::Classic, &[]).await?;
    let mut arguments = Headers::new();
    arguments.push("x-match", "most");
    let binding = Item::Binding(Binding {
        source,
        destination: Destination::Queue(target),
        key: RoutingKey::new("")?,
        arguments,
    });
    let bound = stage.transport.declare(&binding, Declare::Active).await;
    ensure!(
        matches!(bound, Err(DeclareError::Invalid { .. })),
        "{bound:?}"
    );
    Ok(())
}

pub async fn a_binding_needs_both_its_ends(stage: Stage) -> anyhow::Result<()> {
    let exchange = stage.exchange("x", ExchangeKind::Topic).await?;
    let queue = stage.queue("q", QueueKind::Classic, &[]).await?;
    let no_exchange = ExchangeName::new("nowhere")?;
    let no_queue = QueueName::new("nowhere")?;
    let missing = [
        (&exchange, Destination::Queue(no_queue)),
        (&exchange, Destination::Exchange(no_exchange.clone())),
        (&no_exchange, Destination::Queue(queue.clone())),
    ];
    for (source, destination) in missing {
        let bound = stage.bind(source, destination, "#", Headers::new()).await;
        let error = bound.err().context("an end is missing")?;
        let missing = matches!(error.downcast_ref(), Some(DeclareError::Missing { .. }));
        ensure!(missing, "{error:?}");
    }
    stage.bind_queue(&exchange, &queue, "#").await?;
    // Setting a binding twice does nothing.
    stage.bind_queue(&exchange, &queue, "#").await?;
    stage.publish(&exchange, "k", &["once"]).await?;
    stage.wait_ready(&queue, 1).await
}

pub async fn the_default_exchange_cannot_be_declared(stage: Stage) -> anyhow::Result<()> {
    let item = Item::Exchange(exchange("", ExchangeKind::Direct));
    let declared = stage.transport.declare(&item, Declare::Active).await;
    let refused = matches!(
        &declared,
        Err(DeclareError::Transport(TransportError::Refused { reason, .. })) if reason.contains("ACCESS_REFUSED")
    );
    ensure!(refused, "{declared:?}");
    Ok(())
}

pub async fn deleting_what_is_not_there_is_fine(stage: Stage) -> anyhow::Result<()> {
    stage
        .transport
        .delete_queue(&QueueName::new("nowhere")?)
        .await?;
    stage
        .transport
        .delete_exchange(&ExchangeName::new("nowhere")?)
        .await?;
    Ok(())
}

pub async fn a_queue_created_again_is_empty_and_unbound(stage: Stage) -> anyhow::Result<()> {
    let source = stage.exchange("x", ExchangeKind::Topic).await?;
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.bind_queue(&source, &queue, "#").await?;
    stage.publish(&source, "k", &["1"]).await?;
    stage.wait_ready(&queue, 1).await?;
    stage.transport.delete_queue(&queue).await?;
    stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.publish(&source, "k", &["2"]).await?;
    stage.fill(&queue, &["3"]).await?;
    let received = stage.drain(&queue, 1).await?;
    ensure!(received[0].body() == "3", "{received:?}");
    stage.wait_ready(&queue, 0).await
}

pub async fn the_broker_says_who_it_is(stage: Stage) -> anyhow::Result<()> {
    let server = stage.transport.server().await?;
    let known = ["memory", "RabbitMQ"].contains(&server.product.as_str());
    ensure!(known && !server.version.is_empty(), "{server:?}");
    Ok(())
}
