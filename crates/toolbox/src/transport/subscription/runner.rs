//! The task behind a subscription: one channel after the other, until it is told to stop.

use super::super::Transport;
use super::super::ack::AckWindow;
use super::super::caution::{Caution, Width, suspicion};
use super::super::delivery::{Delivery, Receipt, Settlement};
use super::super::error::TransportError;
use super::super::hand::{InHand, Untold};
use super::super::link::{Arrival, Link};
use super::stop::Stop;
use super::{Flow, SubscribeOptions, SubscriptionStatus};
use crate::backoff::Backoff;
use crate::error::ErrorChain;
use crate::message::names::DELIVERY_COUNT;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Name of the consumer that holds one message, and of the one that holds the rest.
const FIRST: &str = "first";
const REST: &str = "rest";

/// Pause between tries while messages came back before: a crash loop must not look like an outage.
const SUSPICIOUS_CAP: Duration = Duration::from_secs(1);

/// Messages that are handed on before anything else is looked at: a look costs more than a message.
const IN_A_ROW: usize = 64;

pub(super) struct Runner {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) options: SubscribeOptions,
    pub(super) prefetch: watch::Receiver<u16>,
    pub(super) flow: watch::Receiver<Flow>,
    pub(super) to_owner: mpsc::UnboundedSender<Delivery>,
    pub(super) to_status: watch::Sender<SubscriptionStatus>,
    pub(super) stop: Stop,
    pub(super) hand: Arc<InHand>,
}

/// Why one channel's life ended.
enum Ended {
    Closed,
    Failed {
        error: TransportError,
        suspicious: bool,
    },
}

impl Runner {
    pub(super) async fn run(self) {
        let mut tries = 0;
        while self.is_wanted().await {
            let (error, suspicious) = match self.while_wanted(self.connect()).await {
                None => continue,
                Some(Err(error)) => (error, false),
                Some(Ok(link)) => {
                    tries = 0;
                    let ended = Channel::new(&self, link).run().await;
                    self.hand.set_consumers(0);
                    match ended {
                        Ended::Closed => break,
                        Ended::Failed { error, suspicious } => (error, suspicious),
                    }
                }
            };
            tracing::warn!(queue = %self.options.queue, error = %ErrorChain(&error), "consumer interrupted");
            let transient = error.is_transient();
            self.to_status.send_replace(SubscriptionStatus::Down {
                reason: ErrorChain(&error).to_string(),
                transient,
            });
            if matches!(error, TransportError::Closed) {
                return;
            }
            let cap = if suspicious {
                SUSPICIOUS_CAP.min(self.options.reconnect_cap)
            } else {
                self.options.reconnect_cap
            };
            let wait = if transient {
                Backoff::reconnect(cap).random_wait(tries)
            } else {
                cap
            };
            tries = tries.saturating_add(1);
            self.while_wanted(tokio::time::sleep(wait)).await;
        }
        self.to_status.send_replace(SubscriptionStatus::Cancelled);
    }

    /// Waits while it is paused. `false`: it is to end.
    async fn is_wanted(&self) -> bool {
        let mut flow = self.flow.clone();
        if *flow.borrow() == Flow::Paused && !self.stop.consuming.is_cancelled() {
            self.to_status.send_replace(SubscriptionStatus::Paused);
        }
        let flows = flow.wait_for(|flow| *flow == Flow::On);
        let flows = self.stop.consuming.run_until_cancelled(flows).await;
        flows.is_some() && !self.stop.consuming.is_cancelled()
    }

    /// `None`: it was paused, or is to end, before `future` was done.
    async fn while_wanted<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut flow = self.flow.clone();
        let future = self.stop.consuming.run_until_cancelled(future);
        tokio::select! {
            biased;
            _ = flow.wait_for(|flow| *flow == Flow::Paused) => None,
            done = future => done,
        }
    }

    async fn connect(&self) -> Result<Box<dyn Link>, TransportError> {
        let mut link = self.transport.link(&self.options.queue).await?;
        self.consume(&mut link).await?;
        Ok(link)
    }

    async fn consume(&self, link: &mut Box<dyn Link>) -> Result<(), TransportError> {
        let from = self.options.from;
        let first = from.map_or(1, |_| *self.prefetch.borrow());
        link.consume(FIRST, first, from).await?;
        self.hand.set_consumers(1);
        self.to_status.send_replace(SubscriptionStatus::Consuming);
        Ok(())
    }
}

