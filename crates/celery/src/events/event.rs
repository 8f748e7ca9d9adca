//! What an event is on the wire.

use crate::json::bytes;
use crate::node::Node;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::message::{Content, names};
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::transport::Publication;
use serde::Serialize;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    WorkerOnline,
    WorkerHeartbeat,
    WorkerOffline,
    TaskSent,
    TaskReceived,
    TaskStarted,
    TaskSucceeded,
    TaskFailed,
    TaskRetried,
    TaskRevoked,
    TaskRejected,
}

impl Kind {
    /// Its name in the event, and the key that it is sent with.
    pub(crate) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::WorkerOnline => ("worker-online", "worker.online"),
            Self::WorkerHeartbeat => ("worker-heartbeat", "worker.heartbeat"),
            Self::WorkerOffline => ("worker-offline", "worker.offline"),
            Self::TaskSent => ("task-sent", "task.sent"),
            Self::TaskReceived => ("task-received", "task.received"),
            Self::TaskStarted => ("task-started", "task.started"),
            Self::TaskSucceeded => ("task-succeeded", "task.succeeded"),
            Self::TaskFailed => ("task-failed", "task.failed"),
            Self::TaskRetried => ("task-retried", "task.retried"),
            Self::TaskRevoked => ("task-revoked", "task.revoked"),
            Self::TaskRejected => ("task-rejected", "task.rejected"),
        }
    }
}

/// Who says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The name of the node.
    pub(crate) hostname: &'a str,
    pub(crate) node: &'a Node,
}

/// An event, written.
#[derive(Debug)]
pub(crate) struct Event {
    kind: Kind,
    body: Vec<u8>,
}

/// What all events have. They tell no `utcoffset`: by that a receiver moves the time, which is the same everywhere.
#[derive(Serialize)]
struct Body<'a, F> {
    #[serde(rename = "type")]
    kind: &'static str,
    hostname: &'a str,
    pid: u32,
    clock: u64,
    /// Seconds since 1970.
    timestamp: f64,
    #[serde(flatten)]
    fields: &'a F,
}

impl Event {
    /// That this happened `now`.
    pub(crate) fn new(
        kind: Kind,
        origin: Origin<'_>,
        now: DateTime<Utc>,
        fields: &impl Serialize,
    ) -> Self {
        let body = Body {
            kind: kind.names().0,
            hostname: origin.hostname,
            pid: std::process::id(),
            clock: origin.node.tick(),
            timestamp: now.timestamp_micros() as f64 / 1e6,
            fields,
        };
        Self {
            kind,
            body: bytes(&body),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.body.len()
    }

    /// The message for those who look.
    pub(crate) fn to(self, exchange: ExchangeName, hostname: &str) -> Publication {
        let mut content = Content::json(self.body);
        content.properties.persistent = false;
        content.headers.push("hostname", hostname);
        content
            .headers
            .push(names::BY_COUNTERFOIL, env!("CARGO_PKG_VERSION"));
        Publication {
            exchange,
            routing_key: RoutingKey::new(self.kind.names().1).expect("two words and a dot"),
            content,
        }
    }
}
