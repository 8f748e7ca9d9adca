//! Waiting for messages, for their absence, and for a status.

use super::stage::LONG;
use crate::patience;
use anyhow::Context as _;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::transport::{Delivery, Subscription, SubscriptionStatus};
use std::time::Duration;

/// How long nothing may come where nothing must.
const QUIET: Duration = Duration::from_millis(400);

/// A message that was acknowledged.
#[derive(Debug)]
pub struct Received {
    pub content: Content,
    pub exchange: ExchangeName,
    pub routing_key: RoutingKey,
}

impl From<Delivery> for Received {
    fn from(delivery: Delivery) -> Self {
        let received = Self {
            content: delivery.content.clone(),
            exchange: delivery.exchange.clone(),
            routing_key: delivery.routing_key.clone(),
        };
        let _ = delivery.ack();
        received
    }
}

impl Received {
    #[must_use]
    pub fn body(&self) -> String {
        String::from_utf8_lossy(&self.content.body).into_owned()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.content.headers.text(name)
    }
}

/// The next message, which must come.
pub(super) async fn next(subscription: &mut Subscription) -> anyhow::Result<Delivery> {
    tokio::time::timeout(patience(LONG), subscription.next())
        .await
        .context("waited in vain for a message")?
        .context("the subscription ended")
}

/// The bodies of the next `n` messages, each acknowledged.
pub(super) async fn take(subscription: &mut Subscription, n: usize) -> anyhow::Result<Vec<String>> {
    let mut bodies = Vec::with_capacity(n);
    while bodies.len() < n {
        let delivery = next(subscription).await?;
        bodies.push(body(&delivery));
        let _ = delivery.ack();
    }
    Ok(bodies)
}

/// No message may come.
pub(super) async fn nothing(subscription: &mut Subscription) -> anyhow::Result<()> {
    nothing_for(subscription, QUIET).await
}

/// No message may come for a while.
pub(super) async fn nothing_for(
    subscription: &mut Subscription,
    quiet: Duration,
) -> anyhow::Result<()> {
    match tokio::time::timeout(quiet, subscription.next()).await {
        Err(_) => Ok(()),
        Ok(Some(delivery)) => anyhow::bail!("{:?} came, and nothing was to come", body(&delivery)),
        Ok(None) => anyhow::bail!("the subscription ended"),
    }
}

/// Waits for a status.
pub(super) async fn status(
    subscription: &Subscription,
    what: &str,
    wanted: impl FnMut(&SubscriptionStatus) -> bool,
) -> anyhow::Result<SubscriptionStatus> {
    let mut status = subscription.status();
    let waiting = tokio::time::timeout(patience(LONG), status.wait_for(wanted));
    let found = waiting.await.with_context(|| format!("never {what}"))??;
    Ok(found.clone())
}

/// The body as text.
pub(super) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}
