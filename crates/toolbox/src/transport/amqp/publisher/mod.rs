//! The loop behind a publisher: one channel in confirm mode at a time.
//!
//! One task owns the channel, since lapin gives confirms to the wrong callers when several share
//! it. Confirms are awaited in order: brokers mostly send them so, and a queue is cheaper to poll
//! than a set.

mod channel;
mod turnover;

use super::connection::Connections;
use super::fault;
use crate::backoff::Backoff;
use crate::error::ErrorChain;
use crate::transport::error::{PublishError, TransportError};
use crate::transport::publisher::{
    Connect, DriverEnd, Outgoing, PublisherOptions, PublisherStatus,
};
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Confirmation, ConnectionStatus, PublisherConfirm};
use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use turnover::{Due, Turnover};

/// Messages that are written at once, at most. lapin wakes its thread and makes a system call for every
/// write that is awaited alone.
const BURST: usize = 30;

/// Bytes after which a burst ends: all of it must leave before the deadline of its first message.
const BURST_BYTES: usize = 1 << 20;

/// How often the oldest unconfirmed message is compared with its deadline, and the connection is looked
/// at by those who always have one: lapin's events reach only one of several listeners.
const TICK: Duration = Duration::from_millis(50);

/// A connection that ends earlier is not made again without a pause.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// A message between the socket and its confirm.
struct InFlight {
    outgoing: Outgoing,
    confirm: PublisherConfirm,
}

struct Driver {
    connections: Connections,
    confirm_timeout: Duration,
    options: PublisherOptions,
    window: usize,
    /// The last one that there was.
    connection: Option<ConnectionStatus>,
    end: DriverEnd,
    /// Taken, not sent yet: at most a burst, that waits for a connection or the end of an alarm.
    waiting: VecDeque<Outgoing>,
    in_flight: VecDeque<InFlight>,
    turnover: Turnover,
}

/// Why a channel is not published on any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It broke, or nothing is left to do.
    Over,
    /// Another one may do better.
    Turned,
}

/// Runs until the last handle is dropped or the transport is closed.
pub(super) async fn drive(
    connections: Connections,
    options: PublisherOptions,
    confirm_timeout: Duration,
    end: DriverEnd,
) {
    let closed = connections.closed().clone();
    let window = if options.mandatory {
        1
    } else {
        options.window.max(1)
    };
    let mut driver = Driver {
        connections,
        confirm_timeout,
        options,
        window,
        connection: None,
        end,
        waiting: VecDeque::with_capacity(BURST),
        in_flight: VecDeque::with_capacity(window),
        turnover: Turnover::new(Instant::now()),
    };
    let ended = closed.run_until_cancelled(driver.run()).await;
    if ended.is_none() {
        driver.end.outgoing.close();
        driver.fail_waiting(&PublishError::Closed);
        driver.end.tell(PublisherStatus::Closed);
    }
}

impl Driver {
    async fn run(&mut self) {
        let mut tries = 0;
        while self.wait_for_work().await {
            let connections = self.connections.clone();
            let pause = match self.keeping_deadlines(open(&connections)).await {
                Ok((channel, connection)) => {
                    let began = Instant::now();
                    self.connection = Some(connection);
                    self.turnover.begin(began);
                    let left = self.publish_on(&channel).await.unwrap_or_else(|broken| {
                        self.channel_failed(broken.as_ref());
                        Left::Over
                    });
                    match left {
                        Left::Over => self.end.tell(PublisherStatus::Connecting),
                        Left::Turned => {
                            tracing::debug!("a channel refuses messages: another one may do better")
                        }
                    }
                    // Dropped without a goodbye it would stay open as long as its connection.
                    let goodbye = channel.close(200, "bye".into());
                    let goodbye = connections.within("the end of a channel", goodbye);
                    let _ = self.keeping_deadlines(goodbye).await;
                    if self.is_connected() || began.elapsed() > SHORT_LIFE {
                        tries = 0;
                        continue;
                    }
                    self.pause(tries)
                }
                Err(error) => {
                    let pause = self.pause(tries);
                    self.tell_down(&error, pause);
                    self.give_up_if_hopeless(&error);
                    pause
                }
            };
            tries += 1;
            self.keeping_deadlines(tokio::time::sleep(pause)).await;
        }
    }

