//! Which tokens are in hand, and who waits for one. Pure: time comes in.

use super::{RETAKE, TURN};
use counterfoil_toolbox::tokens::TokenId;
use std::collections::{BTreeMap, VecDeque};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One message of the queue of tokens, unacknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) token: TokenId,
    /// Its delivery.
    pub(super) tag: u64,
    /// The consumer that got it, and gets nothing else until it is settled.
    pub(super) consumer: u64,
    /// Since when this worker has had it.
    pub(super) since: Instant,
}

/// What an execution runs by.
#[derive(Debug)]
struct Grant {
    piece: Result<Piece, Lost>,
    /// Fires when nothing came in the place of what was lost.
    lost: CancellationToken,
}

/// A token went with its channel.
#[derive(Debug, Clone, Copy)]
struct Lost {
    /// Until when there has to be another.
    until: Instant,
}

/// The grants of one limit. `W` is one who waits.
#[derive(Debug)]
pub(super) struct Grants<W> {
    grants: BTreeMap<u64, Grant>,
    waiting: VecDeque<W>,
    last: u64,
    /// Until when only those get a token who have lost one: others may have lost theirs too, with the
    /// broker, and come first.
    reserved_until: Option<Instant>,
}

/// Who gets a token.
#[derive(Debug)]
pub(super) enum Heir<W> {
    /// One who waited, under a new grant.
    Waiter(W, u64, CancellationToken),
    /// An execution that had lost its token.
    Bereft,
}

impl<W> Grants<W> {
    pub(super) fn new() -> Self {
        Self {
            grants: BTreeMap::new(),
            waiting: VecDeque::new(),
            last: 0,
            reserved_until: None,
        }
    }

    pub(super) fn wait(&mut self, waiter: W) {
        self.waiting.push_back(waiter);
    }

