//! The books of one limit: which of its tokens were seen when, and so which are missing and which are
//! too many. Pure: time comes in.
//!
//! Tokens move all the time, from their queue to workers and back, and nobody sees all of them at
//! once. So nothing is counted: each slot is looked for by itself. Whoever has a token in hand says so
//! in the next sign of life, also if it was for a moment only, and all others are in the queue. A slot
//! of which nothing was seen for long enough has no token. A slot of which two were seen has one too
//! many, and that is the older.

use counterfoil_toolbox::tokens::TokenId;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Age at which a token that is in use is replaced by a new one. RabbitMQ keeps the log of a queue
/// from the oldest message on that is still there, and counts how often each was returned.
pub(super) const RENEW_AFTER: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) limit: u32,
    /// When each token was seen last.
    seen: BTreeMap<TokenId, Instant>,
    /// When all of them were in the queue, by their number.
    calm_at: Option<Instant>,
    /// Since when nothing that happened can have been missed.
    watched_since: Instant,
    looked_at: Instant,
}

/// What to do with a token that was taken out of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Put it back.
    Good,
    /// It is one too many.
    Surplus,
}

impl Book {
    pub(super) fn new(limit: u32, now: Instant) -> Self {
        Self {
            limit,
            seen: BTreeMap::new(),
            calm_at: None,
            watched_since: now,
            looked_at: now,
        }
    }

    /// A new round begins. What was not seen for longer than `settle` is forgotten.
    pub(super) fn turn_to(&mut self, limit: u32, settle: Duration, now: Instant) {
        if now.saturating_duration_since(self.looked_at) > settle / 2 {
            self.watched_since = now;
        }
        self.looked_at = now;
        self.limit = limit;
        self.seen
            .retain(|_, at| now.saturating_duration_since(*at) <= settle);
    }

    /// A token was there at that time.
    pub(super) fn saw(&mut self, token: TokenId, at: Instant) {
        let seen = self.seen.entry(token).or_insert(at);
        *seen = (*seen).max(at);
    }

    /// A token was taken out for good.
    pub(super) fn removed(&mut self, token: TokenId) {
        self.seen.remove(&token);
    }

    /// As many as there should be are in the queue, and none is in hand.
    pub(super) fn is_calm(&mut self, now: Instant) {
        self.calm_at = Some(now);
    }

    /// Whether some that there are should not be there.
    pub(super) fn has_surplus(&self) -> bool {
        self.seen
            .keys()
            .any(|token| self.judge(*token) == Verdict::Surplus)
    }

    /// Whether anything was seen at all.
    pub(super) fn is_known(&self) -> bool {
        !self.seen.is_empty() || self.calm_at.is_some()
    }

    pub(super) fn judge(&self, token: TokenId) -> Verdict {
        let next = self.seen.range(token..).nth(1);
        let is_outdone = next.is_some_and(|(later, _)| later.slot == token.slot);
        match token.slot > self.limit || is_outdone {
            true => Verdict::Surplus,
            false => Verdict::Good,
        }
    }

    /// Slots of which nothing was seen since `then`.
    fn unseen(&self, then: Instant) -> impl Iterator<Item = u32> {
        let calm = self.calm_at.is_some_and(|at| at >= then);
        let seen = move |slot: u32| {
            let first = TokenId::first_of(slot);
            let mut of_slot = self.seen.range(first..);
            let mut of_slot = of_slot.by_ref().take_while(|(token, _)| token.slot == slot);
            of_slot.any(|(_, at)| *at >= then)
        };
        (1..=self.limit).filter(move |slot| !calm && !seen(*slot))
    }

    /// Whether somebody should look into the queue: something was not seen for a while, is too many,
    /// or is `is_old`.
    pub(super) fn should_look(
        &self,
        settle: Duration,
        now: Instant,
        is_old: impl Fn(TokenId) -> bool,
    ) -> bool {
        let then = now.checked_sub(settle / 2).unwrap_or(now);
        self.unseen(then).next().is_some()
            || self.has_surplus()
            || self.seen.keys().any(|token| is_old(*token))
    }

    /// Slots that have no token.
    pub(super) fn missing(&self, settle: Duration, now: Instant) -> Vec<u32> {
        match now.checked_sub(settle) {
            Some(then) if self.watched_since <= then => self.unseen(then).collect(),
            Some(_) | None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(50);

    fn token(text: &str) -> TokenId {
        text.parse().expect("a token")
    }

    /// Rounds of a second, in each of which these are seen; the time after them.
    fn watched(book: &mut Book, mut now: Instant, seconds: u64, seen: &[&str]) -> Instant {
        for _ in 0..seconds {
            now += Duration::from_secs(1);
            book.turn_to(book.limit, SETTLE, now);
            seen.iter().for_each(|text| book.saw(token(text), now));
        }
        now
    }

    #[test]
    fn a_slot_of_which_nothing_is_seen_for_long_enough_has_no_token() {
        let mut book = Book::new(3, Instant::now());
        let now = watched(&mut book, Instant::now(), 49, &["1-a", "3-a"]);
        assert!(book.missing(SETTLE, now).is_empty());
        let now = watched(&mut book, now, 2, &["1-a", "3-a"]);
        assert_eq!(book.missing(SETTLE, now), [2]);
    }

    #[test]
    fn who_did_not_watch_for_a_while_begins_anew() {
        let mut book = Book::new(1, Instant::now());
        let now = watched(&mut book, Instant::now(), 60, &[]);
        assert_eq!(book.missing(SETTLE, now), [1]);
        let now = watched(&mut book, now + SETTLE, 49, &[]);
        assert!(book.missing(SETTLE, now).is_empty());
    }

    #[test]
    fn of_two_for_one_slot_the_older_is_too_many_and_so_is_what_is_beyond_the_limit() {
        let mut book = Book::new(2, Instant::now());
        watched(&mut book, Instant::now(), 1, &["1-a", "1-b", "2-a", "3-a"]);
        let judged = ["1-a", "1-b", "2-a", "3-a"].map(|text| book.judge(token(text)));
        use Verdict::{Good, Surplus};
        assert_eq!(judged, [Surplus, Good, Good, Surplus]);
        assert!(book.has_surplus());
        book.removed(token("1-a"));
        book.removed(token("3-a"));
        assert!(!book.has_surplus());
    }

    #[test]
    fn the_older_counts_again_when_the_newer_is_not_seen_any_more() {
        let mut book = Book::new(1, Instant::now());
        let now = watched(&mut book, Instant::now(), 1, &["1-a", "1-b"]);
        let now = watched(&mut book, now, 51, &["1-a"]);
        assert_eq!(book.judge(token("1-a")), Verdict::Good);
        assert!(book.missing(SETTLE, now).is_empty());
    }

    #[test]
    fn a_full_queue_needs_no_look() {
        let mut book = Book::new(3, Instant::now());
        let now = watched(&mut book, Instant::now(), 60, &[]);
        assert!(book.should_look(SETTLE, now, |_| false));
        book.is_calm(now);
        assert!(!book.should_look(SETTLE, now, |_| false));
        assert!(book.missing(SETTLE, now).is_empty());
    }

    #[test]
    fn tokens_that_are_old_want_a_look() {
        let mut book = Book::new(1, Instant::now());
        let now = watched(&mut book, Instant::now(), 1, &["1-a"]);
        assert!(!book.should_look(SETTLE, now, |_| false));
        assert!(book.should_look(SETTLE, now, |old| old == token("1-a")));
    }
}
