//! Which acknowledgements to send for the deliveries that are done.
//!
//! One `multiple` acknowledgement for the contiguous prefix, single ones beyond a gap: prefix only
//! would stall behind one slow task at the head, single only costs half the throughput. A tag that
//! is settled twice closes the channel (406), so what was sent is remembered.

use super::delivery::Settlement;
use super::link::Frame;
use std::collections::VecDeque;

/// Deliveries of one channel that are not settled yet. Tags are counted from 1 on every channel.
#[derive(Debug, Default)]
pub(super) struct AckWindow {
    /// Tag of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
    unsettled: usize,
    returned_unsettled: usize,
    /// Deliveries that are done but not sent yet, in the order in which they were done.
    fresh: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// In the consumer's hands.
    Open { returned: bool },
    /// Done, not sent.
    Done(Settlement),
    /// The broker has been told.
    Sent,
}

impl AckWindow {
    /// A message came. Tags of one channel rise by one.
    pub(super) fn delivered(&mut self, tag: u64, returned: bool) {
        if self.slots.is_empty() {
            self.first = tag;
        }
        self.slots.push_back(Slot::Open { returned });
        self.unsettled += 1;
        self.returned_unsettled += usize::from(returned);
    }

    /// A message is done.
    pub(super) fn settled(&mut self, tag: u64, how: Settlement) {
        let slot = tag
            .checked_sub(self.first)
            .and_then(|i| usize::try_from(i).ok())
            .and_then(|i| self.slots.get_mut(i));
        if let Some(slot @ Slot::Open { .. }) = slot {
            self.returned_unsettled -= usize::from(*slot == Slot::Open { returned: true });
            self.unsettled -= 1;
            *slot = Slot::Done(how);
            self.fresh.push(tag);
        }
    }

    /// Deliveries in the consumer's hands.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Those of them that the broker had delivered before.
    pub(super) fn returned_unsettled(&self) -> usize {
        self.returned_unsettled
    }

    /// What to tell the broker now, in this order. Everything in it counts as sent.
    pub(super) fn flush(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let done_prefix = self
            .slots
            .iter()
            .take_while(|slot| !matches!(slot, Slot::Open { .. }))
            .count();
        // Only acknowledgements may be sent for many at once; the others go first, one by one.
        let last_ack = (0..done_prefix)
            .rev()
            .find(|i| self.slots[*i] == Slot::Done(Settlement::Ack));
        let covered = last_ack.map(|i| self.first + i as u64);
        for tag in std::mem::take(&mut self.fresh) {
            let Some(slot) = usize::try_from(tag - self.first)
                .ok()
                .and_then(|i| self.slots.get_mut(i))
            else {
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
        let mut window = AckWindow::default();
        (1..=n).for_each(|tag| window.delivered(tag, false));
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

    proptest! {
        /// A broker that closes the channel when a tag is settled twice, and forgets nothing.
        #[test]
        fn every_delivery_is_told_exactly_once_in_whatever_order_they_finish(
            order in Just((1..=60_u64).collect::<Vec<_>>()).prop_shuffle(),
            nacked in proptest::collection::btree_set(1..=60_u64, 0..20),
            flush_after in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let mut window = window(60);
            let mut open: BTreeSet<u64> = (1..=60).collect();
            for (tag, flush) in order.into_iter().zip(flush_after) {
                let how = if nacked.contains(&tag) { Settlement::Nack(Requeue::Yes) } else { Settlement::Ack };
                window.settled(tag, how);
                for frame in if flush { window.flush() } else { Vec::new() } {
                    prop_assert!(open.remove(&frame.tag), "{} told twice", frame.tag);
                    prop_assert_eq!(frame.how != Settlement::Ack, nacked.contains(&frame.tag));
                    if frame.multiple {
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
