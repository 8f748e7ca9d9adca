//! Who holds the tokens of one limit: takes them out of their queue when somebody wants one, hands
//! them on, gives them back.
//!
//! A token that is in hand has a consumer of its own, which may hold one message and so gets no other.
//! Through it the holder learns when the queue is deleted, and with it all tokens. One more consumer
//! is there while somebody waits: the claim. The broker serves the claims of all workers in turn.

use super::grants::{Grants, Heir, Piece};
use super::{RETAKE, Sightings, Token};
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::tokens::TokenId;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use counterfoil_toolbox::transport::{Requeue, Transport, TransportError};
use futures::future::BoxFuture;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries to reach the queue.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often somebody is told that there are no tokens.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Longest time for taking leave of the broker.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the holder is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// A token.
    Token(oneshot::Sender<Token>),
    /// Take back what was granted under this number.
    GiveBack(u64),
    /// Somebody does not wait any more.
    Look,
}

/// A channel on the queue, or on its way to it.
type Connecting = BoxFuture<'static, Result<Box<dyn Link>, TransportError>>;

/// See the module.
pub(super) struct Holder {
    transport: Arc<dyn Transport>,
    queue: QueueName,
    longest: Duration,
    sightings: Arc<Sightings>,
    grants: Grants<oneshot::Sender<Token>>,
    link: Option<Box<dyn Link>>,
    connecting: Option<Connecting>,
    /// Consumers that were started on the channel so far.
    consumers: u64,
    /// The one that waits for a token.
    claim: Option<u64>,
    /// Tries to connect that failed in a row, and when the next may be.
    failed: u32,
    next_try: Instant,
    told_at: Option<Instant>,
}

