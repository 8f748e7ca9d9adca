//! A batch while it gathers: messages from all queues, read and merged, not yet written.

use crate::feeds::{Appetite, Feed};
use crate::metrics::Content;
use crate::read::{Record, read};
use crate::said::{Listener, Rows};
use crate::trust::{self, Known};
use chrono::{DateTime, Utc};
use counterfoil_store::Batch;
use counterfoil_toolbox::answer::Answer;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Delivery, Requeue, Settled};
use std::time::Duration;
use tokio::time::Instant;

/// Records per message of a full batch: one message brings many events, and the transaction must
/// not grow with them.
const RECORDS_PER_MESSAGE: usize = 4;

/// Bytes that a message takes beside its body, roughly: names, headers, bookkeeping.
const OVERHEAD: usize = 500;

/// When a batch is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    /// How much goes into one batch.
    pub(crate) appetite: Appetite,
    /// Least time from one write to the next, unless a batch is full before.
    pub(crate) wait: Duration,
}

/// Messages that are written together.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// What is to be written, merged; events come in when they are judged.
    pub(crate) batch: Batch,
    /// The same one by one, to find the one that the database refuses.
    pub(crate) items: Vec<Item>,
    deliveries: Vec<Delivery>,
    /// Deliveries that bring answers to be passed on, and those.
    answers: Vec<(usize, Answer)>,
    /// Deliveries of which nothing could be kept, not even as they came.
    hopeless: Vec<usize>,
    bytes: usize,
    since: Option<Instant>,
    /// What is in it, for those who count.
    content: Content,
    /// When its oldest event happened.
    oldest_event: Option<DateTime<Utc>>,
    /// A message in it was returned before: its queue hands out nothing else until it is settled.
    urgent: bool,
}

/// The queue as whose message an event is kept: one of Celery's is kept as ours.
pub(crate) fn kept_as(feed: Feed, names: &Names) -> &QueueName {
    match feed == Feed::Celery {
        true => Feed::Events.queue(names),
        false => feed.queue(names),
    }
}

/// One record, and where it came from.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) feed: Feed,
    pub(crate) delivery: usize,
    pub(crate) record: Record,
}

/// How the deliveries of a batch were settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// All of them.
    pub(crate) messages: usize,
    /// Those whose channel was gone: they come again, and change nothing then.
    pub(crate) stale: usize,
    /// What was in it.
    pub(crate) content: Content,
}

impl Gathered {
    /// Takes a message in.
    pub(crate) fn take(&mut self, feed: Feed, mut delivery: Delivery, names: &Names) {
        // Its channel broke while it waited here: it comes again.
        if !delivery.is_live() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        self.urgent |= delivery.delivery_count() >= 1;
        self.bytes += delivery.content.body.len() + OVERHEAD;
        let mut records = Vec::new();
        read(feed, &mut delivery, names, &mut records);
        if let Some(at) = Feed::ALL.iter().position(|of| *of == feed) {
            self.content.messages[at] += 1;
        }
        let place = self.deliveries.len();
        self.deliveries.push(delivery);
        for record in records {
            self.content.parked += u64::from(record.parked().is_some());
            self.content.deaths += u64::from(matches!(record, Record::Dead(_)));
            // Whether it counts, and when a question was heard, is asked when the batch is written.
            if record.judged().is_empty() {
                record.add_to(&mut self.batch);
            }
            self.items.push(Item {
                feed,
                delivery: place,
                record,
            });
        }
    }

