//! Everything the broker knows, behind one lock, and the clock that drives what expires.

use super::channel::Channel;
use super::exchange::Exchange;
use super::faults::FaultState;
use super::letters::Outbound;
use super::queue::Queue;
use super::route::RouteCache;
use crate::names::{ExchangeName, QueueName};
use crate::transport::TransportError;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Never used twice: a queue that was deleted and created again is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QueueId(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChannelId(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConsumerId {
    pub(super) channel: ChannelId,
    pub(super) number: u64,
}

/// What the handles share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// The clock has to wake up earlier than it meant to.
    earlier: Arc<Notify>,
    clock: Mutex<Option<AbortOnDropHandle<()>>>,
    /// The publishers' drivers.
    pub(super) tasks: TaskTracker,
    pub(super) closed: CancellationToken,
    /// Changes when faults that concern publishers do.
    pub(super) weather: watch::Sender<()>,
}

pub(super) struct State {
    pub(super) now: Instant,
    started: (Instant, SystemTime),
    pub(super) exchanges: HashMap<ExchangeName, Exchange>,
    pub(super) queue_ids: HashMap<QueueName, QueueId>,
    pub(super) queues: HashMap<QueueId, Queue>,
    pub(super) channels: BTreeMap<ChannelId, Channel>,
    pub(super) routes: RouteCache,
    pub(super) faults: FaultState,
    /// Dead letters on their way from queues that send each one only once.
    pub(super) outbound: VecDeque<Outbound>,
    /// Queues in which something happened since they were last looked after.
    dirty: VecDeque<QueueId>,
    timers: BTreeSet<(Instant, QueueId)>,
    clock_sleeps_until: Option<Instant>,
    /// Whom to wake once the lock is released.
    pub(super) wakers: Vec<Waker>,
    last_id: u64,
}

/// Messages are nobody's business in a log.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(Instant::now())),
            earlier: Arc::new(Notify::new()),
            clock: Mutex::new(None),
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
            weather: watch::Sender::new(()),
        })
    }

    /// Does something at once. What is due by now has happened before it, and what follows from it
    /// (deliveries, dead letters) has happened when this returns.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        // Every step below leaves the state whole, so a panic in one caller need not end the rest.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(Instant::now());
        let result = act(&mut state);
        state.settle_down();
        let earlier = match (state.next_timer(), state.clock_sleeps_until) {
            (Some(next), Some(planned)) => next < planned,
            (next, planned) => next.is_some() && planned.is_none(),
        };
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if earlier {
            self.earlier.notify_one();
        }
        result
    }

    /// Starts the clock unless it runs. A test's runtime may have taken an earlier one with it.
    pub(super) fn ensure_clock(self: &Arc<Self>) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            let task = run_clock(Arc::downgrade(self), self.earlier.clone());
            *clock = Some(AbortOnDropHandle::new(tokio::spawn(task)));
        }
    }

    pub(super) fn ensure_reachable(&self) -> Result<(), TransportError> {
        if self.closed.is_cancelled() {
            return Err(TransportError::Closed);
        }
        match self.with(|state| state.refused_until()) {
            Some(_) => Err(unreachable()),
            None => Ok(()),
        }
    }

    /// A number that no client has yet.
    pub(super) fn next_client(&self) -> u64 {
        self.with(|state| {
            state.last_id += 1;
            state.last_id
        })
    }
}

/// What a lost connection looks like.
pub(super) fn unreachable() -> TransportError {
    TransportError::Unreachable {
        broker: "memory".to_owned(),
        source: "the connection was closed by an injected fault".into(),
    }
}

async fn run_clock(shared: Weak<Shared>, earlier: Arc<Notify>) {
    loop {
        let next = match shared.upgrade() {
            Some(shared) => shared.with(|state| {
                // What is settled down only after this can move it earlier, and then says so.
                state.clock_sleeps_until = state.next_timer();
                state.clock_sleeps_until
            }),
            None => return,
        };
        tokio::select! {
            biased;
            () = earlier.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            now,
            started: (now, SystemTime::now()),
            exchanges: HashMap::new(),
            queue_ids: HashMap::new(),
            queues: HashMap::new(),
            channels: BTreeMap::new(),
            routes: RouteCache::default(),
            faults: FaultState::default(),
            outbound: VecDeque::new(),
            dirty: VecDeque::new(),
            timers: BTreeSet::new(),
            clock_sleeps_until: None,
            wakers: Vec::new(),
            last_id: 0,
        }
    }

    pub(super) fn new_queue_id(&mut self) -> QueueId {
        self.last_id += 1;
        QueueId(self.last_id)
    }

    pub(super) fn new_channel_id(&mut self) -> ChannelId {
        self.last_id += 1;
        ChannelId(self.last_id)
    }

    /// Seconds since 1970 by the broker's clock, which stands still while a test pauses it.
    pub(super) fn unix_seconds(&self) -> u64 {
        let (instant, system) = self.started;
        let now = system + self.now.saturating_duration_since(instant);
        now.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// Lets everything happen that is due by `now`, in the order in which it is due.
    fn advance(&mut self, now: Instant) {
        while let Some(&(due, queue)) = self.timers.first().filter(|(due, _)| *due <= now) {
            self.timers.pop_first();
            // A message that passes several delay levels waits for each from the end of the last.
            self.now = self.now.max(due);
            if let Some(queue) = self.queues.get_mut(&queue) {
                queue.alarm = None;
            }
            self.touch(queue);
            self.settle_down();
        }
        self.now = self.now.max(now);
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Has the queue looked after: something came, went, or is due.
    pub(super) fn touch(&mut self, queue: QueueId) {
        if self.dirty.back() != Some(&queue) {
            self.dirty.push_back(queue);
        }
    }

    /// Delivers, expires and dead-letters until nothing more follows.
    pub(super) fn settle_down(&mut self) {
        loop {
            if let Some(letter) = self.outbound.pop_front() {
                self.send_once(&letter);
            } else if let Some(queue) = self.dirty.pop_front() {
                self.send_letters(queue);
                self.deliver(queue);
                self.set_alarm(queue);
            } else {
                return;
            }
        }
    }

    /// Makes the clock come back when the next message of the queue expires, or a dead letter that
    /// found no queue is to be tried again.
    fn set_alarm(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let due = queue.next_due();
        if queue.alarm != due {
            if let Some(old) = queue.alarm {
                self.timers.remove(&(old, id));
            }
            self.timers.extend(due.map(|due| (due, id)));
            queue.alarm = due;
        }
    }

    pub(super) fn remove_timer(&mut self, at: Instant, queue: QueueId) {
        self.timers.remove(&(at, queue));
    }
}

/// How long the broker waits before it tries a dead letter again that found no queue.
pub(super) const LETTER_RETRY: Duration = Duration::from_secs(180);
