//! A task in this worker's hands, from its delivery until that is settled.

use crate::inside::Course;
use crate::opening::Opening;
use crate::stop::Stop;
use crate::watchdog::OnThread;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::event::Lease;
use counterfoil_toolbox::message::names::PASSES;
use counterfoil_toolbox::message::{Content, Envelope, Payload};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::transport::{Delivery, Requeue, Settled};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What tells messages apart: a redelivery of the same one has the same key. The number of its
/// deliveries is left out, since it rises with each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    id: TaskId,
    run: i32,
    rescue: i32,
    executions: i32,
    /// How often the task was put off untried. Such a copy is the same attempt, but another message: it
    /// may come before its own sending is confirmed, and must not be settled with the one whose place it
    /// takes.
    pub(crate) passes: i64,
}

impl Key {
    pub(crate) fn of(envelope: &Envelope, content: &Content) -> Self {
        Self {
            id: envelope.id.clone(),
            run: envelope.lineage.run,
            rescue: envelope.lineage.rescue,
            executions: envelope.lineage.executions,
            passes: content.headers.int(PASSES).unwrap_or(0),
        }
    }
}

/// How often a task had been delivered before, with so many deliveries behind its message. Classic queues do not
/// count, but say that the message was.
pub(crate) fn delivered_before(behind: i32, delivery: &Delivery) -> i32 {
    let count = i32::try_from(delivery.delivery_count()).unwrap_or(0);
    let of_message = count.max(i32::from(delivery.redelivered));
    behind.saturating_add(of_message)
}

/// How long a task whose deliveries are lost waits to be delivered here again. It is time enough to
/// find out, too, that its queue has been deleted.
const ADOPTION: Duration = Duration::from_secs(10);

/// A task in hand.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) key: Key,
    pub(crate) envelope: Envelope,
    /// The arguments, or why there are none.
    pub(crate) payload: Result<Payload, Unusable>,
    pub(crate) queue: QueueName,
    pub(crate) exchange: ExchangeName,
    pub(crate) routing_key: RoutingKey,
    /// Service under which it is reported.
    pub(crate) service: Arc<str>,
    deliveries: Mutex<Deliveries>,
    /// How often the latest of them had been delivered before.
    delivered_before: AtomicI32,
    /// Somebody has adopted or orphaned it, or something was asked of the worker.
    changed: Notify,
    /// What its executions left for the next one: JSON.
    checkpoint: Mutex<Option<Box<str>>>,
    /// Sessions whose subtasks it is sending.
    pub(crate) opening: Opening,
    /// Whether its handler is on a thread right now.
    pub(crate) on_thread: OnThread,
    /// Whether its first delivery was not the message's first.
    pub(crate) redelivered: bool,
    /// When its message was published, in seconds since 1970, where its sender tells.
    pub(crate) published: Option<u64>,
    /// How far it has come.
    pub(crate) course: Course,
}

/// Why a message that has an id cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Its body is no task.
    Undecodable(String),
    /// It goes around the broker's permissions.
    Refused(String),
}

/// The messages to settle at the end: one, unless the same task was delivered again meanwhile.
#[derive(Debug)]
struct Deliveries {
    /// When the latest came.
    since: Instant,
    first: Option<Delivery>,
    more: Vec<Delivery>,
    /// Its queue is gone, so no delivery of it will come again.
    orphaned: bool,
    /// Something was reported of it.
    is_told: bool,
    /// It was taken over: its messages are acknowledged.
    taken_over: Option<Box<TakenOver>>,
}

/// A task that is this worker's alone.
#[derive(Debug)]
struct TakenOver {
    since: Since,
    /// The message as it came.
    content: Content,
}

/// What a worker has promised about a task, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    pub(crate) since: Instant,
    pub(crate) lease: Lease,
}

impl Since {
    /// Whether the platform may have sent the task again by now.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() >= Duration::from_millis(self.lease.ms.into())
    }
}

