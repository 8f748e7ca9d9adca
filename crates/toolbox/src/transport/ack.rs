//! Which acknowledgements to send for the deliveries that are done.
//!
//! One `multiple` acknowledgement for the contiguous prefix, single ones beyond a gap: prefix only
//! would stall behind one slow task at the head, single only costs half the throughput. A tag that
//! is settled twice closes the channel (406), so what was sent is remembered.

use super::delivery::Settlement;
use super::link::Frame;
use std::collections::VecDeque;

/// Deliveries of one channel that are not settled yet. Tags are counted from 1 on every channel.
///
/// A channel with two consumers may hand out their messages in another order than that of the tags.
/// A tag that has not come yet holds the prefix back like one in hand: acknowledging past it would
/// drop a message that nobody has seen.
#[derive(Debug)]
pub(super) struct AckWindow {
    /// Tag of the first slot; everything before it is settled.
    first: u64,
    slots: VecDeque<Slot>,
    unsettled: usize,
    /// Deliveries that are done but not sent yet, in the order in which they were done.
    fresh: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Not here yet, although a later one is.
    Missing,
    /// In the consumer's hands.
    Open,
    /// Done, not sent.
    Done(Settlement),
    /// The broker has been told.
    Sent,
}

impl AckWindow {
    /// The window of a channel that has not delivered anything.
    pub(super) fn new() -> Self {
        Self {
            first: 1,
            slots: VecDeque::new(),
            unsettled: 0,
            fresh: Vec::new(),
        }
    }

    /// A message came.
    pub(super) fn delivered(&mut self, tag: u64) {
        let Some(at) = self.position(tag) else {
            return;
        };
        if self.slots.len() <= at {
            self.slots.resize(at + 1, Slot::Missing);
        }
        self.slots[at] = Slot::Open;
        self.unsettled += 1;
    }

    /// A message is done.
    pub(super) fn settled(&mut self, tag: u64, how: Settlement) {
        let slot = self.position(tag).and_then(|at| self.slots.get_mut(at));
        if let Some(slot @ Slot::Open) = slot {
            self.unsettled -= 1;
            *slot = Slot::Done(how);
            self.fresh.push(tag);
        }
    }

    fn position(&self, tag: u64) -> Option<usize> {
        usize::try_from(tag.checked_sub(self.first)?).ok()
    }

