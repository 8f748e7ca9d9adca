//! Consuming one queue, for as long as it takes: reconnects, caution, batched acknowledgements.

use super::Transport;
use super::ack::AckWindow;
use super::caution::{Caution, Width};
use super::delivery::{Delivery, Receipt, Settlement};
use super::error::TransportError;
use super::link::{Arrival, Link};
use crate::backoff::Backoff;
use crate::error::ErrorChain;
use crate::names::QueueName;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Name of the consumer that holds one message, and of the one that holds the rest.
const FIRST: &str = "first";
const REST: &str = "rest";

/// Pause between tries while messages came back before: a crash loop must not look like an outage.
const SUSPICIOUS_CAP: Duration = Duration::from_secs(1);

/// What to consume, and how much of it at a time.
#[derive(Debug, Clone)]
pub struct SubscribeOptions {
    /// The queue.
    pub queue: QueueName,
    /// Messages that may be held unsettled, at least 1. The first second after a start, and a
    /// second after each returned message, it is 1: see `topology.md`'s rule on poison in
    /// ARCHITECTURE.md.
    pub prefetch: u16,
    /// Longest pause between two tries to reach the broker. Default: 5 s.
    pub reconnect_cap: Duration,
}

impl SubscribeOptions {
    /// Consumes `queue` with a prefetch of `prefetch`.
    #[must_use]
    pub fn new(queue: QueueName, prefetch: u16) -> Self {
        Self {
            queue,
            prefetch: prefetch.max(1),
            reconnect_cap: Duration::from_secs(5),
        }
    }
}

/// How a subscription is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// It has not reached the broker yet.
    Connecting,
    /// It consumes.
    Consuming,
    /// It does not, for this reason, and tries again.
    Down {
        /// What the broker or the network said.
        reason: String,
        /// Whether waiting alone may help (an outage), or somebody has to mend something.
        transient: bool,
    },
    /// It was cancelled.
    Cancelled,
}

/// A consumer of one queue. It reconnects by itself until it is cancelled.
#[derive(Debug)]
pub struct Subscription {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    status: watch::Receiver<SubscriptionStatus>,
    stop: Stop,
    runner: JoinHandle<()>,
}

/// The two steps of stopping: no new deliveries; then, nothing more to settle.
#[derive(Debug, Clone, Default)]
struct Stop {
    consuming: CancellationToken,
    settling: CancellationToken,
}

impl Subscription {
    /// Starts to consume in the background. Problems show in [`Self::status`].
    #[must_use]
    pub fn open(transport: Arc<dyn Transport>, options: SubscribeOptions) -> Self {
        // Unbounded, but never longer than the prefetch.
        let (to_owner, deliveries) = mpsc::unbounded_channel();
        let (to_status, status) = watch::channel(SubscriptionStatus::Connecting);
        let stop = Stop::default();
        let runner = Runner {
            transport,
            options,
            to_owner,
            to_status,
            stop: stop.clone(),
        };
        Self {
            deliveries,
            status,
            stop,
            runner: tokio::spawn(runner.run()),
        }
    }

    /// The next message. `None` only after the transport ended for good: to stop, see
    /// [`Self::cancel`].
    ///
    /// # Cancel safety
    /// Cancelled, no message is lost.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// A message that is here already.
    pub fn try_next(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// How it is doing, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SubscriptionStatus> {
        self.status.clone()
    }

    /// Ends consuming. Afterwards [`Self::try_next`] yields what had come and was not taken yet;
    /// everything in hand can still be settled.
    pub async fn cancel(&mut self) {
        self.stop.consuming.cancel();
        // An error means that the runner is gone, and then nothing comes any more either.
        let _ = self
            .status
            .wait_for(|status| *status == SubscriptionStatus::Cancelled)
            .await;
    }

    /// Sends the settlements that are waiting and closes the channel. Messages that were delivered
    /// and not settled go back to the queue.
    pub async fn close(mut self) {
        self.stop.consuming.cancel();
        self.stop.settling.cancel();
        self.deliveries.close();
        // The runner ends by itself within the transport's deadlines.
        let _ = (&mut self.runner).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop.consuming.cancel();
        self.stop.settling.cancel();
    }
}

