//! Giving back what the worker's own code panicked over.
//!
//! At its first delivery the broker gets the message back. Not every queue counts what is returned, so one that was
//! delivered before goes on as a copy that carries the count: what always panics ends dead.

use crate::execute::Execution;
use crate::held::{Held, delivered_before};
use crate::intake::by_copy;
use crate::panic::{self, PanicNote};
use crate::publish::{Sent, until_confirmed};
use crate::retry::{Came, SHORTEST, declare_levels, later};
use crate::shared::Shared;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::delay::InvalidDelay;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::message::names::{DELIVERIES_BEFORE, PASSES};
use counterfoil_toolbox::message::{Content, Envelope, TaskMessage, encode_again};
use counterfoil_toolbox::topology::{Names, SERVICE_DELIVERY_LIMIT};
use counterfoil_toolbox::transport::{Delivery, Publication, Requeue};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// How long the copy stays away at least. No place is kept for it.
const BETWEEN_PANICS: Duration = SHORTEST;

/// Gives back a message that nobody could read, since that panicked.
pub(crate) async fn give_back_unread(
    shared: &Arc<Shared>,
    delivery: Option<Delivery>,
    note: &PanicNote,
) {
    let Some(delivery) = delivery else {
        return tracing::error!(error = %note, "reading a message panicked when it was in other hands");
    };
    let headers = &delivery.content.headers;
    tracing::error!(task_id = headers.text("id"), error = %note, "reading a message panicked: the broker gets it back");
    let behind = headers.int(DELIVERIES_BEFORE).unwrap_or(0).max(0);
    let deliveries = delivered_before(i32::try_from(behind).unwrap_or(i32::MAX), &delivery);
    if deliveries > SERVICE_DELIVERY_LIMIT {
        return bury_unread(shared, delivery, deliveries, note).await;
    }
    let sent = if deliveries == 0 || shared.stop.draining().is_cancelled() {
        None
    } else {
        let came = Came {
            exchange: &delivery.exchange,
            routing_key: &delivery.routing_key,
            queue: &delivery.queue,
        };
        let passes = headers.int(PASSES).unwrap_or(0);
        let counts = Counts { passes, deliveries };
        // The copy would not tell that it must not be run.
        Some(match by_copy(&delivery.content) {
            Some(name) => Sent::Impossible(format!("it was sent by a {name} header")),
            None => {
                let content = delivery.content.clone();
                send_counted(shared, content, came, counts, BETWEEN_PANICS).await
            }
        })
    };
    // Stale: it goes back anyway.
    let _ = match sent {
        Some(Sent::Confirmed) => delivery.ack(),
        Some(Sent::Impossible(why)) => {
            tracing::error!(
                error = why,
                "a message over which the worker panics cannot be counted"
            );
            pause(shared).await;
            delivery.nack(Requeue::Yes)
        }
        None => delivery.nack(Requeue::Yes),
        Some(Sent::GivenUp) => return,
    };
}

/// What was given back too often. Reading it without taking it in may do.
async fn bury_unread(shared: &Arc<Shared>, delivery: Delivery, deliveries: i32, note: &PanicNote) {
    let Ok(Ok(task)) = panic::catch(|| TaskMessage::decode(&delivery.content)) else {
        // Stale: it comes again.
        let _ = delivery.nack(Requeue::No);
        return;
    };
    let name = task.envelope.name.service();
    let service = shared.services.speak_for(name, &delivery);
    let held = Held::new(task.envelope, Ok(task.payload), service, delivery);
    let why = format!("it was delivered {deliveries} times before, and reading it panics: {note}");
    let fault = TaskFault::new(FaultKind::WorkerCrashed, why);
    let execution = Execution::of(Arc::clone(shared), Arc::new(held));
    execution.die(fault).await;
}

