//! Sending batches, one after the other, each until it is confirmed.
//!
//! What the broker refuses stands in nobody's way. Batches of a service whose events it does not
//! take wait; the oldest is tried now and then, until the worker ends because of it. A batch that
//! it would never take is sent event by event.

use super::Before;
use super::apart::{Single, one_by_one, tell_instead};
use super::batch::Batch;
use crate::exit::Exit;
use crate::held::Held;
use crate::metrics::{Unsent, Up};
use crate::publish::{Refused, Sent, until_answered};
use crate::shared::Shared;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{Publication, Publisher};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// How long events may be refused before the worker ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause before what was refused is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// A batch as a message.
struct Parcel {
    service: Arc<str>,
    publication: Arc<Publication>,
    finished: Vec<Arc<Held>>,
    /// Its events count as not sent.
    _unsent: Up,
}

/// A service whose events the broker does not take.
struct Refusal {
    service: Arc<str>,
    /// When it began, and when the next event is tried.
    since: Instant,
    next_try: Instant,
}

/// What is on its way to the broker.
struct Outbox<'a> {
    shared: &'a Arc<Shared>,
    publisher: &'a Publisher,
    /// What is sent before anything else: what was refused, and what was taken apart.
    first: VecDeque<Parcel>,
    unsent: Unsent,
    /// At most one per service.
    refusals: Vec<Refusal>,
    /// What is told of tasks whose own last event cannot be sent.
    telling: JoinSet<()>,
}

/// Sends what is reported until the reporter is closed and empty, or the worker stops at once.
///
/// `publisher` must be mandatory: an event that no queue wants would be confirmed and gone.
pub(crate) async fn send_batches(shared: &Arc<Shared>, publisher: &Publisher) {
    let outbox = Outbox {
        shared,
        publisher,
        first: VecDeque::new(),
        unsent: Unsent::new(),
        refusals: Vec::new(),
        telling: JoinSet::new(),
    };
    let stop = shared.stop.is_at_once();
    stop.run_until_cancelled(outbox.run()).await;
}

impl Outbox<'_> {
    async fn run(mut self) {
        loop {
            self.send_all().await;
            // A last try. What is refused again stays unacknowledged, so its tasks come back.
            let now = Instant::now();
            self.refusals.iter_mut().for_each(|it| it.next_try = now);
            self.send_all().await;
            // Each may report something anew.
            if self.telling.join_next().await.is_none() {
                return;
            }
        }
    }

    /// Sends until the reporter is closed, and nothing but what was just refused is left.
    async fn send_all(&mut self) {
        while let Some(parcel) = self.next().await {
            self.send(parcel).await;
        }
    }

    /// The next to send. What belongs to a service that was just refused stays where it is: in the
    /// reporter, batches go on growing, and their log lines count.
    async fn next(&mut self) -> Option<Parcel> {
        loop {
            let now = Instant::now();
            let pauses = || self.refusals.iter().filter(|it| it.next_try > now);
            let stays = |service: &str| pauses().any(|it| *it.service == *service);
            if let Some(at) = self.first.iter().position(|it| !stays(&it.service)) {
                return self.first.remove(at);
            }
            let next_try = pauses().map(|it| it.next_try).min();
            let before = match self.first.is_empty() && self.refusals.is_empty() {
                true => Before::AllTold,
                false => Before::SomeSetAside,
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next_try.unwrap_or(now)), if next_try.is_some() => {}
                batch = self.shared.reporter.next(stays, before) => {
                    let mut batch = batch?;
                    let body = batch.take_body();
                    let Batch { service, finished, unsent, .. } = batch;
                    return Some(self.parcel(service, body, finished, unsent));
                }
            }
        }
    }

    fn parcel(
        &self,
        service: Arc<str>,
        body: Vec<u8>,
        finished: Vec<Arc<Held>>,
        unsent: Up,
    ) -> Parcel {
        let mut content = Content::json(body);
        content.properties.message_id = Some(Uuid::now_v7().to_string().into());
        let publication = Publication {
            exchange: self.shared.names.events.clone(),
            routing_key: event_key(&service),
            content,
        };
        Parcel {
            service,
            publication: Arc::new(publication),
            finished,
            _unsent: unsent,
        }
    }

    async fn send(&mut self, parcel: Parcel) {
        let (publisher, stop) = (self.publisher, self.shared.stop.is_at_once());
        match until_answered(publisher, &parcel.publication, stop, "events").await {
            Ok(Sent::Confirmed) => {
                hit(Point::EventConfirmed).await;
                self.shared.guard.finish(&parcel.finished);
                hit(Point::AckWritten).await;
                self.end_refusal(&parcel.service);
            }
            Ok(Sent::Impossible(reason)) => {
                // It was not taken for what it is, not for whom it is about.
                self.end_refusal(&parcel.service);
                self.take_apart(parcel, &reason);
            }
            // Unacknowledged, their tasks come back: better twice than untold.
            Ok(Sent::GivenUp) => {}
            Err(Refused(reason)) => self.set_aside(parcel, reason),
        }
    }

    fn end_refusal(&mut self, service: &str) {
        self.refusals.retain(|it| *it.service != *service);
    }

    fn set_aside(&mut self, parcel: Parcel, reason: String) {
        tracing::error!(
            service = &*parcel.service,
            reason,
            "the broker refuses events: what its tasks do is not recorded, and none is acknowledged"
        );
        let now = Instant::now();
        let next_try = now + PAUSE;
        let mut known = self.refusals.iter_mut();
        let since = match known.find(|it| it.service == parcel.service) {
            Some(refusal) => {
                refusal.next_try = next_try;
                refusal.since
            }
            None => {
                self.refusals.push(Refusal {
                    service: parcel.service.clone(),
                    since: now,
                    next_try,
                });
                now
            }
        };
        // Before whatever else there is of its service.
        self.first.push_front(parcel);
        if now - since >= PATIENCE {
            self.shared.end(Exit::Unheard { reason });
        }
    }

    /// Finds the event that the broker does not take, and gives it up.
    fn take_apart(&mut self, parcel: Parcel, reason: &str) {
        let mut singles = one_by_one(&parcel.publication.content.body, parcel.finished);
        if let [single] = &mut singles[..] {
            return self.give_up(single, reason);
        }
        for Single { json, finished } in singles {
            let body = format!("[{json}]").into_bytes();
            let (service, unsent) = (parcel.service.clone(), self.unsent.hold(1));
            let parcel = self.parcel(service, body, finished, unsent);
            self.first.push_back(parcel);
        }
    }

    fn give_up(&mut self, single: &mut Single, reason: &str) {
        let bytes = single.json.get().len();
        tracing::error!(bytes, reason, "an event cannot be sent, so it is dropped");
        // Those that are done need not wait for the end to be forgotten.
        while self.telling.try_join_next().is_some() {}
        for held in std::mem::take(&mut single.finished) {
            let telling = tell_instead(
                self.shared.clone(),
                held,
                single.json.clone(),
                reason.into(),
            );
            self.telling.spawn(telling);
        }
    }
}