/// One channel's life: from its first consumer to its end.
struct Channel<'a> {
    runner: &'a Runner,
    link: Box<dyn Link>,
    window: AckWindow,
    caution: Caution,
    prefetch: watch::Receiver<u16>,
    /// How many messages the second consumer may hold; 0 while there is none.
    rest: u16,
    to_self: mpsc::UnboundedSender<(u64, Settlement)>,
    settlements: mpsc::UnboundedReceiver<(u64, Settlement)>,
    /// A message came back to this consumer: keep the pauses short.
    suspicious: bool,
    flow: watch::Receiver<Flow>,
    taking: Taking,
}

/// Whether a channel has consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Yes,
    Paused,
    /// For good.
    Stopped,
}

impl<'a> Channel<'a> {
    fn new(runner: &'a Runner, link: Box<dyn Link>) -> Self {
        let (to_self, settlements) = mpsc::unbounded_channel();
        Self {
            runner,
            link,
            window: AckWindow::new(),
            caution: Caution::new(Instant::now()),
            prefetch: runner.prefetch.clone(),
            rest: 0,
            to_self,
            settlements,
            suspicious: false,
            flow: runner.flow.clone(),
            taking: Taking::Yes,
        }
    }

    async fn run(mut self) -> Ended {
        let ended = self.live().await;
        match ended {
            Ok(()) => {
                self.link.close().await;
                Ended::Closed
            }
            Err(error) => Ended::Failed {
                error,
                suspicious: self.suspicious,
            },
        }
    }

    /// Runs until it is told to stop (`Ok`) or the channel breaks (`Err`).
    async fn live(&mut self) -> Result<(), TransportError> {
        let stop = self.runner.stop.clone();
        loop {
            let look_again = self.look_again_at();
            tokio::select! {
                biased;
                () = stop.is_over(self.has_settled_all()) => {
                    self.finish().await;
                    return Ok(());
                }
                () = stop.consuming.cancelled(), if self.taking != Taking::Stopped => self.stop_consuming().await?,
                Ok(()) = self.flow.changed(), if self.taking != Taking::Stopped => self.change_flow().await?,
                arrival = std::future::poll_fn(|cx| self.link.poll_next(cx)) => {
                    self.deliver(arrival?).await?;
                    self.deliver_ready(IN_A_ROW).await?;
                }
                Some((tag, how)) = self.settlements.recv() => self.settle(tag, how).await?,
                Ok(()) = self.prefetch.changed(), if self.taking == Taking::Yes => self.change_prefetch().await?,
                () = sleep_until(look_again) => self.widen_if_quiet().await?,
            }
        }
    }

    fn look_again_at(&self) -> Option<Instant> {
        // Beyond these times the reason to wait is a message in hand: its settlement looks again.
        let at = self.caution.look_again_at(Instant::now());
        at.filter(|_| self.may_want_more())
    }

    /// Whether there can be a second consumer. It would read a stream once more.
    fn may_want_more(&self) -> bool {
        self.taking == Taking::Yes
            && self.runner.options.from.is_none()
            && *self.prefetch.borrow() > 1
    }

    async fn deliver(&mut self, arrival: Arrival) -> Result<(), TransportError> {
        let receipt = Receipt {
            tag: arrival.tag,
            to_channel: self.to_self.clone(),
        };
        let mut delivery = Delivery {
            content: arrival.content,
            exchange: arrival.exchange,
            routing_key: arrival.routing_key,
            queue: self.runner.options.queue.clone(),
            redelivered: arrival.redelivered,
            receipt,
            untold: Some(Untold::count(&self.runner.hand)),
        };
        if !delivery.redelivered {
            // The broker counts redeliveries only: anything else is the sender's invention.
            delivery
                .content
                .headers
                .retain(|name| name != DELIVERY_COUNT);
        }
        let count = suspicion(delivery.delivery_count(), delivery.deliveries_before());
        self.window.delivered(arrival.tag);
        let before = self.caution.width();
        let width = self.caution.on_delivery(arrival.tag, count, Instant::now());
        self.suspicious |= count >= 1;
        // A receiver that is gone: the channel is about to be closed, which returns the message.
        let _ = self.runner.to_owner.send(delivery);
        if width == Width::Narrow && self.taking == Taking::Yes {
            if before == Width::Wide {
                let queue = &self.runner.options.queue;
                tracing::info!(%queue, "a message came back: one at a time until it is known to be harmless");
            }
            self.rest(0).await?;
        }
        Ok(())
    }

