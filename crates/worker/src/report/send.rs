//! Sending batches, one after the other, each until it is confirmed.
//!
//! What the broker refuses stands in nobody's way. Batches of a service whose events it does not
//! take are set aside and tried now and then, until the worker ends because of them. A batch that
//! it would never take is sent event by event.

use super::apart::{Single, one_by_one, tell_instead};
use super::batch::Batch;
use crate::exit::Exit;
use crate::held::Held;
use crate::publish::{Refused, Sent, until_answered};
use crate::shared::Shared;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{Publication, Publisher};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long events may be refused before the worker ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause before what was refused is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// A batch as a message.
struct Parcel {
    service: Arc<str>,
    publication: Publication,
    finished: Vec<Arc<Held>>,
}

/// What is on its way to the broker.
struct Outbox<'a> {
    shared: &'a Arc<Shared>,
    publisher: &'a Publisher,
    /// What is sent before anything else.
    first: VecDeque<Parcel>,
    refused: VecDeque<Parcel>,
    /// Since when nothing of it has been taken, and when the next of it is tried.
    refused_since: Option<Instant>,
    next_try: Instant,
}

/// Sends what is reported until the reporter is closed and empty, or the worker stops at once.
///
/// `publisher` must be mandatory: an event that no queue wants would be confirmed and gone.
pub(crate) async fn send_batches(shared: &Arc<Shared>, publisher: &Publisher) {
    let outbox = Outbox {
        shared,
        publisher,
        first: VecDeque::new(),
        refused: VecDeque::new(),
        refused_since: None,
        next_try: Instant::now(),
    };
    let stop = shared.stop.is_at_once();
    stop.run_until_cancelled(outbox.run()).await;
}

impl Outbox<'_> {
    async fn run(mut self) {
        while let Some(parcel) = self.next().await {
            self.send(parcel).await;
        }
        // A last try. What is refused again stays unacknowledged, so its tasks come back.
        for parcel in std::mem::take(&mut self.refused) {
            self.send(parcel).await;
        }
    }

    /// The next to send. `None`: the reporter is closed, and nothing but refused ones is left.
    async fn next(&mut self) -> Option<Parcel> {
        loop {
            if let Some(parcel) = self.first.pop_front() {
                return Some(parcel);
            }
            let mut batch = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.next_try), if !self.refused.is_empty() => {
                    return self.refused.pop_front();
                }
                batch = self.shared.reporter.next() => batch?,
            };
            let body = batch.take_body();
            let Batch {
                service, finished, ..
            } = batch;
            let parcel = self.parcel(service, body, finished);
            if !self.is_refused(&parcel.service) {
                return Some(parcel);
            }
            self.refused.push_back(parcel);
        }
    }

    fn parcel(&self, service: Arc<str>, body: Vec<u8>, finished: Vec<Arc<Held>>) -> Parcel {
        let mut content = Content::json(body);
        content.properties.message_id = Some(Uuid::now_v7().to_string().into());
        let publication = Publication {
            exchange: self.shared.names.events.clone(),
            routing_key: event_key(&service),
            content,
        };
        Parcel {
            service,
            publication,
            finished,
        }
    }

    fn is_refused(&self, service: &str) -> bool {
        self.refused
            .iter()
            .any(|parcel| &*parcel.service == service)
    }

    async fn send(&mut self, parcel: Parcel) {
        let (publisher, stop) = (self.publisher, self.shared.stop.is_at_once());
        match until_answered(publisher, &parcel.publication, stop, "events").await {
            Ok(Sent::Confirmed) => {
                self.shared.guard.finish(&parcel.finished);
                if self.refused.is_empty() {
                    self.refused_since = None;
                } else if self.is_refused(&parcel.service) {
                    // They are taken again: all of them.
                    (self.refused_since, self.next_try) = (None, Instant::now());
                }
            }
            Ok(Sent::Impossible(reason)) => self.take_apart(parcel, &reason),
            // Unacknowledged, their tasks come back: better twice than untold.
            Ok(Sent::GivenUp) => {}
            Err(Refused(reason)) => self.set_aside(parcel, reason),
        }
    }

    fn set_aside(&mut self, parcel: Parcel, reason: String) {
        let now = Instant::now();
        let since = *self.refused_since.get_or_insert(now);
        tracing::error!(
            service = &*parcel.service,
            reason,
            "the broker refuses events: what its tasks do is not recorded, and none is acknowledged"
        );
        self.next_try = now + PAUSE;
        self.refused.push_back(parcel);
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
            let parcel = self.parcel(parcel.service.clone(), body, finished);
            self.first.push_back(parcel);
        }
    }

    fn give_up(&self, single: &mut Single, reason: &str) {
        let bytes = single.json.get().len();
        tracing::error!(bytes, reason, "an event cannot be sent, so it is dropped");
        for held in std::mem::take(&mut single.finished) {
            let telling = tell_instead(
                self.shared.clone(),
                held,
                single.json.clone(),
                reason.into(),
            );
            self.shared.executions.spawn(telling);
        }
    }
}