impl Holder {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        queue: QueueName,
        longest: Duration,
        sightings: Arc<Sightings>,
    ) -> Self {
        Self {
            transport,
            queue,
            longest,
            sightings,
            grants: Grants::new(),
            link: None,
            connecting: None,
            consumers: 0,
            claim: None,
            failed: 0,
            next_try: Instant::now(),
            told_at: None,
        }
    }

    /// Answers until `end`, and gives all back.
    pub(super) async fn run(
        mut self,
        mut asks: mpsc::UnboundedReceiver<Ask>,
        to_self: mpsc::UnboundedSender<Ask>,
        end: CancellationToken,
    ) {
        loop {
            let look_at = self.look_at();
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                Some(ask) = asks.recv() => self.answer(ask, &to_self).await,
                connected = connected(&mut self.connecting) => self.connected(connected),
                arrival = arrived(&mut self.link) => match arrival {
                    Ok(arrival) => self.take(arrival, &to_self).await,
                    Err(error) => self.lost(&error),
                },
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {}
            }
            self.look().await;
        }
        if let Some(mut link) = self.link {
            // What cannot be said in time, the end of the connection says.
            let _ = timeout(FAREWELL, link.close()).await;
        }
    }

    fn look_at(&self) -> Option<Instant> {
        let now = Instant::now();
        let next_try = self.must_connect(now).then_some(self.next_try);
        let grants = self.grants.look_at(self.longest, now);
        [next_try, grants].into_iter().flatten().min()
    }

    fn must_connect(&self, now: Instant) -> bool {
        self.link.is_none() && self.connecting.is_none() && self.grants.wants(now)
    }

    async fn answer(&mut self, ask: Ask, to_self: &mpsc::UnboundedSender<Ask>) {
        match ask {
            // Where the broker said no just now, nobody need wait for it to say so again.
            Ask::Token(_) if self.failed > 0 && Instant::now() < self.next_try => {}
            Ask::Token(waiter) => self.grants.wait(waiter),
            Ask::Look => {}
            Ask::GiveBack(grant) => {
                let Some(piece) = self.grants.take_back(grant) else {
                    return;
                };
                if self.grants.may_hand_on(&piece, Instant::now()) && self.give(piece, to_self) {
                    return;
                }
                self.give_back(piece).await;
            }
        }
    }

    /// Whatever is due, now that something has happened.
    async fn look(&mut self) {
        let now = Instant::now();
        self.grants.forget(oneshot::Sender::is_closed);
        let count = self.grants.end_bereft(now);
        if count > 0 {
            let queue = &self.queue;
            tracing::error!(%queue, count, "tokens were lost with the connection and are taken: the tasks that ran by them are ended, to run again");
        }
        while let Some(piece) = now
            .checked_sub(self.longest)
            .and_then(|before| self.grants.take_overdue(before))
        {
            let (queue, token) = (&self.queue, piece.token);
            tracing::error!(%queue, %token, "a handler does not end: its token is given back although it still runs");
            self.give_back(piece).await;
        }
        if self.must_connect(now) && now >= self.next_try {
            let (transport, queue) = (self.transport.clone(), self.queue.clone());
            self.connecting = Some(Box::pin(async move { transport.link(&queue).await }));
        }
        match (self.grants.wants(now), self.claim) {
            (true, None) => self.stake_claim().await,
            (false, Some(claim)) => {
                self.claim = None;
                self.cancel(claim).await;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn connected(&mut self, connected: Result<Box<dyn Link>, TransportError>) {
        self.connecting = None;
        match connected {
            Ok(link) => {
                self.link = Some(link);
                self.consumers = 0;
                if self.failed > 0 {
                    self.grants.reserve(Instant::now());
                }
            }
            Err(error) => self.lost(&error),
        }
    }

    /// Asks for one more token.
    async fn stake_claim(&mut self) {
        let Some(link) = &mut self.link else { return };
        self.consumers += 1;
        let name = name_of(self.consumers);
        match timeout(RETAKE, link.consume(&name, 1, None)).await {
            Ok(Ok(())) => {
                self.failed = 0;
                self.claim = Some(self.consumers);
            }
            Ok(Err(error)) => self.lost(&error),
            Err(_) => self.lost(&self.no_answer()),
        }
    }

    async fn cancel(&mut self, consumer: u64) {
        let Some(link) = &mut self.link else { return };
        match timeout(RETAKE, link.cancel(&name_of(consumer))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lost(&error),
            Err(_) => self.lost(&self.no_answer()),
        }
    }

    async fn settle(&mut self, tag: u64, how: Settlement) {
        let Some(link) = &mut self.link else { return };
        let frame = Frame {
            tag,
            multiple: false,
            how,
        };
        match timeout(RETAKE, link.settle(&[frame])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lost(&error),
            Err(_) => self.lost(&self.no_answer()),
        }
    }

    fn no_answer(&self) -> TransportError {
        TransportError::Timeout {
            what: format!("queue {}", self.queue),
            after: RETAKE,
        }
    }

    /// A message came.
    async fn take(&mut self, arrival: Arrival, to_self: &mpsc::UnboundedSender<Ask>) {
        let Some(token) = TokenId::of(&arrival.content) else {
            tracing::error!(queue = %self.queue, "a message that is no token was put among the tokens; it is dropped");
            return self
                .settle(arrival.tag, Settlement::Nack(Requeue::No))
                .await;
        };
        if self.claim == Some(arrival.consumer) {
            self.claim = None;
        }
        self.told_at = None;
        let piece = Piece {
            token,
            tag: arrival.tag,
            consumer: arrival.consumer,
            since: Instant::now(),
        };
        if !self.give(piece, to_self) {
            self.give_back(piece).await;
        }
    }

    /// Hands a token to whoever is first. `false`: nobody wants it.
    fn give(&mut self, piece: Piece, to_self: &mpsc::UnboundedSender<Ask>) -> bool {
        loop {
            match self.grants.give(piece, Instant::now()) {
                None => return false,
                Some(Heir::Bereft) => break,
                Some(Heir::Waiter(waiter, grant, lost)) => {
                    if waiter.is_closed() {
                        self.grants.take_back(grant);
                        continue;
                    }
                    let to_holder = to_self.clone();
                    // Gone just now: what comes back is dropped, and so given back.
                    let _ = waiter.send(Token {
                        grant,
                        to_holder,
                        lost,
                    });
                    break;
                }
            }
        }
        self.sightings.taken(piece.token);
        true
    }

    /// To the broker, behind all that wait there. Its consumer is the next claim, if one is needed.
    async fn give_back(&mut self, piece: Piece) {
        self.sightings.given_back(piece.token);
        if self.claim.is_none() && self.grants.wants(Instant::now()) {
            self.claim = Some(piece.consumer);
        } else {
            self.cancel(piece.consumer).await;
        }
        self.settle(piece.tag, Settlement::Nack(Requeue::Yes)).await;
    }

    /// The channel is gone, and with it every token.
    fn lost(&mut self, error: &TransportError) {
        let now = Instant::now();
        (self.link, self.claim) = (None, None);
        for token in self.grants.lose_all(now) {
            self.sightings.given_back(token);
        }
        let pause = match self.failed {
            0 => Duration::ZERO,
            failed => Backoff::reconnect(LONGEST_PAUSE).random_wait(failed),
        };
        let pause = if error.is_transient() {
            pause
        } else {
            LONGEST_PAUSE
        };
        self.failed = self.failed.saturating_add(1);
        self.next_try = now + pause;
        if self.failed > 1 || !error.is_transient() {
            self.grants.send_away();
        }
        if self.told_at.is_none_or(|at| now - at >= TELL_EVERY) {
            self.told_at = Some(now);
            let queue = &self.queue;
            tracing::warn!(%queue, error = %ErrorChain(error), "no tokens can be taken, so tasks wait: counterfoil-sync declares the queue and puts them in");
        }
    }
}

fn name_of(consumer: u64) -> String {
    format!("token-{consumer}")
}

async fn connected(connecting: &mut Option<Connecting>) -> Result<Box<dyn Link>, TransportError> {
    match connecting {
        Some(connecting) => connecting.await,
        None => pending().await,
    }
}

async fn arrived(link: &mut Option<Box<dyn Link>>) -> Result<Arrival, TransportError> {
    match link {
        Some(link) => poll_fn(|cx| link.poll_next(cx)).await,
        None => pending().await,
    }
}
