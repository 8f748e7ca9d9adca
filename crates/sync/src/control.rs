//! What people ask of workers, from the database to the stream that workers read: soon after it was
//! asked, and again while it holds, before the stream forgets it.

use crate::meaning::give_effect;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::ControlRow;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::control::{self, Instruction, MOST_PER_MESSAGE, Order};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{
    Publication, PublishError, Publisher, PublisherOptions, Transport,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

/// How often the database is asked for something new: one look into an index that is mostly empty.
const LOOK: Duration = Duration::from_millis(250);

/// How often what was published long ago is looked for.
const RENEW: Duration = Duration::from_secs(60 * 60);

/// What holds is published again after this. The stream keeps it for [`control::KEPT`].
const RENEWED_AFTER: TimeDelta = TimeDelta::days(3);

/// A task that the database has forgotten counts as over when it was cancelled or held so long ago.
const FORGOTTEN: TimeDelta = TimeDelta::days(90);

/// Pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(2);

/// Rows that are read together.
const AT_ONCE: u32 = 5000;

/// Questions that are answered together.
const TOGETHER: u32 = 500;
const _: () = assert!(TOGETHER as usize <= MOST_PER_MESSAGE);

/// How long questions are answered before what people ask is looked for again. Somebody waits for a cancellation, and
/// each answer may count 100,000 subtasks.
const ANSWERING: Duration = Duration::from_secs(1);

/// Whoever asks has given up long before.
const WAITED_FOR: TimeDelta = TimeDelta::minutes(1);

/// Publishes what is asked of workers. Only the leader does it, so that it is in order; what two publish
/// means the same as what one does.
#[derive(Debug)]
pub(crate) struct Controls {
    names: Names,
    store: Arc<dyn Store>,
    publisher: Publisher,
}

/// What is left of the questions about sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Questions {
    /// There was none.
    None,
    /// There may be more.
    Perhaps,
}

/// What stopped it.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what is asked of workers cannot be published")]
    Publish(#[from] PublishError),
}

impl Controls {
    pub(crate) fn new(transport: &Arc<dyn Transport>, names: Names, store: Arc<dyn Store>) -> Self {
        Self {
            names,
            store,
            // Confirmed and gone is what it would be without a stream.
            publisher: transport.publisher(PublisherOptions::mandatory()),
        }
    }