impl Deliveries {
    fn is_ours(&self) -> bool {
        let mut all = self.first.iter().chain(&self.more);
        self.orphaned || self.taken_over.is_some() || all.any(Delivery::is_live)
    }

    fn content(&self) -> Option<&Content> {
        let any = self.first.as_ref().or(self.more.first());
        let any = any.map(|delivery| &delivery.content);
        any.or(self.taken_over.as_ref().map(|taken| &taken.content))
    }

    fn take(&mut self) -> impl Iterator<Item = Delivery> + use<> {
        let more = std::mem::take(&mut self.more);
        self.first.take().into_iter().chain(more)
    }
}

impl Held {
    pub(crate) fn new(
        envelope: Envelope,
        payload: Result<Payload, Unusable>,
        service: Arc<str>,
        delivery: Delivery,
    ) -> Self {
        let published = delivery.content.properties.timestamp;
        let redelivered = delivery.redelivered;
        Self {
            key: Key::of(&envelope, &delivery.content),
            delivered_before: AtomicI32::new(delivered_before(
                envelope.deliveries_before,
                &delivery,
            )),
            checkpoint: Mutex::new(envelope.checkpoint.clone()),
            envelope,
            payload,
            queue: delivery.queue.clone(),
            exchange: delivery.exchange.clone(),
            routing_key: delivery.routing_key.clone(),
            service,
            deliveries: Mutex::new(Deliveries {
                since: Instant::now(),
                first: Some(delivery),
                more: Vec::new(),
                orphaned: false,
                is_told: false,
                taken_over: None,
            }),
            changed: Notify::new(),
            redelivered,
            published,
            opening: Opening::default(),
            on_thread: OnThread::default(),
            course: Course::default(),
        }
    }

    /// Takes over another delivery of the same task, to be settled with it. Those whose channel is
    /// gone are forgotten: the broker has taken them back.
    pub(crate) fn adopt(&self, mut delivery: Delivery) {
        // What is told from now on must come after what others told of the deliveries between.
        let count = delivered_before(self.envelope.deliveries_before, &delivery);
        self.delivered_before.fetch_max(count, Ordering::Relaxed);
        let mut deliveries = self.deliveries();
        if deliveries.taken_over.is_some() {
            // The acknowledgement was lost with its channel. Stale: this one comes again too.
            let _ = delivery.ack();
            return;
        }
        if deliveries.is_told {
            delivery.told();
        }
        let before = deliveries.take();
        let mut live = before.filter(Delivery::is_live).collect::<Vec<_>>();
        live.push(delivery);
        deliveries.more = live;
        deliveries.since = Instant::now();
        drop(deliveries);
        self.changed.notify_waiters();
    }

    /// How long ago the broker delivered it here: it takes back what it waits for too long.
    pub(crate) fn in_hand_for(&self) -> Duration {
        self.deliveries().since.elapsed()
    }

    /// The attempt that is made of it with `executions` behind it.
    pub(crate) fn lineage(&self, executions: i32) -> Lineage {
        let message = self.envelope.lineage;
        Lineage {
            deliveries: self.delivered_before.load(Ordering::Relaxed),
            tries: executions.saturating_sub(message.executions),
            ..message
        }
    }

    /// What its executions left for the next one: JSON.
    pub(crate) fn checkpoint(&self) -> Option<Box<str>> {
        self.checkpoint_lock().clone()
    }

    /// Leaves something for the next execution.
    pub(crate) fn set_checkpoint(&self, json: Box<str>) {
        *self.checkpoint_lock() = Some(json);
    }

    /// Whether an execution left something that the message does not hold.
    pub(crate) fn has_new_checkpoint(&self) -> bool {
        *self.checkpoint_lock() != self.envelope.checkpoint
    }