    /// Forgets those who do not wait any more.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&W) -> bool) {
        self.waiting.retain(|waiter| !is_gone(waiter));
    }

    /// Sends everybody away.
    pub(super) fn send_away(&mut self) {
        self.waiting.clear();
    }

    /// Whether a token would be of use.
    pub(super) fn wants(&self, now: Instant) -> bool {
        self.is_bereft() || (!self.waiting.is_empty() && !self.is_reserved(now))
    }

    fn is_bereft(&self) -> bool {
        self.grants.values().any(|grant| grant.piece.is_err())
    }

    fn is_reserved(&self, now: Instant) -> bool {
        self.reserved_until.is_some_and(|until| now < until)
    }

    /// Gives a token to whoever is first. `None`: nobody wants it.
    pub(super) fn give(&mut self, piece: Piece, now: Instant) -> Option<Heir<W>> {
        let bereft = self.grants.values_mut().find(|grant| grant.piece.is_err());
        if let Some(grant) = bereft {
            grant.piece = Ok(piece);
            return Some(Heir::Bereft);
        }
        if self.is_reserved(now) {
            return None;
        }
        let waiter = self.waiting.pop_front()?;
        self.last += 1;
        let lost = CancellationToken::new();
        let grant = Grant {
            piece: Ok(piece),
            lost: lost.clone(),
        };
        self.grants.insert(self.last, grant);
        Some(Heir::Waiter(waiter, self.last, lost))
    }

    /// An execution has ended: what it ran by. `None`: it had lost it.
    pub(super) fn take_back(&mut self, grant: u64) -> Option<Piece> {
        self.grants.remove(&grant)?.piece.ok()
    }

    /// Whether a token that came back may go to another execution here. If not it is the turn of
    /// other workers.
    pub(super) fn may_hand_on(&self, piece: &Piece, now: Instant) -> bool {
        self.is_bereft() || now.saturating_duration_since(piece.since) < TURN
    }

    /// The channel broke, and with it all tokens are gone. Returns what they were.
    pub(super) fn lose_all(&mut self, now: Instant) -> Vec<TokenId> {
        let until = now + RETAKE;
        let mut lost = Vec::new();
        for grant in self.grants.values_mut() {
            if let Ok(piece) = grant.piece {
                lost.push(piece.token);
                grant.piece = Err(Lost { until });
            }
        }
        lost
    }

    /// The channel is back: for a while, tokens are for those who have lost theirs.
    pub(super) fn reserve(&mut self, now: Instant) {
        self.reserved_until = Some(now + RETAKE / 2);
    }

    /// Ends what has to be over at `now`: executions that got nothing in the place of what they have
    /// lost. Returns how many.
    pub(super) fn end_bereft(&mut self, now: Instant) -> usize {
        let over = self.grants.extract_if(
            ..,
            |_, grant| matches!(grant.piece, Err(Lost { until }) if until <= now),
        );
        over.map(|(_, grant)| grant.lost.cancel()).count()
    }

    /// Takes one back that has been in hand since `before` or longer, whatever its handler does.
    pub(super) fn take_overdue(&mut self, before: Instant) -> Option<Piece> {
        let overdue = |grant: &Grant| matches!(grant.piece, Ok(piece) if piece.since <= before);
        let grant = self.grants.iter().find(|(_, grant)| overdue(grant))?;
        let grant = *grant.0;
        self.take_back(grant)
    }

    /// When to look again although nobody asks for anything: `longest` is how long one may be in hand.
    pub(super) fn look_at(&self, longest: std::time::Duration, now: Instant) -> Option<Instant> {
        let due = self.grants.values().map(|grant| match grant.piece {
            Ok(piece) => piece.since + longest,
            Err(Lost { until }) => until,
        });
        let reserved = self.reserved_until.filter(|until| *until > now);
        due.chain(reserved).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn piece(slot: u32, since: Instant) -> Piece {
        Piece {
            token: format!("{slot}-a").parse().expect("a token"),
            tag: slot.into(),
            consumer: slot.into(),
            since,
        }
    }

    fn granted(heir: Option<Heir<&'static str>>) -> (&'static str, u64, CancellationToken) {
        match heir {
            Some(Heir::Waiter(waiter, grant, lost)) => (waiter, grant, lost),
            Some(Heir::Bereft) | None => panic!("a waiter gets it"),
        }
    }

    #[test]
    fn tokens_go_to_those_who_wait_in_turn_and_to_nobody_else() {
        let now = Instant::now();
        let mut grants = Grants::new();
        assert!(grants.give(piece(1, now), now).is_none());
        grants.wait("a");
        grants.wait("b");
        let (first, grant, _) = granted(grants.give(piece(1, now), now));
        assert_eq!((first, grants.take_back(grant)), ("a", Some(piece(1, now))));
        assert_eq!(granted(grants.give(piece(1, now), now)).0, "b");
        assert!(!grants.wants(now));
    }

    #[test]
    fn after_a_turn_a_token_is_for_other_workers() {
        let now = Instant::now();
        let grants = Grants::<()>::new();
        assert!(grants.may_hand_on(&piece(1, now), now + TURN / 2));
        assert!(!grants.may_hand_on(&piece(1, now), now + TURN));
    }

    #[test]
    fn who_lost_a_token_gets_the_next_before_all_others() {
        let now = Instant::now();
        let mut grants = Grants::new();
        grants.wait("a");
        let (_, grant, lost) = granted(grants.give(piece(1, now), now));
        grants.wait("b");
        assert_eq!(grants.lose_all(now), [piece(1, now).token]);
        assert!(matches!(
            grants.give(piece(2, now), now),
            Some(Heir::Bereft)
        ));
        assert_eq!(grants.end_bereft(now + RETAKE), 0);
        assert!(!lost.is_cancelled());
        assert_eq!(grants.take_back(grant), Some(piece(2, now)));
    }

    #[test]
    fn who_finds_none_in_time_is_ended_and_has_nothing_to_give_back() {
        let now = Instant::now();
        let mut grants = Grants::new();
        grants.wait("a");
        let (_, grant, lost) = granted(grants.give(piece(1, now), now));
        grants.lose_all(now);
        assert_eq!(grants.look_at(RETAKE * 9, now), Some(now + RETAKE));
        assert_eq!(grants.end_bereft(now + RETAKE / 2), 0);
        assert_eq!(grants.end_bereft(now + RETAKE), 1);
        assert!(lost.is_cancelled());
        assert_eq!(grants.take_back(grant), None);
    }

    #[test]
    fn after_a_reconnect_tokens_are_for_those_who_lost_theirs() {
        let now = Instant::now();
        let mut grants = Grants::new();
        grants.wait("a");
        grants.reserve(now);
        assert!(!grants.wants(now) && grants.give(piece(1, now), now).is_none());
        assert!(grants.wants(now + RETAKE / 2));
        let heir = grants.give(piece(1, now), now + RETAKE / 2);
        assert_eq!(granted(heir).0, "a");
    }

    #[test]
    fn a_token_that_is_in_hand_for_too_long_is_taken_back() {
        let now = Instant::now();
        let longest = Duration::from_secs(60);
        let mut grants = Grants::new();
        grants.wait("a");
        let (_, grant, _) = granted(grants.give(piece(1, now), now));
        assert_eq!(grants.look_at(longest, now), Some(now + longest));
        assert_eq!(grants.take_overdue(now - longest / 2), None);
        assert_eq!(grants.take_overdue(now), Some(piece(1, now)));
        assert_eq!(grants.take_back(grant), None);
    }
}
