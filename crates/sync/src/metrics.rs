//! What the daemon counts. The names are those of `counterfoil_toolbox::telemetry::metrics`.

use crate::feeds::Feed;
use counterfoil_store::OutboxState;
use counterfoil_toolbox::telemetry::metrics as name;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::time::Duration;

/// Everything that one daemon counts.
pub(crate) struct Metrics {
    /// Of each feed, in the order of [`Feed::ALL`].
    messages: [Counter; 7],
    events: Counter,
    batch_messages: Histogram,
    batch_seconds: Histogram,
    lag: Gauge,
    backlog: [(Feed, Gauge); 2],
    held: Gauge,
    parked: Counter,
    deaths: Counter,
    outbox: [Gauge; 3],
    sessions: Gauge,
    rescues: Counter,
    canaries_missed: Counter,
    leader: Gauge,
    ready: Gauge,
}

/// What one batch held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Content {
    /// Messages of each feed, in the order of [`Feed::ALL`].
    pub(crate) messages: [u64; 7],
    pub(crate) events: u64,
    pub(crate) parked: u64,
    pub(crate) deaths: u64,
    /// Age of its oldest event when it was written.
    pub(crate) lag: Option<Duration>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let of_queue = |feed: Feed| counter!(name::MESSAGES_READ, "queue" => feed.as_str());
        let waiting = |feed: Feed| gauge!(name::BACKLOG, "queue" => feed.as_str());
        let outbox = |state: &'static str| gauge!(name::OUTBOX, "state" => state);
        Self {
            messages: Feed::ALL.map(of_queue),
            events: counter!(name::EVENTS),
            batch_messages: histogram!(name::BATCH_MESSAGES),
            batch_seconds: histogram!(name::BATCH_SECONDS),
            lag: gauge!(name::LAG_SECONDS),
            backlog: [Feed::Tracking, Feed::Events].map(|feed| (feed, waiting(feed))),
            held: gauge!(name::HELD),
            parked: counter!(name::PARKED),
            deaths: counter!(name::DEATHS),
            outbox: ["due", "later", "refused"].map(outbox),
            sessions: gauge!(name::SESSIONS_OPEN),
            rescues: counter!(name::RESCUES),
            canaries_missed: counter!(name::CANARIES_MISSED),
            leader: gauge!(name::LEADER),
            ready: gauge!(name::READY),
        }
    }

    /// A batch was written and acknowledged.
    pub(crate) fn settled(&self, content: &Content) {
        for (counter, count) in self.messages.iter().zip(content.messages) {
            counter.increment(count);
        }
        self.events.increment(content.events);
        self.parked.increment(content.parked);
        self.deaths.increment(content.deaths);
        let messages = content.messages.iter().sum::<u64>();
        #[allow(clippy::cast_precision_loss, reason = "a batch has some hundreds")]
        self.batch_messages.record(messages as f64);
        if let Some(lag) = content.lag {
            self.lag.set(lag.as_secs_f64());
        }
    }

    /// Writing a batch took so long.
    pub(crate) fn wrote_in(&self, time: Duration) {
        self.batch_seconds.record(time.as_secs_f64());
    }

    /// So many messages have come and are not being written yet.
    pub(crate) fn holds(&self, messages: usize) {
        #[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
        self.held.set(messages as f64);
    }

    /// The database is behind by this; `None`: nothing waits.
    pub(crate) fn lags(&self, by: Option<Duration>) {
        self.lag.set(by.unwrap_or_default().as_secs_f64());
    }

    pub(crate) fn backlog(&self, feed: Feed, ready: u32) {
        if let Some((_, gauge)) = self.backlog.iter().find(|(of, _)| *of == feed) {
            gauge.set(f64::from(ready));
        }
    }

    /// `None`: this daemon does not lead.
    pub(crate) fn outbox(&self, state: Option<OutboxState>) {
        let state = state.unwrap_or_default();
        let counts = [state.waiting, state.later, state.refused];
        for (gauge, count) in self.outbox.iter().zip(counts) {
            gauge.set(as_f64(count));
        }
    }

    pub(crate) fn sessions(&self, open: i64) {
        self.sessions.set(as_f64(open));
    }

    pub(crate) fn rescued(&self, tasks: usize) {
        self.rescues.increment(u64::try_from(tasks).unwrap_or(0));
    }

    pub(crate) fn canary_missed(&self) {
        self.canaries_missed.increment(1);
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(f64::from(u8::from(leads)));
    }

    pub(crate) fn ready(&self, ready: bool) {
        self.ready.set(f64::from(u8::from(ready)));
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_f64(count: i64) -> f64 {
    count as f64
}