    fn checkpoint_lock(&self) -> MutexGuard<'_, Option<Box<str>>> {
        self.checkpoint
            .lock()
            .expect("no code panics while it holds the lock")
    }

    /// Acknowledges its messages before it is done: from now on it is this worker's alone. `false`: the
    /// broker has taken them back, so it is not.
    pub(crate) fn take_over(&self, since: Since) -> bool {
        let mut deliveries = self.deliveries();
        let Some(content) = deliveries.content().cloned() else {
            return false;
        };
        let mut is_ours = deliveries.orphaned;
        for delivery in deliveries.take() {
            is_ours |= delivery.ack() == Settled::Sent;
        }
        if is_ours {
            deliveries.taken_over = Some(Box::new(TakenOver { since, content }));
        }
        is_ours
    }

    /// Something is reported of it: whoever asks what this worker has can know that it has this.
    pub(crate) fn told(&self) {
        let mut deliveries = self.deliveries();
        let Deliveries { first, more, .. } = &mut *deliveries;
        first.iter_mut().chain(more).for_each(Delivery::told);
        deliveries.is_told = true;
    }

    /// What the worker has promised about it, if it has taken it over.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.taken_over().map(|taken| taken.lease)
    }

    /// The same, and when it was promised.
    pub(crate) fn taken_over(&self) -> Option<Since> {
        let deliveries = self.deliveries();
        deliveries.taken_over.as_ref().map(|taken| taken.since)
    }

    /// How long to try to send what goes on with it. Most tasks are delivered again when their worker
    /// stops; what it has taken over comes again only when its lease has ended.
    pub(crate) fn worth_trying_until<'a>(&self, stop: &'a Stop) -> &'a CancellationToken {
        match self.lease() {
            Some(_) => stop.is_at_once(),
            None => stop.killed(),
        }
    }

    /// Its queue was deleted: nobody else will ever get it.
    pub(crate) fn orphan(&self) {
        self.deliveries().orphaned = true;
        self.changed.notify_waiters();
    }

    /// Whether its queue was deleted.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.deliveries().orphaned
    }

    /// Whether it is up to this worker to run it. If not, its deliveries were lost with their
    /// channel, and the broker gives it to whoever comes first.
    pub(crate) fn is_ours(&self) -> bool {
        self.deliveries().is_ours()
    }

    /// [`Self::is_ours`], now or soon: a worker that reconnects often gets its own tasks back.
    pub(crate) async fn is_ours_soon(&self) -> bool {
        let ours = self.until(|| self.is_ours().then_some(()));
        timeout(ADOPTION, ours).await.is_ok()
    }

    /// Waits until `look` finds something, which is asked again at every [`Self::look_again`].
    pub(crate) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }

    /// Something was asked of the worker: whoever waits for the task looks again.
    pub(crate) fn look_again(&self) {
        self.changed.notify_waiters();
    }

    /// The message as it came, to be kept elsewhere.
    pub(crate) fn content(&self) -> Option<Content> {
        self.deliveries().content().cloned()
    }

    /// A text in the headers of the message, while that is here.
    pub(crate) fn header_text(&self, name: &str) -> Option<Box<str>> {
        let deliveries = self.deliveries();
        let content = deliveries.content()?;
        content.headers.text(name).map(Into::into)
    }

    /// Done: the broker may forget it.
    pub(crate) fn ack(&self) {
        self.settle(Delivery::ack);
    }

    /// Not done: back to the queue.
    pub(crate) fn hand_back(&self) {
        self.settle(|delivery| delivery.nack(Requeue::Yes));
    }

    /// Not to be kept by us: to where the queue dead-letters by itself.
    pub(crate) fn refuse(&self) {
        self.settle(|delivery| delivery.nack(Requeue::No));
    }

    fn settle(&self, how: impl Fn(Delivery) -> Settled) {
        let all = self.deliveries().take();
        for delivery in all {
            // Stale: the broker delivers it again, and the guard knows what became of it.
            let _ = how(delivery);
        }
    }

    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries
            .lock()
            .expect("no code panics while it holds the lock")
    }
}