    /// Deliveries in the consumer's hands.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// What to tell the broker now, in this order. Everything in it counts as sent.
    pub(super) fn flush(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let done_prefix = self
            .slots
            .iter()
            .take_while(|slot| !matches!(slot, Slot::Open | Slot::Missing))
            .count();
        // Only acknowledgements may be sent for many at once; the others go first, one by one.
        let last_ack = (0..done_prefix)
            .rev()
            .find(|i| self.slots[*i] == Slot::Done(Settlement::Ack));
        let covered = last_ack.map(|i| self.first + i as u64);
        for tag in std::mem::take(&mut self.fresh) {
            let Some(slot) = self.position(tag).and_then(|at| self.slots.get_mut(at)) else {
                continue;
            };
            let Slot::Done(how) = *slot else { continue };
            let in_multiple = how == Settlement::Ack && covered.is_some_and(|last| tag <= last);
            if !in_multiple {
                frames.push(Frame {
                    tag,
                    multiple: false,
                    how,
                });
            }
            *slot = Slot::Sent;
        }
        if let Some(tag) = covered {
            frames.push(Frame {
                tag,
                multiple: true,
                how: Settlement::Ack,
            });
        }
        self.slots.drain(..done_prefix);
        self.first += done_prefix as u64;
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::Requeue;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn window(n: u64) -> AckWindow {
        let mut window = AckWindow::new();
        (1..=n).for_each(|tag| window.delivered(tag));
        window
    }

    fn ack(tag: u64, multiple: bool) -> Frame {
        Frame {
            tag,
            multiple,
            how: Settlement::Ack,
        }
    }

    #[test]
    fn a_finished_prefix_is_one_acknowledgement() {
        let mut window = window(5);
        [3, 1, 2]
            .into_iter()
            .for_each(|tag| window.settled(tag, Settlement::Ack));
        assert_eq!(window.flush(), [ack(3, true)]);
        assert_eq!(window.flush(), []);
    }

    #[test]
    fn beyond_a_gap_each_is_told_alone_and_never_again() {
        let mut window = window(5);
        [2, 3, 5]
            .into_iter()
            .for_each(|tag| window.settled(tag, Settlement::Ack));
        assert_eq!(
            window.flush(),
            [ack(2, false), ack(3, false), ack(5, false)]
        );
        window.settled(1, Settlement::Ack);
        assert_eq!(window.flush(), [ack(1, true)]);
        window.settled(4, Settlement::Ack);
        assert_eq!(window.flush(), [ack(4, true)]);
        assert_eq!(window.unsettled(), 0);
    }

    #[test]
    fn a_rejected_message_is_told_before_the_prefix_that_would_cover_it() {
        let mut window = window(3);
        window.settled(2, Settlement::Nack(Requeue::No));
        window.settled(1, Settlement::Ack);
        window.settled(3, Settlement::Ack);
        let nack = Frame {
            tag: 2,
            multiple: false,
            how: Settlement::Nack(Requeue::No),
        };
        assert_eq!(window.flush(), [nack, ack(3, true)]);
    }

    #[test]
    fn a_message_that_overtook_another_does_not_acknowledge_it_unseen() {
        let mut window = AckWindow::new();
        window.delivered(2);
        window.settled(2, Settlement::Ack);
        assert_eq!(window.flush(), [ack(2, false)]);
        window.delivered(1);
        assert_eq!(window.flush(), []);
        window.settled(1, Settlement::Ack);
        assert_eq!(window.flush(), [ack(1, true)]);
        window.delivered(3);
        window.settled(3, Settlement::Ack);
        assert_eq!(window.flush(), [ack(3, true)]);
    }

    proptest! {
        /// A broker that closes the channel when a tag is settled twice, and forgets nothing.
        #[test]
        fn every_delivery_is_told_exactly_once_in_whatever_order_they_finish(
            arrivals in Just((1..=60_u64).collect::<Vec<_>>()).prop_shuffle(),
            order in Just((1..=60_u64).collect::<Vec<_>>()).prop_shuffle(),
            nacked in proptest::collection::btree_set(1..=60_u64, 0..20),
            flush_after in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let mut window = AckWindow::new();
            let mut arrivals = arrivals.into_iter();
            let mut seen = BTreeSet::new();
            let mut open: BTreeSet<u64> = (1..=60).collect();
            for (tag, flush) in order.into_iter().zip(flush_after) {
                while !seen.contains(&tag) {
                    let arrived = arrivals.next().expect("every tag arrives");
                    window.delivered(arrived);
                    seen.insert(arrived);
                }
                let how = if nacked.contains(&tag) { Settlement::Nack(Requeue::Yes) } else { Settlement::Ack };
                window.settled(tag, how);
                for frame in if flush { window.flush() } else { Vec::new() } {
                    prop_assert!(open.remove(&frame.tag), "{} told twice", frame.tag);
                    prop_assert_eq!(frame.how != Settlement::Ack, nacked.contains(&frame.tag));
                    if frame.multiple {
                        prop_assert!((1..=frame.tag).all(|tag| seen.contains(&tag)), "unseen below {}", frame.tag);
                        open.retain(|tag| *tag > frame.tag);
                    }
                }
            }
            for frame in window.flush() {
                prop_assert!(open.remove(&frame.tag));
                if frame.multiple { open.retain(|tag| *tag > frame.tag); }
            }
            prop_assert!(open.is_empty());
        }
    }
}