struct Runner {
    transport: Arc<dyn Transport>,
    options: SubscribeOptions,
    to_owner: mpsc::UnboundedSender<Delivery>,
    to_status: watch::Sender<SubscriptionStatus>,
    stop: Stop,
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
    async fn run(self) {
        let mut tries = 0;
        while !self.stop.consuming.is_cancelled() {
            let (error, suspicious) = match self
                .stop
                .consuming
                .run_until_cancelled(self.connect())
                .await
            {
                None => break,
                Some(Err(error)) => (error, false),
                Some(Ok(link)) => {
                    tries = 0;
                    match Channel::new(&self, link).run().await {
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
            self.stop
                .consuming
                .run_until_cancelled(tokio::time::sleep(wait))
                .await;
        }
        self.to_status.send_replace(SubscriptionStatus::Cancelled);
    }

    async fn connect(&self) -> Result<Box<dyn Link>, TransportError> {
        let mut link = self.transport.link(&self.options.queue).await?;
        link.consume(FIRST, 1).await?;
        self.to_status.send_replace(SubscriptionStatus::Consuming);
        Ok(link)
    }
}

/// One channel's life: from its first consumer to its end.
struct Channel<'a> {
    runner: &'a Runner,
    link: Box<dyn Link>,
    window: AckWindow,
    caution: Caution,
    to_self: mpsc::UnboundedSender<(u64, Settlement)>,
    settlements: mpsc::UnboundedReceiver<(u64, Settlement)>,
    /// A message came back to this consumer: keep the pauses short.
    suspicious: bool,
    consuming: bool,
}

impl<'a> Channel<'a> {
    fn new(runner: &'a Runner, link: Box<dyn Link>) -> Self {
        let (to_self, settlements) = mpsc::unbounded_channel();
        Self {
            runner,
            link,
            window: AckWindow::default(),
            caution: Caution::new(Instant::now()),
            to_self,
            settlements,
            suspicious: false,
            consuming: true,
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
                () = stop.settling.cancelled() => return self.finish().await,
                () = stop.consuming.cancelled(), if self.consuming => self.stop_consuming().await?,
                arrival = std::future::poll_fn(|cx| self.link.poll_next(cx)) => self.deliver(arrival?).await?,
                Some((tag, how)) = self.settlements.recv() => self.settle(tag, how).await?,
                () = sleep_until(look_again) => self.widen_if_quiet().await?,
            }
        }
    }

    fn look_again_at(&self) -> Option<Instant> {
        let wants_more = self.consuming && self.runner.options.prefetch > 1;
        let at = self.caution.look_again_at().filter(|_| wants_more)?;
        // In the past, the reason to wait is a message in hand: its settlement looks again.
        (at > Instant::now()).then_some(at)
    }

    async fn deliver(&mut self, arrival: Arrival) -> Result<(), TransportError> {
        let receipt = Receipt {
            tag: arrival.tag,
            to_channel: self.to_self.clone(),
        };
        let delivery = Delivery {
            content: arrival.content,
            exchange: arrival.exchange,
            routing_key: arrival.routing_key,
            queue: self.runner.options.queue.clone(),
            redelivered: arrival.redelivered,
            receipt,
        };
        let count = delivery.delivery_count();
        let was = self.caution.width();
        self.window.delivered(arrival.tag, count >= 1);
        let width = self.caution.on_delivery(count, Instant::now());
        self.suspicious |= count >= 1;
        // A receiver that is gone: the channel is about to be closed, which returns the message.
        let _ = self.runner.to_owner.send(delivery);
        if was == Width::Wide && width == Width::Narrow && self.consuming {
            self.link.cancel(REST).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, tag: u64, how: Settlement) -> Result<(), TransportError> {
        self.window.settled(tag, how);
        while let Ok((tag, how)) = self.settlements.try_recv() {
            self.window.settled(tag, how);
        }
        let frames = self.window.flush();
        self.link.settle(&frames).await?;
        self.widen_if_quiet().await
    }

    async fn widen_if_quiet(&mut self) -> Result<(), TransportError> {
        let prefetch = self.runner.options.prefetch;
        let (unsettled, returned) = (self.window.unsettled(), self.window.returned_unsettled());
        if self.consuming
            && prefetch > 1
            && self.caution.may_widen(unsettled, returned, Instant::now())
        {
            self.link.consume(REST, prefetch - 1).await?;
        }
        Ok(())
    }

    /// No new deliveries; what has come stays in hand until it is settled or the channel closes.
    async fn stop_consuming(&mut self) -> Result<(), TransportError> {
        self.consuming = false;
        self.link.cancel(FIRST).await?;
        if self.caution.width() == Width::Wide {
            self.link.cancel(REST).await?;
        }
        // Both consumers are gone, so whatever is on its way is here by now.
        while let Some(arrival) =
            std::future::poll_fn(|cx| ready_now(self.link.poll_next(cx))).await
        {
            self.deliver(arrival?).await?;
        }
        self.runner
            .to_status
            .send_replace(SubscriptionStatus::Cancelled);
        Ok(())
    }

    /// Sends what was settled until now.
    async fn finish(&mut self) -> Result<(), TransportError> {
        while let Ok((tag, how)) = self.settlements.try_recv() {
            self.window.settled(tag, how);
        }
        let frames = self.window.flush();
        self.link.settle(&frames).await
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