    fn pause(&self, tries: u32) -> Duration {
        Backoff::reconnect(self.options.reconnect_cap).random_wait(tries)
    }

    /// `false`: every handle is gone.
    async fn wait_for_work(&mut self) -> bool {
        match self.options.connect {
            Connect::OnDemand if self.waiting.is_empty() => {
                self.waiting.extend(self.end.outgoing.recv().await);
                !self.waiting.is_empty()
            }
            Connect::OnDemand => true,
            Connect::Always => {
                let is_over = self.end.outgoing.is_closed() && self.end.outgoing.is_empty();
                !self.waiting.is_empty() || !is_over
            }
        }
    }

    /// Could not connect. The same reason again is not worth another warning.
    fn tell_down(&self, error: &TransportError, pause: Duration) {
        let reason = ErrorChain(error).to_string();
        let is_known = matches!(&*self.end.status.borrow(), PublisherStatus::Down { reason: known, .. } if *known == reason);
        if is_known {
            tracing::debug!(error = reason, "publisher still cannot reach the broker");
        } else {
            tracing::warn!(error = reason, "publisher cannot reach the broker");
        }
        let again = Instant::now() + pause;
        self.end.tell(PublisherStatus::Down { reason, again });
    }

    /// Awaits something that may take longer than the messages that wait for it.
    async fn keeping_deadlines<T>(&mut self, work: impl Future<Output = T>) -> T {
        let withdrawal = self.end.withdrawal.clone();
        let mut work = std::pin::pin!(work);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = withdrawal.notified() => self.fail_waiting(&PublishError::Withdrawn),
                now = tick.tick() => {
                    self.give_up_late_ones(now);
                }
            }
        }
    }

    /// Tells those that have waited until their deadline. Takes one to look at, whether or not there is room for it.
    fn give_up_late_ones(&mut self, now: Instant) {
        loop {
            if self.waiting.is_empty() {
                self.waiting.extend(self.end.outgoing.try_recv().ok());
            }
            match self.waiting.pop_front_if(|next| next.deadline <= now) {
                Some(late) => answer(late, Err(self.late())),
                None => return,
            }
        }
    }

    fn is_connected(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(ConnectionStatus::connected)
    }

    /// The broker's alarm. lapin keeps the mark when the connection dies under it.
    fn is_blocked(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.blocked() && connection.connected())
    }

    fn tell_whether_blocked(&self) {
        self.end.tell(match self.is_blocked() {
            true => PublisherStatus::Blocked,
            false => PublisherStatus::Ready,
        });
    }

    /// What kept a message that was not sent.
    fn late(&self) -> PublishError {
        let after = self.confirm_timeout;
        if self.is_blocked() {
            PublishError::Blocked { after }
        } else {
            PublishError::NotSent { after }
        }
    }

    /// Without a connection: what cannot be helped is told so at once.
    fn give_up_if_hopeless(&mut self, error: &TransportError) {
        match error {
            TransportError::Refused { reason, .. } => self.fail_waiting(&PublishError::Refused {
                exchange: String::new(),
                reason: reason.clone(),
            }),
            TransportError::Closed => self.fail_waiting(&PublishError::Closed),
            TransportError::Unreachable { .. }
            | TransportError::Timeout { .. }
            | TransportError::NoQueue { .. } => {}
        }
    }

    /// Tells everything that has not been sent yet.
    fn fail_waiting(&mut self, outcome: &PublishError) {
        let queued = std::iter::from_fn(|| self.end.outgoing.try_recv().ok());
        for outgoing in self.waiting.drain(..).chain(queued) {
            answer(outgoing, Err(outcome.clone()));
        }
    }

    /// What is due about the channel. Under an alarm, nothing: the broker would not read of a new one.
    fn due(&mut self) -> Due {
        if !self.turnover.is_suspect() || self.is_blocked() {
            return Due::No;
        }
        self.turnover.due(Instant::now(), self.in_flight.len())
    }

    /// How many more messages may be under way.
    fn room(&self) -> usize {
        self.window.saturating_sub(self.in_flight.len())
    }

    /// Publishes until there is nothing left to do, or the channel should make way for another. `Err`: it broke;
    /// `None` in it: it fell silent.
    async fn publish_on(&mut self, channel: &Channel) -> Result<Left, Option<lapin::Error>> {
        let mut tick = tokio::time::interval(TICK);
        // Nobody looks while nothing is under way, and what was missed then need not be made up.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(BURST);
        let withdrawal = self.end.withdrawal.clone();
        let looks = self.options.connect == Connect::Always;
        self.tell_whether_blocked();
        loop {
            let due = self.due();
            if due == Due::Yes {
                return Ok(Left::Turned);
            }
            // Under an alarm the broker reads nothing more: a message would be neither sent nor not.
            while due == Due::No
                && !self.waiting.is_empty()
                && self.room() > 0
                && !self.is_blocked()
            {
                self.send_burst(channel).await?;
            }
            let waits = due == Due::Halt || !self.waiting.is_empty();
            let room = self.room().min(BURST);
            tokio::select! {
                biased;
                confirmation = front(&mut self.in_flight), if !self.in_flight.is_empty() => {
                    self.confirmed(confirmation).map_err(Some)?;
                }
                count = self.end.outgoing.recv_many(&mut taken, room), if !waits && room > 0 => match count {
                    0 if self.in_flight.is_empty() => return Ok(Left::Over),
                    0 => return self.drain().await,
                    _ => self.waiting.extend(taken.drain(..)),
                },
                () = withdrawal.notified() => self.fail_waiting(&PublishError::Withdrawn),
                _ = tick.tick(), if looks || waits || !self.in_flight.is_empty() => {
                    let now = Instant::now();
                    let is_alive = self.is_connected() && channel.status().connected();
                    // What is in flight hears of it by itself.
                    if looks && self.in_flight.is_empty() && !is_alive {
                        return Ok(Left::Over);
                    }
                    if is_alive {
                        self.tell_whether_blocked();
                    }
                    if self.in_flight.front().is_some_and(|oldest| oldest.outgoing.deadline <= now) {
                        return Err(None);
                    }
                    self.confirmed_out_of_turn().map_err(Some)?;
                    if waits {
                        self.give_up_late_ones(now);
                    }
                }
            }
        }
    }

    /// Every handle is gone, but some answers are still awaited.
    async fn drain(&mut self) -> Result<Left, Option<lapin::Error>> {
        while let Some(oldest) = self.in_flight.front_mut() {
            match tokio::time::timeout_at(oldest.outgoing.deadline, &mut oldest.confirm).await {
                Ok(confirmation) => self.confirmed(confirmation).map_err(Some)?,
                Err(_) => return Err(None),
            }
        }
        Ok(Left::Over)
    }
}

/// The confirm of the oldest message.
async fn front(in_flight: &mut VecDeque<InFlight>) -> lapin::Result<Confirmation> {
    match in_flight.front_mut() {
        Some(oldest) => (&mut oldest.confirm).await,
        None => std::future::pending().await,
    }
}

/// A channel in confirm mode, and what its connection says of itself.
async fn open(connections: &Connections) -> Result<(Channel, ConnectionStatus), TransportError> {
    let (channel, connection) = connections.publishing_channel().await?;
    let selecting = channel.confirm_select(ConfirmSelectOptions::default());
    let selected = connections.within("confirm mode", selecting).await?;
    match selected {
        Ok(()) => Ok((channel, connection)),
        Err(error) => {
            let address = connections.address();
            Err(fault::transport_error(&error, "confirm mode", &address))
        }
    }
}

/// A caller that no longer waits does not want to know.
fn answer(outgoing: Outgoing, outcome: Result<(), PublishError>) {
    let _ = outgoing.outcome.send(outcome);
}
