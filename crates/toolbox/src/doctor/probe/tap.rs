//! Looking at what arrives in a queue that others consume, so that no probe reaches them.

use crate::message::Content;
use crate::names::{CANARY, QueueName};
use crate::transport::amqp::AmqpTransport;
use crate::transport::link::{Arrival, Frame, Link, Settlement};
use crate::transport::{Transport, TransportError};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// Name of the consumer.
const TAG: &str = "probe";

/// Messages that may be held at once. Real tasks may come in between, and a probe that found no room would go to
/// somebody who cannot run it: so there is room for more than a broker routes meanwhile.
const ROOM: u16 = 10_000;

/// So long nothing may come before a probe is sent. In a busy queue, what comes in between would have to be given
/// back, and each return counts towards the delivery limit of its message.
const SILENCE: Duration = Duration::from_millis(50);

/// So long a second copy may take that should not come.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// The consumer in front of all others of one queue.
pub(super) struct Tap {
    link: Box<dyn Link>,
    /// How often each probe came.
    seen: BTreeMap<Uuid, u32>,
    /// Deliveries of probes. All others go back when the channel is closed.
    probes: Vec<u64>,
    /// Whether others consume the queue.
    is_consumed: bool,
}

/// Why a queue is not to be disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// So many messages wait in it, and a probe would wait behind them.
    Backlog(u32),
    /// Messages come all the time.
    Traffic,
}

/// What becomes of the probes that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// They are gone.
    Remove,
    /// Whoever consumes the queue gets them.
    Leave,
}

impl Tap {
    /// Steps in front of everybody who consumes `queue`, unless it is in use.
    pub(super) async fn open(
        transport: &AmqpTransport,
        queue: &QueueName,
    ) -> Result<Result<Self, Busy>, TransportError> {
        let depth = transport.depth(queue).await?;
        let depth = depth.ok_or_else(|| TransportError::NoQueue {
            queue: queue.clone(),
        })?;
        if depth.ready > 0 {
            return Ok(Err(Busy::Backlog(depth.ready)));
        }
        let mut tap = Self {
            link: transport.first_in_line(queue, TAG, ROOM).await?,
            seen: BTreeMap::new(),
            probes: Vec::new(),
            is_consumed: depth.consumers > 0,
        };
        if tap.arrival(Instant::now() + SILENCE).await?.is_some() {
            tap.close(Then::Leave).await;
            return Ok(Err(Busy::Traffic));
        }
        Ok(Ok(tap))
    }

    /// Waits until all of `probes` have come, and a little longer, or until `until`.
    pub(super) async fn wait_for(
        &mut self,
        probes: &[Uuid],
        until: Instant,
    ) -> Result<(), TransportError> {
        while !probes.iter().all(|probe| self.seen.contains_key(probe)) {
            if self.arrival(until).await?.is_none() {
                return Ok(());
            }
        }
        let until = Instant::now() + AFTERWARDS;
        while self.arrival(until).await?.is_some() {}
        Ok(())
    }

    /// How often a probe came.
    pub(super) fn times(&self, probe: &Uuid) -> u32 {
        self.seen.get(probe).copied().unwrap_or(0)
    }

    /// What becomes of probes in a queue of the platform: the daemon knows what they are, and where none runs,
    /// nobody else would remove them.
    pub(super) fn afterwards(&self) -> Then {
        match self.is_consumed {
            true => Then::Leave,
            false => Then::Remove,
        }
    }

    /// Steps back. What is no probe is there again as soon as the channel is closed.
    pub(super) async fn close(mut self, then: Then) {
        // First, so that what is given back does not come here again.
        let _ = self.link.cancel(TAG).await;
        let removed = match then {
            Then::Remove => self.probes.as_slice(),
            Then::Leave => &[],
        };
        let frames: Vec<_> = removed.iter().map(|tag| acknowledged(*tag)).collect();
        // Where that fails the channel is gone, and the probes are back in their queue.
        let _ = self.link.settle_last(&frames).await;
        self.link.close().await;
    }

    /// The next message; `None`: none came in time.
    async fn arrival(&mut self, until: Instant) -> Result<Option<()>, TransportError> {
        let next = poll_fn(|cx| self.link.poll_next(cx));
        let Ok(arrival) = timeout_at(until, next).await else {
            return Ok(None);
        };
        let Arrival { tag, content, .. } = arrival?;
        if let Some(probe) = probe_of(&content) {
            *self.seen.entry(probe).or_default() += 1;
            self.probes.push(tag);
        }
        Ok(Some(()))
    }
}

fn acknowledged(tag: u64) -> Frame {
    Frame {
        tag,
        multiple: false,
        how: Settlement::Ack,
    }
}

/// Which probe this message is, if it is one.
fn probe_of(content: &Content) -> Option<Uuid> {
    if content.headers.text("task") != Some(CANARY) {
        return None;
    }
    content.headers.text("id")?.parse().ok()
}
