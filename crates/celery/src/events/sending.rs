//! Sending events, and signs of life.

use super::Events;
use super::event::{Event, Kind, Origin};
use crate::node::Node;
use chrono::Utc;
use counterfoil_toolbox::transport::{Confirm, PublishError, Publisher, PublisherOptions};
use counterfoil_worker::extension::Beside;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Time from one sign of life to the next, as Celery has it.
const BEAT: Duration = Duration::from_secs(2);

/// What could not be sent for so long is of no use any more: monitors keep events for that time.
pub(super) const STALE: Duration = Duration::from_secs(5);

/// How long nothing is sent after the broker refused something: it costs a channel each time.
const REFUSED: Duration = Duration::from_secs(60);

/// How seldom the log repeats that events are dropped.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Longest time for the last events, and again for the last sign of life.
const FAREWELL: Duration = Duration::from_millis(900);

/// What is told of a worker.
#[derive(Debug, Serialize)]
pub(super) struct OfWorker {
    /// Seconds to the next sign of life.
    pub(super) freq: f64,
    pub(super) sw_ident: &'static str,
    pub(super) sw_ver: &'static str,
    pub(super) sw_sys: &'static str,
    pub(super) active: u64,
    pub(super) processed: u64,
    pub(super) loadavg: [f64; 3],
}

impl OfWorker {
    fn now(worker: &Beside) -> Self {
        let active = worker.running();
        Self {
            freq: BEAT.as_secs_f64(),
            sw_ident: "counterfoil",
            sw_ver: env!("CARGO_PKG_VERSION"),
            sw_sys: match std::env::consts::OS {
                "linux" => "Linux",
                "macos" => "Darwin",
                other => other,
            },
            active,
            // Celery counts a task when it begins.
            processed: worker.processed() + active,
            loadavg: load_average(),
        }
    }
}

/// How busy the machine was, as far as it says so.
fn load_average() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

/// Sends events until the worker is over.
pub(super) async fn send(events: Events, node: Node, worker: Beside) {
    let options = PublisherOptions {
        confirm_timeout: Some(STALE),
        ..PublisherOptions::default()
    };
    let mut sender = Sender {
        publisher: worker.transport.publisher(options),
        events,
        node,
        worker: worker.clone(),
        sign: None,
        refused: None,
        dropped: 0,
        said_dropped: None,
    };
    tokio::select! {
        biased;
        () = worker.over() => {}
        () = sender.go_on() => {}
    }
    sender.take_leave().await;
    sender.events.0.are_sent.store(false, Ordering::Relaxed);
}

struct Sender {
    events: Events,
    node: Node,
    worker: Beside,
    publisher: Publisher,
    /// The answer to a sign of life: it shows whether the broker takes any.
    sign: Option<Confirm>,
    /// When the broker refused something.
    refused: Option<Instant>,
    /// Events that were dropped, and not told of.
    dropped: u64,
    said_dropped: Option<Instant>,
}

impl Sender {
    async fn go_on(&mut self) {
        self.say(Kind::WorkerOnline).await;
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        let (events, node) = (self.events.clone(), self.node.clone());
        loop {
            tokio::select! {
                biased;
                answer = answer(&mut self.sign), if self.sign.is_some() => self.learn(answer),
                _ = beat.tick() => self.beat().await,
                () = node.is_asked_to_beat() => self.beat().await,
                event = events.0.outbox.next() => {
                    self.post(event).await;
                }
            }
        }
    }

    async fn beat(&mut self) {
        self.tell_of_dropped();
        self.say(Kind::WorkerHeartbeat).await;
    }

    /// Tells of the worker itself.
    async fn say(&mut self, kind: Kind) {
        let event = self.sign_of_life(kind);
        let confirm = self.post(event).await;
        // One that is not answered yet is waited for, or no slow answer would be heard.
        self.sign = self.sign.take().or(confirm);
    }

    fn sign_of_life(&self, kind: Kind) -> Event {
        let origin = Origin {
            hostname: self.node.name(&self.worker.worker),
            node: &self.node,
        };
        Event::new(kind, origin, Utc::now(), &OfWorker::now(&self.worker))
    }

    /// Sends an event without waiting for what the broker says. `None`: it is not sent.
    async fn post(&mut self, event: Event) -> Option<Confirm> {
        if self.refused.is_some_and(|at| at.elapsed() < REFUSED) {
            return None;
        }
        let exchange = self.worker.names.celeryev.clone();
        let publication = event.to(exchange, self.node.name(&self.worker.worker));
        self.publisher.enqueue(publication).await.ok()
    }

    fn learn(&mut self, answer: Result<(), PublishError>) {
        self.sign = None;
        // A broker that is away does not count: it is told what comes later.
        let is_refused = matches!(answer, Err(PublishError::Refused { .. }));
        if is_refused || answer.is_ok() {
            let are_refused = &self.events.0.are_refused;
            are_refused.store(is_refused, Ordering::Relaxed);
        }
        let Err(PublishError::Refused { exchange, reason }) = answer else {
            return;
        };
        if self.refused.replace(Instant::now()).is_none() {
            let missing = "deploy/rabbitmq/permissions --events; or let the worker send none, with Celery::without_events()";
            tracing::warn!(
                exchange,
                reason,
                missing,
                "the broker takes no events of this worker, so Celery's monitors do not see it"
            );
        }
    }

    fn tell_of_dropped(&mut self) {
        self.dropped += self.events.0.outbox.dropped();
        let is_known = self
            .said_dropped
            .is_some_and(|at| at.elapsed() < TELL_AGAIN);
        if self.dropped > 0 && !is_known {
            let count = std::mem::take(&mut self.dropped);
            tracing::warn!(
                count,
                "events for Celery's monitors were dropped: there were more than the broker took"
            );
            self.said_dropped = Some(Instant::now());
        }
    }

    /// Sends what is left, and that the worker is gone. Monitors that do not hear of it see its silence.
    async fn take_leave(&mut self) {
        let events = self.events.clone();
        let rest = async {
            while let Some(event) = events.0.outbox.try_next() {
                self.post(event).await;
            }
        };
        let _ = timeout(FAREWELL, rest).await;
        let last = async {
            let event = self.sign_of_life(Kind::WorkerOffline);
            if let Some(confirm) = self.post(event).await {
                let _ = confirm.await;
            }
        };
        let _ = timeout(FAREWELL, last).await;
    }
}

/// What the broker says to a sign of life.
async fn answer(sign: &mut Option<Confirm>) -> Result<(), PublishError> {
    match sign {
        Some(confirm) => confirm.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "sending_tests.rs"]
mod tests;
