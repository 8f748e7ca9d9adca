//! Which services the broker is asked about, and when.
//!
//! A queue whose node is down costs a time limit each time, and whoever may send tasks can invent names of services.
//! So what is wrong with the queues of one service is no matter of the others, and nobody waits behind names that
//! nobody serves: one that was not answered, or has no queue, is asked about more and more seldom.

use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// How many times as long as the first pause the longest is.
const GROWS: u32 = 8;

/// Names of which nothing is known that are asked about in one round.
const STRANGE: usize = 50;

/// Services that are not asked about for a while.
#[derive(Debug)]
pub(crate) struct Asks {
    shortest: Duration,
    pauses: HashMap<String, Pause>,
    /// The last of which nothing was known that had its turn.
    last: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Asks {
    /// `shortest`: the first pause.
    pub(crate) fn new(shortest: Duration) -> Self {
        Self {
            shortest,
            pauses: HashMap::new(),
            last: None,
        }
    }

    /// Whether nobody asks about it now.
    pub(crate) fn are_put_off(&self, service: &str, now: Instant) -> bool {
        let pause = self.pauses.get(service);
        pause.is_some_and(|pause| now < pause.until)
    }

    /// Asks about it later, and each time later still. Whether it was answered before.
    pub(crate) fn put_off(&mut self, service: &str, now: Instant) -> bool {
        let before = self.pauses.get(service).map(|pause| pause.length);
        let longest = self.shortest.saturating_mul(GROWS);
        let length = before.map_or(self.shortest, |length| (length * 2).min(longest));
        let until = now + length;
        let pause = Pause { until, length };
        self.pauses.insert(service.to_owned(), pause);
        before.is_none()
    }

    /// The broker did not answer about it. A queue whose node is down looks like a broker that cannot be reached, so
    /// the broker is asked for one that must be there; if it answers that, this is a matter of the one service, and is
    /// put off. Whether it was answered before.
    ///
    /// # Errors
    /// [`TransportError`]: it does not answer that either.
    pub(crate) async fn not_answered(
        &mut self,
        service: &str,
        transport: &dyn Transport,
        names: &Names,
    ) -> Result<bool, TransportError> {
        transport.depth(&names.tracking_queue).await?;
        Ok(self.put_off(service, Instant::now()))
    }

    /// It was answered.
    pub(crate) fn answered(&mut self, service: &str) {
        self.pauses.remove(service);
    }

    /// Who is asked about in this round: first all who are known, then some of the others, in turn. Of whoever is not
    /// in `names` nothing is remembered.
    pub(crate) fn turn(
        &mut self,
        names: &BTreeSet<String>,
        is_known: impl Fn(&str) -> bool,
        now: Instant,
    ) -> Vec<String> {
        self.pauses.retain(|name, _| names.contains(name));
        let (mut turn, strange): (Vec<_>, Vec<_>) = names.iter().partition(|name| is_known(name));
        let is_after = |name: &&&String| self.last.as_ref().is_none_or(|last| last < **name);
        let after = strange.iter().filter(is_after);
        let before = strange.iter().filter(|name| !is_after(name));
        let due = |name: &&&String| !self.are_put_off(name, now);
        let strange: Vec<_> = after.chain(before).filter(due).take(STRANGE).collect();
        let last = strange.last().map(|name| (**name).clone());
        turn.extend(strange);
        let turn = turn.into_iter().cloned().collect();
        self.last = last.or(self.last.take());
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn names(count: usize) -> BTreeSet<String> {
        (0..count).map(|n| format!("s{n:03}")).collect()
    }

    #[test]
    fn whoever_does_not_answer_is_asked_more_and_more_seldom_until_he_does() {
        let (mut asks, mut now) = (Asks::new(SECOND), Instant::now());
        assert!(!asks.are_put_off("demo", now));
        assert!(asks.put_off("demo", now));
        for length in [1, 2, 4, 8, 8] {
            assert!(asks.are_put_off("demo", now + SECOND * length - SECOND / 2));
            now += SECOND * length;
            assert!(!asks.are_put_off("demo", now));
            assert!(!asks.put_off("demo", now));
        }
        assert!(!asks.are_put_off("export", now));
        asks.answered("demo");
        assert!(!asks.are_put_off("demo", now));
        assert!(asks.put_off("demo", now));
        assert!(!asks.are_put_off("demo", now + SECOND));
    }

    #[test]
    fn known_services_come_first_and_all_and_of_the_others_a_few_in_turn() {
        let (mut asks, now) = (Asks::new(SECOND), Instant::now());
        let (all, is_known) = (names(180), |name: &str| name >= "s120");
        let mut asked = BTreeSet::new();
        for round in 0..3 {
            let turn = asks.turn(&all, is_known, now);
            assert!(turn[..60].iter().all(|name| is_known(name)));
            assert_eq!(turn.len(), 60 + STRANGE, "round {round}");
            asked.extend(turn);
        }
        assert_eq!(asked, all);
        // Those that are put off do not take the place of others, but known ones are never.
        for name in all.iter().filter(|name| *name != "s007") {
            asks.put_off(name, now);
        }
        let turn = asks.turn(&all, is_known, now);
        assert_eq!((turn.len(), turn[60].as_str()), (61, "s007"));
    }

    #[test]
    fn nothing_is_remembered_of_names_that_are_gone() {
        let (mut asks, now) = (Asks::new(SECOND), Instant::now());
        asks.put_off("s000", now);
        asks.turn(&BTreeSet::new(), |_| false, now);
        assert_eq!(asks.turn(&names(1), |_| false, now), ["s000"]);
    }
}
