//! Ways to make the broker misbehave.

use super::broker::{Shared, State};
use super::channel::Gone;
use super::client::ClientId;
use crate::names::{QueueName, RoutingKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Makes a [`MemoryBroker`](super::MemoryBroker) misbehave, for tests.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
/// # use std::sync::Arc;
/// # use counterfoil_toolbox::transport::PublishError;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
/// let publisher = broker.publisher(PublisherOptions::default());
/// broker.faults().nack_next(1);
/// assert_eq!(publisher.publish(letter.clone()).await, Err(PublishError::Nacked));
/// assert_eq!(publisher.publish(letter).await, Ok(()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Faults {
    shared: Arc<Shared>,
    client: ClientId,
}

/// Faults that are waiting to happen.
#[derive(Debug, Default)]
pub(super) struct FaultState {
    nacks: usize,
    lost_confirms: usize,
    /// Routing keys of messages that are never confirmed.
    lost_confirms_of: BTreeSet<String>,
    /// Whose next acknowledgement is lost.
    lost_acks: BTreeSet<ClientId>,
    refused_until: Option<Instant>,
    blocked_until: Option<Instant>,
}

/// Why publishers wait, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hindrance {
    Refused(Instant),
    Blocked(Instant),
}

impl Hindrance {
    pub(super) fn until(self) -> Instant {
        match self {
            Self::Refused(until) | Self::Blocked(until) => until,
        }
    }
}

impl Faults {
    pub(super) fn new(shared: Arc<Shared>, client: ClientId) -> Self {
        Self { shared, client }
    }

    /// Breaks the consuming connection once: every channel ends with an error, and what was
    /// delivered and not settled goes back to its queue.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::{Content, Headers};
    /// # use counterfoil_toolbox::names::ExchangeName;
    /// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
    /// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # use counterfoil_toolbox::transport::Settled;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = MemoryBroker::new();
    /// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
    /// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
    /// # broker.declare(&item, Declare::Active).await?;
    /// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
    /// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
    /// # let mut subscription = Subscription::open(Arc::new(broker.clone()), SubscribeOptions::new(queue, 10));
    /// let lost = subscription.next().await.expect("one waits");
    /// broker.faults().close_consumers();
    /// let again = subscription.next().await.expect("it has reconnected");
    /// assert!(again.redelivered);
    /// assert_eq!(lost.ack(), Settled::Stale); // too late
    /// # Ok(()) }
    /// ```
    pub fn close_consumers(&self) {
        self.shared
            .with(|state| state.close_channels(self.client, &Gone::Lost));
    }

    /// Ends one of the channels that consume, the `pick`th of them and from the first again beyond the
    /// last; what was delivered to it and not settled goes back. Returns its queue; `None`: there is no
    /// such channel.
    #[must_use = "there may have been none to close"]
    pub fn close_consumer(&self, pick: u64) -> Option<QueueName> {
        self.shared.with(|state| state.close_one(self.client, pick))
    }

    /// Loses the next acknowledgement, and whatever is settled with it, together with its channel: the
    /// messages are delivered once more although they were settled.
    pub fn lose_next_acks(&self) {
        self.shared
            .with(|state| state.faults.lost_acks.insert(self.client));
    }

    /// Takes back what has not happened yet: nacks, lost confirms and acknowledgements, refusals and
    /// blocks, of every client.
    pub fn clear(&self) {
        self.shared
            .with(|state| state.faults = FaultState::default());
        self.shared.weather.send_replace(());
    }

    /// Nacks the next `n` messages without storing them.
    pub fn nack_next(&self, n: usize) {
        self.shared.with(|state| state.faults.nacks = n);
    }

    /// Stores the next `n` messages that it accepts, but never confirms them.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::{Content, Headers};
    /// # use counterfoil_toolbox::names::ExchangeName;
    /// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
    /// # use counterfoil_toolbox::transport::{Declare, Publication, PublishError, PublisherOptions, Transport, memory::MemoryBroker};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = MemoryBroker::new();
    /// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
    /// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
    /// # broker.declare(&item, Declare::Active).await?;
    /// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
    /// # let publisher = broker.publisher(PublisherOptions::default());
    /// broker.faults().lose_confirms(1);
    /// let outcome = publisher.publish(letter).await;
    /// assert!(matches!(outcome, Err(PublishError::ConfirmTimeout { .. }))); // and yet
    /// assert_eq!(broker.depth(&queue).await?.unwrap().ready, 1);
    /// # Ok(()) }
    /// ```
    pub fn lose_confirms(&self, n: usize) {
        self.shared.with(|state| state.faults.lost_confirms = n);
    }

    /// Stores messages with this routing key, but never confirms them, until that is [taken back](Self::clear).
    pub fn lose_confirms_of(&self, routing_key: &str) {
        let key = routing_key.to_owned();
        self.shared
            .with(|state| state.faults.lost_confirms_of.insert(key));
    }

    /// Cannot be reached for this long: consumers lose their channels, publishers wait, everything
    /// else fails. Zero ends it.
    pub fn refuse_connections(&self, time: Duration) {
        self.shared.with(|state| {
            state.faults.refused_until = Some(state.now + time);
            if !time.is_zero() {
                state.close_channels(ClientId::ALL, &Gone::Lost);
            }
        });
        self.shared.weather.send_replace(());
    }

    /// Takes nothing from publishers for this long, as under an alarm of memory or disk; all others go
    /// on. Zero ends it.
    pub fn block_publishers(&self, time: Duration) {
        self.shared.with(|state| {
            state.faults.blocked_until = Some(state.now + time);
        });
        self.shared.weather.send_replace(());
    }
}

impl FaultState {
    pub(super) fn take_nack(&mut self) -> bool {
        take_one(&mut self.nacks)
    }

    /// Whether an acknowledgement of `client` is lost, this once.
    pub(super) fn take_acks(&mut self, client: ClientId) -> bool {
        let hit = self.lost_acks.iter().find(|it| it.covers(client)).copied();
        hit.is_some_and(|it| self.lost_acks.remove(&it))
    }

    pub(super) fn is_never_confirmed(&self, routing_key: &RoutingKey) -> bool {
        self.lost_confirms_of.contains(routing_key.as_str())
    }

    pub(super) fn take_confirm(&mut self) -> bool {
        take_one(&mut self.lost_confirms)
    }
}

impl State {
    /// Until when connections are refused, if they are now.
    pub(super) fn refused_until(&self) -> Option<Instant> {
        self.faults.refused_until.filter(|until| *until > self.now)
    }

    /// What keeps publishers from being heard now.
    pub(super) fn hindrance(&self) -> Option<Hindrance> {
        let blocked = || self.faults.blocked_until.filter(|until| *until > self.now);
        let refused = self.refused_until().map(Hindrance::Refused);
        refused.or_else(|| blocked().map(Hindrance::Blocked))
    }
}

fn take_one(left: &mut usize) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}
