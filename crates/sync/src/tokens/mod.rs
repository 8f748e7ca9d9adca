//! The tokens by which tasks are run that have a limit over all workers: see
//! `counterfoil_toolbox::tokens`. Only the leader puts them in and takes them out.
//!
//! Nothing of it is written down: workers say what they have in hand, tokens say what they are, and
//! so each leader finds out by itself what is there. One that has just begun, or did not see what
//! happened for a while, adds nothing before it would have seen everything: too few tokens make tasks
//! wait, too many break the limit.

mod book;
mod look;
mod reports;

use book::{Book, RENEW_AFTER, Verdict};
use chrono::{DateTime, Utc};
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::text::InvalidText;
use counterfoil_toolbox::tokens::TokenId;
use counterfoil_toolbox::topology::{Item, Names, QueueSettings, token_queue};
use counterfoil_toolbox::transport::{
    Declare, DeclareError, PublishError, Publisher, PublisherOptions, Transport, TransportError,
};
use look::Look;
use reports::Known;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A quorum queue younger than a second can lose what is in it, should its node be killed.
const YOUNG: Duration = Duration::from_millis(1500);

/// How long executions may go on whose tokens went with their queue.
const BEREFT: Duration = Duration::from_secs(5);

/// How long to wait for tokens when looking: for those that are there, and for those that are returned
/// when some of them must not be.
const PATIENCE: Duration = Duration::from_millis(150);
const MORE_PATIENCE: Duration = Duration::from_millis(1500);

/// How long a sign of life may be on its way through the broker and the database.
///
/// A slot is looked for in the queue from half of the time on after which it counts as empty. Whoever
/// took its token just before says so in a sign of life that was sent later, and that has come by the
/// end of the other half if it took no longer than this: no worker that is late is left out.
const ON_ITS_WAY: Duration = Duration::from_millis(3500);

/// Keeps the tokens of all limits.
#[derive(Debug)]
pub(crate) struct Treasurer {
    transport: Arc<dyn Transport>,
    names: Names,
    settings: QueueSettings,
    store: Arc<dyn Store>,
    publisher: Publisher,
    interval: Duration,
    limits: BTreeMap<TaskName, Kept>,
}

/// One limit.
#[derive(Debug)]
struct Kept {
    book: Book,
    /// Its queue was declared, and may be filled from then on.
    fill_at: Option<Instant>,
}

/// What stopped the round of one limit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Declare(#[from] DeclareError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("a token could not be put in")]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Name(#[from] InvalidText),
}

impl Treasurer {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        names: Names,
        settings: QueueSettings,
        store: Arc<dyn Store>,
        interval: Duration,
    ) -> Self {
        Self {
            // A token for a queue that is gone must not be confirmed and gone too.
            publisher: transport.publisher(PublisherOptions::mandatory()),
            transport,
            names,
            settings,
            store,
            interval,
            limits: BTreeMap::new(),
        }
    }

    /// Looks after every limit that workers keep.
    ///
    /// # Errors
    /// When the database does not answer.
    ///
    /// # Cancel safety
    /// Cancelled, a token may be there that this leader does not know: it sees it, as all others.
    pub(crate) async fn round(&mut self) -> Result<(), StoreError> {
        let workers = self.store.workers().await?;
        let now = self.store.clock().await?;
        let known = reports::known(&workers, now);
        self.limits.retain(|task, _| known.contains_key(task));
        for (task, known) in known {
            let began = Instant::now();
            let kept = self.limits.remove(&task).unwrap_or_else(|| Kept {
                book: Book::new(known.limit, began),
                fill_at: None,
            });
            let mut round = Round {
                treasurer: self,
                task: &task,
                settle: known.interval * 3 + self.interval * 3 + ON_ITS_WAY * 2,
                kept,
            };
            if let Err(error) = round.see_to(&known).await {
                tracing::warn!(task_name = %task, error = %ErrorChain(&error), "its tokens could not be seen to; it needs to declare and read the queues platform.tokens.*, and to write to the default exchange");
            }
            let kept = round.kept;
            self.limits.insert(task, kept);
        }
        Ok(())
    }
}

/// One look after one limit.
struct Round<'a> {
    treasurer: &'a Treasurer,
    task: &'a TaskName,
    /// After so long without being seen a token is gone.
    settle: Duration,
    kept: Kept,
}