    /// All that is in it.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.items.iter().map(|item| &item.record)
    }

    /// Makes events of what Celery's workers said, of tasks with these rows. What is said of others is kept.
    pub(crate) fn understand(&mut self, rows: &Rows, listener: &mut Listener, names: &Names) {
        for item in &mut self.items {
            let queue = item.feed.queue(names).as_str();
            let Some(meant) = item.record.meant(queue, rows, listener) else {
                continue;
            };
            item.record = meant;
            if item.record.parked().is_some() {
                self.content.parked += 1;
                item.record.add_to(&mut self.batch);
            }
        }
    }

    /// Tasks that are reported on in it.
    pub(crate) fn subjects(&self) -> Vec<TaskId> {
        trust::subjects(self.items.iter().flat_map(|item| item.record.judged()))
    }

    /// Adds what counts to what is to be written, and parks the rest.
    pub(crate) fn judge(&mut self, known: &Known, names: &Names) {
        for item in &mut self.items {
            match &mut item.record {
                Record::Revoked(revoked) => {
                    let (revoked, service, _) = &mut **revoked;
                    let may = |id: &TaskId| trust::may_tell(service, id, known, &self.batch);
                    revoked.ids.retain(may);
                    item.record.add_to(&mut self.batch);
                    continue;
                }
                Record::Answer(answer) => {
                    let (answer, service, message) = &**answer;
                    if trust::may_tell(service, answer.task_id(), known, &self.batch) {
                        self.answers.push((item.delivery, answer.clone()));
                    } else {
                        let queue = item.feed.queue(names).as_str();
                        let parked = trust::no_say(service, answer.task_id(), queue, message);
                        self.content.parked += 1;
                        item.record = Record::Parked(Box::new(parked));
                        item.record.add_to(&mut self.batch);
                    }
                    continue;
                }
                Record::Event(_)
                | Record::Copy(_)
                | Record::Said(_)
                | Record::Opening(_)
                | Record::Chord(_)
                | Record::Inquiry(..)
                | Record::Dead(_)
                | Record::Parked(_)
                | Record::Worker(_)
                | Record::Canary(..)
                | Record::Marker(..) => {}
            }
            let Some(event) = item.record.event() else {
                continue;
            };
            let queue = kept_as(item.feed, names).as_str();
            match trust::objection(event, queue, known, &self.batch) {
                Some(parked) => {
                    self.content.parked += 1;
                    item.record = Record::Parked(Box::new(parked));
                }
                None => {
                    self.content.events += 1;
                    let at = self.oldest_event.unwrap_or(event.at).min(event.at);
                    self.oldest_event = Some(at);
                }
            }
            item.record.add_to(&mut self.batch);
        }
    }

    /// Whether somebody asks in it what has become of a session.
    pub(crate) fn asks(&self) -> bool {
        let mut records = self.items.iter().map(|item| &item.record);
        records.any(|record| matches!(record, Record::Inquiry(..)))
    }

    /// Adds the questions to what is to be written, as heard `now` by the database's clock.
    pub(crate) fn hear(&mut self, now: DateTime<Utc>) {
        for item in &mut self.items {
            if let Record::Inquiry(_, at) = &mut item.record {
                *at = Some(now);
                item.record.add_to(&mut self.batch);
            }
        }
    }

    /// Whether it holds no message.
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// How many messages it holds.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// When its first message came.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether no more should be taken in.
    pub(crate) fn is_full(&self, appetite: Appetite) -> bool {
        self.deliveries.len() >= appetite.messages
            || self.items.len() >= appetite.messages.saturating_mul(RECORDS_PER_MESSAGE)
            || self.bytes >= appetite.bytes
    }

    /// When it should be written, the last one having been begun at `last`; `None` while empty.
    pub(crate) fn due(&self, rhythm: Rhythm, last: Option<Instant>) -> Option<Instant> {
        let since = self.since?;
        if self.urgent || self.is_full(rhythm.appetite) {
            return Some(since);
        }
        // After a pause the first message is written at once; then the next ones gather.
        Some(last.map_or(since, |last| since.max(last + rhythm.wait)))
    }

    /// One more of it is parked.
    pub(crate) fn count_parked(&mut self) {
        self.content.parked += 1;
    }

    /// Notes a delivery of which the database keeps nothing.
    pub(crate) fn give_up(&mut self, delivery: usize) {
        self.hopeless.push(delivery);
    }

    /// Tells the broker that everything in it is durable. Answers are left, to be passed on.
    pub(crate) fn settle(self) -> (Tally, Vec<(Delivery, Answer)>) {
        self.tell_of_parked();
        let lag = self.oldest_event.map(|at| Utc::now() - at);
        let mut tally = Tally {
            content: Content {
                // A clock that is behind that of a worker shows no time at all.
                lag: lag.map(|lag| lag.to_std().unwrap_or_default()),
                ..self.content
            },
            ..Tally::default()
        };
        let mut answers = self.answers.into_iter().peekable();
        let mut left = Vec::new();
        for (place, delivery) in self.deliveries.into_iter().enumerate() {
            if let Some((_, answer)) = answers.next_if(|(of, _)| *of == place) {
                left.push((delivery, answer));
                continue;
            }
            let settled = if self.hopeless.contains(&place) {
                // Where its queue dead-letters: the end of the line, but not lost.
                delivery.nack(Requeue::No)
            } else {
                delivery.ack()
            };
            tally.messages += 1;
            tally.stale += usize::from(settled == Settled::Stale);
        }
        (tally, left)
    }

    /// One line for all of a batch: whoever floods the queues must not flood the log.
    fn tell_of_parked(&self) {
        let mut parked = self.items.iter().filter_map(|item| item.record.parked());
        if let Some(first) = parked.next() {
            let count = parked.count() + 1;
            let (queue, reason) = (&*first.queue, &*first.reason);
            tracing::warn!(count, queue, reason, "messages are parked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::{Owners, StoredMessage};
    use counterfoil_toolbox::revoked::Revoked;

    const RHYTHM: Rhythm = Rhythm {
        appetite: Appetite {
            messages: 500,
            bytes: 4_000_000,
        },
        wait: Duration::from_millis(100),
    };

    fn holding(since: Instant) -> Gathered {
        Gathered {
            since: Some(since),
            ..Gathered::default()
        }
    }

    #[test]
    fn after_a_pause_the_first_message_is_written_at_once() {
        let now = Instant::now();
        assert_eq!(holding(now).due(RHYTHM, None), Some(now));
        let long_ago = now.checked_sub(Duration::from_secs(1));
        assert_eq!(holding(now).due(RHYTHM, long_ago), Some(now));
    }

    #[test]
    fn the_ones_after_it_gather_until_the_wait_is_over() {
        let now = Instant::now();
        let gathered = holding(now + Duration::from_millis(3));
        assert_eq!(gathered.due(RHYTHM, Some(now)), Some(now + RHYTHM.wait));
    }

    #[test]
    fn a_service_revokes_its_own_tasks_and_those_that_nobody_knows() {
        let id = |text: &str| TaskId::new(text).expect("valid");
        let ids = ["own", "addressed", "others", "unknown"].map(id).to_vec();
        let owners = |by_name: &str, by_key: &str| Owners {
            by_name: by_name.into(),
            by_key: by_key.into(),
        };
        let known = Known::from([
            (id("own"), owners("demo", "demo")),
            (id("addressed"), owners("other", "demo")),
            (id("others"), owners("other", "other")),
        ]);
        let told = Revoked { ids };
        let message = StoredMessage {
            exchange: "".into(),
            routing_key: "event.demo.batch".into(),
            content: told.write(),
        };
        let mut gathered = Gathered::default();
        gathered.items.push(Item {
            feed: Feed::Events,
            delivery: 0,
            record: Record::Revoked(Box::new((told, "demo".into(), message))),
        });
        assert_eq!(gathered.subjects().len(), 4);
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        gathered.judge(&known, &names);
        let Record::Revoked(left) = &gathered.items[0].record else {
            panic!("it is still that");
        };
        assert_eq!(left.0.ids, ["own", "addressed", "unknown"].map(id));
    }

    #[test]
    fn a_full_batch_and_a_returned_message_do_not_wait() {
        let now = Instant::now();
        let since = now + Duration::from_millis(3);
        let full = Gathered {
            bytes: RHYTHM.appetite.bytes,
            ..holding(since)
        };
        let urgent = Gathered {
            urgent: true,
            ..holding(since)
        };
        for gathered in [full, urgent] {
            assert_eq!(gathered.due(RHYTHM, Some(now)), Some(since));
        }
        assert_eq!(Gathered::default().due(RHYTHM, Some(now)), None);
    }
}