    /// Delivers what is here already, `most` messages of it.
    async fn deliver_ready(&mut self, most: usize) -> Result<(), TransportError> {
        for _ in 0..most {
            let next = std::future::poll_fn(|cx| ready_now(self.link.poll_next(cx)));
            let Some(arrival) = next.await else { break };
            self.deliver(arrival?).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, tag: u64, how: Settlement) -> Result<(), TransportError> {
        self.settled(tag, how);
        self.take_settlements();
        let frames = self.window.flush();
        self.link.settle(&frames).await?;
        self.widen_if_quiet().await
    }

    fn settled(&mut self, tag: u64, how: Settlement) {
        self.window.settled(tag, how);
        self.caution.on_settled(tag);
    }

    /// Whether nothing is left in hand, and nothing comes any more.
    fn has_settled_all(&self) -> bool {
        self.taking == Taking::Stopped && self.window.unsettled() == 0
    }

    /// Notes what has been settled by now.
    fn take_settlements(&mut self) {
        while let Ok((tag, how)) = self.settlements.try_recv() {
            self.settled(tag, how);
        }
    }

    async fn widen_if_quiet(&mut self) -> Result<(), TransportError> {
        let prefetch = *self.prefetch.borrow();
        let unsettled = self.window.unsettled();
        if self.may_want_more() && self.caution.may_widen(unsettled, Instant::now()) {
            self.rest(prefetch - 1).await?;
        }
        Ok(())
    }

    async fn change_prefetch(&mut self) -> Result<(), TransportError> {
        let prefetch = *self.prefetch.borrow_and_update();
        match self.caution.width() {
            // The first consumer holds the one.
            Width::Wide => self.rest(prefetch - 1).await,
            Width::Narrow => self.widen_if_quiet().await,
        }
    }

    /// Lets the second consumer hold `n` messages from now on.
    async fn rest(&mut self, n: u16) -> Result<(), TransportError> {
        if self.rest == n {
            return Ok(());
        }
        if self.rest > 0 {
            self.link.cancel(REST).await?;
            self.runner.hand.set_consumers(1);
        }
        self.rest = n;
        if n > 0 {
            self.link.consume(REST, n, None).await?;
            self.runner.hand.set_consumers(2);
        }
        Ok(())
    }

    async fn change_flow(&mut self) -> Result<(), TransportError> {
        let flow = *self.flow.borrow_and_update();
        match (self.taking, flow) {
            (Taking::Yes, Flow::Paused) => {
                self.take_nothing(Taking::Paused).await?;
                self.tell(SubscriptionStatus::Paused);
            }
            (Taking::Paused, Flow::On) => {
                self.caution.begin_anew(Instant::now());
                self.taking = Taking::Yes;
                self.runner.consume(&mut self.link).await?;
            }
            (Taking::Yes, Flow::On) | (Taking::Paused, Flow::Paused) | (Taking::Stopped, _) => {}
        }
        Ok(())
    }

    async fn stop_consuming(&mut self) -> Result<(), TransportError> {
        self.take_nothing(Taking::Stopped).await?;
        self.tell(SubscriptionStatus::Cancelled);
        Ok(())
    }

    /// No new deliveries; what has come stays in hand until it is settled or the channel closes.
    async fn take_nothing(&mut self, taking: Taking) -> Result<(), TransportError> {
        self.taking = taking;
        self.link.cancel(FIRST).await?;
        self.rest(0).await?;
        self.runner.hand.set_consumers(0);
        // Both consumers are gone, so whatever is on its way is here by now.
        self.deliver_ready(usize::MAX).await
    }

    fn tell(&self, status: SubscriptionStatus) {
        self.runner.to_status.send_replace(status);
    }

    /// Sends what was settled until now. Whoever settles later learns that it is too late.
    async fn finish(&mut self) {
        self.settlements.close();
        self.take_settlements();
        let frames = self.window.flush();
        if let Err(error) = self.link.settle_last(&frames).await {
            let (queue, count) = (&self.runner.options.queue, frames.len());
            tracing::warn!(%queue, count, error = %ErrorChain(&error), "the last acknowledgements may be lost, and their messages come again");
        }
    }
}

/// Does not wait: `None` when nothing is there.
fn ready_now<T>(poll: Poll<T>) -> Poll<Option<T>> {
    match poll {
        Poll::Ready(item) => Poll::Ready(Some(item)),
        Poll::Pending => Poll::Ready(None),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