impl Round<'_> {
    async fn see_to(&mut self, known: &Known) -> Result<(), TokenError> {
        let Treasurer {
            transport, names, ..
        } = self.treasurer;
        let now = Instant::now();
        self.kept.book.turn_to(known.limit, self.settle, now);
        for (token, age) in &known.tokens {
            let at = now.checked_sub(*age).unwrap_or(now);
            self.kept.book.saw(*token, at);
        }
        let queue = names.token_queue(self.task)?;
        let Some(depth) = transport.depth(&queue).await? else {
            return self.found(known).await;
        };
        if let Some(fill_at) = self.kept.fill_at {
            if now >= fill_at {
                self.fill(1..=known.limit).await?;
                self.kept.fill_at = None;
            }
            return Ok(());
        }
        let is_old = |token: TokenId| is_old(token, Utc::now());
        if depth.ready == known.limit && known.tokens.is_empty() && !self.kept.book.has_surplus() {
            self.kept.book.is_calm(now);
        } else if depth.ready > known.limit || self.kept.book.should_look(self.settle, now, is_old)
        {
            self.look(&queue).await?;
        }
        if known.is_sure {
            let missing = self.kept.book.missing(self.settle, Instant::now());
            self.fill(missing).await?;
        }
        Ok(())
    }

    /// Declares the queue, and has it filled when nobody runs any more by tokens that were in it.
    async fn found(&mut self, known: &Known) -> Result<(), TokenError> {
        let Treasurer {
            transport,
            names,
            settings,
            ..
        } = self.treasurer;
        let was_there = self.kept.book.is_known() || !known.tokens.is_empty();
        self.kept.book = Book::new(known.limit, Instant::now());
        let queue = Item::Queue(token_queue(names, self.task, *settings)?);
        transport.declare(&queue, Declare::Active).await?;
        let wait = match was_there {
            true => {
                tracing::error!(task_name = %self.task, "the queue of its tokens was deleted; it has been declared again");
                BEREFT
            }
            false => YOUNG,
        };
        self.kept.fill_at = Some(Instant::now() + wait);
        Ok(())
    }

    async fn fill(&mut self, slots: impl IntoIterator<Item = u32>) -> Result<(), TokenError> {
        let mut count = 0;
        for slot in slots {
            self.issue(slot).await?;
            count += 1;
        }
        if count > 0 {
            let limit = self.kept.book.limit;
            tracing::info!(task_name = %self.task, count, limit, "tokens were put in");
        }
        Ok(())
    }

    async fn issue(&mut self, slot: u32) -> Result<(), TokenError> {
        let Treasurer {
            names, publisher, ..
        } = self.treasurer;
        let token = TokenId::issued(slot, Utc::now(), rand::random());
        // Also when it may not be there: to add another at once could make it two.
        self.kept.book.saw(token, Instant::now());
        let published = publisher.publish(token.message(names, self.task)?).await;
        if let Err(error) = published {
            if error.is_certainly_not_sent() {
                self.kept.book.removed(token);
            }
            return Err(error.into());
        }
        Ok(())
    }

    async fn look(&mut self, queue: &QueueName) -> Result<(), TokenError> {
        let patience = match self.kept.book.has_surplus() {
            true => MORE_PATIENCE,
            false => PATIENCE,
        };
        let transport = &*self.treasurer.transport;
        let most = u16::try_from(self.kept.book.limit.saturating_mul(2)).unwrap_or(u16::MAX);
        let mut look = Look::take(transport, queue, most, patience).await?;
        let judged = self.judge(&mut look).await;
        look.close().await;
        judged
    }

    async fn judge(&mut self, look: &mut Look) -> Result<(), TokenError> {
        let now = Instant::now();
        let tokens = std::mem::take(&mut look.tokens);
        for (token, _) in &tokens {
            self.kept.book.saw(*token, now);
        }
        for tag in std::mem::take(&mut look.none) {
            tracing::error!(task_name = %self.task, "a message that is no token was put among its tokens; it is dropped");
            look.remove(tag).await?;
        }
        let mut count = 0;
        for (token, tag) in tokens {
            match self.kept.book.judge(token) {
                Verdict::Surplus => {
                    look.remove(tag).await?;
                    self.kept.book.removed(token);
                    count += 1;
                }
                Verdict::Good if is_old(token, Utc::now()) => {
                    // A crash in between leaves two, of which the older will go.
                    self.issue(token.slot).await?;
                    look.remove(tag).await?;
                    self.kept.book.removed(token);
                }
                Verdict::Good => look.put_back(tag).await?,
            }
        }
        if count > 0 {
            let limit = self.kept.book.limit;
            tracing::info!(task_name = %self.task, count, limit, "tokens were taken out");
        }
        Ok(())
    }
}

fn is_old(token: TokenId, now: DateTime<Utc>) -> bool {
    let age = token.issued_at().and_then(|at| (now - at).to_std().ok());
    age.is_some_and(|age| age >= RENEW_AFTER)
}