impl Execution {
    /// Gives the task away after a panic of the worker's own code. Its place and token are free by now: they went
    /// with what panicked. What was taken over is nobody's message: it comes again when its lease ends.
    pub(crate) async fn give_back_after(&self, note: &PanicNote) {
        let Envelope { id, name, .. } = &self.held.envelope;
        tracing::error!(task_id = %id, task_name = %name, error = %note, "the worker panicked over a task: the broker gets it back");
        // Whatever panicked may have held a lock that this needs.
        let goes_on = AssertUnwindSafe(self.goes_on_counted()).catch_unwind();
        if matches!(goes_on.await, Ok(true)) {
            return;
        }
        if panic::catch(|| self.release(Held::hand_back)).is_err() {
            self.held.hand_back();
        }
    }

    /// Whether a copy goes on with the task. `false`: its message is to go back.
    async fn goes_on_counted(&self) -> bool {
        let (shared, held) = (&self.shared, &self.held);
        let deliveries = held.lineage(self.tally.executions).deliveries;
        if deliveries == 0 || shared.stop.draining().is_cancelled() {
            return false;
        }
        let is_message = held.is_ours() && held.lease().is_none();
        let (Some(before), Ok(payload), true) = (held.content(), &held.payload, is_message) else {
            pause(shared).await;
            return false;
        };
        if deliveries > SERVICE_DELIVERY_LIMIT {
            // Whatever buries such tasks has panicked too: the broker does it.
            shared.reporter.abandon(self.live);
            shared.guard.release(held, Held::refuse);
            return true;
        }
        let content = encode_again(&before, &held.envelope, payload);
        let came = Came {
            exchange: &held.exchange,
            routing_key: &held.routing_key,
            queue: &held.queue,
        };
        let passes = held.key.passes;
        // What came before its time must not come back as if it had waited.
        let away = self.too_early().unwrap_or_default().max(BETWEEN_PANICS);
        let counts = Counts { passes, deliveries };
        match send_counted(shared, content, came, counts, away).await {
            Sent::Confirmed => {
                let again_at = later(Utc::now(), away);
                shared.reporter.put_off(self.live, held, again_at);
                shared.guard.release(held, Held::ack);
                true
            }
            Sent::Impossible(why) => {
                let id = &held.envelope.id;
                tracing::error!(task_id = %id, error = why, "a task over which the worker panics cannot be counted");
                pause(shared).await;
                false
            }
            Sent::GivenUp => {
                shared.reporter.abandon(self.live);
                true
            }
        }
    }
}

async fn pause(shared: &Shared) {
    let pause = tokio::time::sleep(BETWEEN_PANICS);
    let _ = shared.stop.draining().run_until_cancelled(pause).await;
}

/// What a message had behind it when it came.
#[derive(Debug, Clone, Copy)]
struct Counts {
    passes: i64,
    deliveries: i32,
}

/// Sends the message once more, with this delivery behind it. Tries until it is there.
async fn send_counted(
    shared: &Shared,
    content: Content,
    came: Came<'_>,
    counts: Counts,
    away: Duration,
) -> Sent {
    let publication = match counted(&shared.names, content, came, counts, away, Utc::now()) {
        Ok(publication) => publication,
        Err(error) => return Sent::Impossible(error.to_string()),
    };
    let stop = shared.stop.killed();
    if !declare_levels(shared, stop).await {
        return Sent::GivenUp;
    }
    let what = "a message over which the worker panicked";
    until_confirmed(&shared.senders.copies, publication, stop, what).await
}

/// The message as it came, but for the count.
///
/// # Errors
/// [`InvalidDelay`] when the levels cannot hold it.
fn counted(
    names: &Names,
    content: Content,
    came: Came<'_>,
    Counts { passes, deliveries }: Counts,
    away: Duration,
    now: DateTime<Utc>,
) -> Result<Publication, InvalidDelay> {
    let mut content = content.without_broker_headers();
    let headers = &mut content.headers;
    headers.set(PASSES, passes.saturating_add(1));
    headers.set(DELIVERIES_BEFORE, deliveries.saturating_add(1));
    content.properties.timestamp = u64::try_from(now.timestamp()).ok();
    Ok(Publication {
        exchange: names.delay_entry.clone(),
        routing_key: came.again_after(away, names)?,
        content,
    })
}