    /// Publishes until it is dropped.
    ///
    /// # Cancel safety
    /// Cancelled between publishing and noting it, the next leader publishes it once more.
    pub(crate) async fn run(&self) {
        let mut is_told = false;
        // The stream may have been lost, and another broker knows nothing.
        let mut everything = true;
        let mut renew_at = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            match self.round(everything, &mut renew_at).await {
                Ok(()) => (everything, is_told) = (false, false),
                Err(error) => {
                    if !is_told {
                        let error = ErrorChain(&error);
                        tracing::warn!(%error, "workers do not learn what is asked of them; it is tried until they do");
                    }
                    is_told = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn round(&self, everything: bool, renew_at: &mut Instant) -> Result<(), ControlError> {
        if everything {
            self.publish_again(self.store.clock().await?).await?;
        }
        loop {
            self.publish_new().await?;
            if *renew_at <= Instant::now() {
                self.renew().await?;
                *renew_at = Instant::now() + RENEW;
            }
            // Last, and a few at a time: nothing else waits for all answers.
            if self.answer_some().await? == Questions::None {
                return Ok(());
            }
        }
    }

    /// Publishes what nobody has published yet, but for questions.
    async fn publish_new(&self) -> Result<(), ControlError> {
        loop {
            let new = self.store.unpublished_controls(AT_ONCE).await?;
            let is_last = new.len() < AT_ONCE as usize;
            if !new.is_empty() {
                give_effect(&*self.store, &new).await?;
            }
            self.publish(new).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Answers the oldest questions about sessions; what is left then. All who ask after the same one get the same
    /// answer.
    async fn answer_some(&self) -> Result<Questions, ControlError> {
        let rows = self.store.unanswered(TOGETHER).await?;
        if rows.is_empty() {
            return Ok(Questions::None);
        }
        let (began, now) = (Instant::now(), self.store.clock().await?);
        let (mut known, mut ids) = (HashMap::<&str, Order>::new(), Vec::new());
        let mut instructions = Vec::new();
        for row in &rows {
            let is_late = began.elapsed() >= ANSWERING && !ids.is_empty();
            if is_late && !known.contains_key(&*row.subject) {
                break;
            }
            ids.push(row.id);
            if now - row.created_date > WAITED_FOR {
                continue;
            }
            let Some(mut instruction) = readable(row, now) else {
                continue;
            };
            if let Some(order) = known.get(&*row.subject) {
                instruction.order = order.clone();
            } else if let Err(error) = answer(&*self.store, &mut instruction.order).await {
                // Whoever asked goes on without. Tried for ever, it would keep the others waiting.
                let error = ErrorChain(&error);
                tracing::warn!(session_id = row.subject, %error, "a question about a session is not answered");
                break;
            } else {
                known.insert(&row.subject, instruction.order.clone());
            }
            instructions.push(instruction);
        }
        self.send(&instructions, now).await?;
        self.store.remove_answered(&ids).await?;
        Ok(Questions::Perhaps)
    }

    /// Publishes again what still holds.
    async fn renew(&self) -> Result<(), ControlError> {
        let now = self.store.clock().await?;
        let before = now - RENEWED_AFTER;
        self.store.end_controls(before, now - FORGOTTEN).await?;
        self.publish_again(before).await
    }

    /// Publishes what holds and was published before that time.
    async fn publish_again(&self, before: DateTime<Utc>) -> Result<(), ControlError> {
        loop {
            let old = self.store.controls_to_renew(before, AT_ONCE).await?;
            if old.is_empty() {
                return Ok(());
            }
            self.publish(old).await?;
        }
    }

    async fn publish(&self, rows: Vec<ControlRow>) -> Result<(), ControlError> {
        for rows in rows.chunks(MOST_PER_MESSAGE) {
            // Each its own: a worker that has read one must not seem to know what comes in the next.
            let now = self.store.clock().await?;
            let instructions: Vec<_> = rows.iter().filter_map(|row| readable(row, now)).collect();
            self.send(&instructions, now).await?;
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            self.store.mark_published(&ids, now).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        instructions: &[Instruction],
        now: DateTime<Utc>,
    ) -> Result<(), PublishError> {
        if instructions.is_empty() {
            return Ok(());
        }
        let message = self.message(instructions, now);
        self.publisher.publish(message).await
    }

    fn message(&self, instructions: &[Instruction], now: DateTime<Utc>) -> Publication {
        let mut content = Content::json(control::write(instructions));
        content.properties.timestamp = u64::try_from(now.timestamp()).ok();
        Publication {
            exchange: self.names.control.clone(),
            routing_key: RoutingKey::new("").expect("the empty key is one"),
            content,
        }
    }
}

/// Completes what whoever asked after a session is told: what is true now.
async fn answer(store: &dyn Store, order: &mut Order) -> Result<(), StoreError> {
    let Order::SessionIs {
        session_id,
        status,
        sent,
    } = order
    else {
        return Ok(());
    };
    if let Some(session) = store.session(session_id).await? {
        *status = Some(session.status);
        *sent = i64::from(session.total) - store.unsent_subtasks(session_id).await?;
    }
    Ok(())
}

fn readable(row: &ControlRow, now: DateTime<Utc>) -> Option<Instruction> {
    let instruction = row.instruction(now);
    if instruction.is_none() {
        let reason = format!("{} of {:?}, record {}", row.kind, row.subject, row.id);
        tracing::warn!(
            reason,
            "something that makes no sense is asked of workers; it is left out"
        );
    }
    instruction
}
