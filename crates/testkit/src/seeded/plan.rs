//! The faults of a seed: what, when, how long. They follow from the seed alone.

use counterfoil_toolbox::chance::Stream;
use std::time::Duration;

/// How long something lasts at most: a block, an outage, until a worker that was killed starts again.
const LONGEST_TROUBLE: Duration = Duration::from_secs(5);

/// A kind of fault. [`Seeds::only_faults`](crate::Seeds::only_faults) chooses some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// The process of a worker is killed: what it had in hand comes again, what it had in memory is gone, and a new
    /// one starts a little later. What a handler had spawned by itself lives on; a killed process leaves none of it.
    Kill,
    /// A worker is replaced, as a deployment does: a new one starts, and the old one is told to stop.
    Replace,
    /// The broker ends one channel of a worker, and with it a consumer: what was delivered to it comes again.
    EndConsumer,
    /// A worker loses all of its channels at once.
    Disconnect,
    /// A worker's next acknowledgement is lost: the broker delivers once more what was done and acknowledged.
    Redeliver,
    /// The broker refuses some messages, whoever publishes them.
    Nack,
    /// The broker takes some messages without ever confirming them.
    LoseConfirms,
    /// The broker takes no messages for a while, as under an alarm of memory or disk.
    Block,
    /// The broker cannot be reached for a while, by anybody.
    Outage,
}

impl Trouble {
    /// All kinds. A seed chooses among them by their place here, so a kind more changes what seeds mean.
    pub const ALL: [Self; 9] = [
        Self::Kill,
        Self::Replace,
        Self::EndConsumer,
        Self::Disconnect,
        Self::Redeliver,
        Self::Nack,
        Self::LoseConfirms,
        Self::Block,
        Self::Outage,
    ];
}

/// What trials are played under.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    pub(super) most: u64,
    pub(super) kinds: Vec<Trouble>,
    pub(super) longest_gap: Duration,
    pub(super) longest_pause: Duration,
    pub(super) patience: Duration,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            most: 5,
            kinds: Trouble::ALL.to_vec(),
            longest_gap: Duration::from_secs(2),
            longest_pause: Duration::from_millis(50),
            patience: Duration::from_secs(2 * 60 * 60),
        }
    }
}

/// A fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// How long after the one before.
    pub(super) after: Duration,
    pub(super) trouble: Trouble,
    /// Whom it hits, among those that there are by then.
    pub(super) pick: u64,
    /// How long it lasts, where it does.
    pub(super) time: Duration,
    /// How many messages it hits, where it does.
    pub(super) messages: usize,
}

/// The faults of a seed, in order.
pub(super) fn plan(seed: u64, weather: &Weather) -> Vec<Planned> {
    let mut chance = Stream::new(seed);
    let kinds = &weather.kinds;
    if weather.most == 0 || kinds.is_empty() {
        return Vec::new();
    }
    let count = 1 + chance.below(weather.most);
    let draw = |_| Planned {
        after: spread(&mut chance, weather.longest_gap),
        trouble: kinds[index(chance.below(kinds.len() as u64))],
        pick: chance.number(),
        time: spread(&mut chance, LONGEST_TROUBLE),
        messages: 1 + index(chance.below(3)),
    };
    (0..count).map(draw).collect()
}

/// A time of 0 to `longest`, in whole milliseconds: of every order of magnitude about as likely, since nobody
/// knows how long what is to be hit will take.
pub(super) fn spread(chance: &mut Stream, longest: Duration) -> Duration {
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let orders = u64::from(longest.checked_ilog2().map_or(0, |order| order + 1));
    // Whole numbers only: what a library makes of fractions differs from one machine to the next.
    let below = 1_u64.checked_shl(u32::try_from(chance.below(orders + 1)).unwrap_or(0));
    Duration::from_millis(chance.below(below.unwrap_or(u64::MAX)).min(longest))
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

// Streams of a seed beside that of its plan: any numbers, so long as they stay.

/// The seed of how waits are spread by workers and producers.
pub(super) const fn jitter_of(seed: u64) -> u64 {
    seed ^ 0x6a69_7474_6572_0001
}

/// The seed of how long handlers are made to wait.
pub(super) const fn pauses_of(seed: u64) -> u64 {
    seed ^ 0x7061_7573_6573_0002
}

/// The seed of what the test itself draws.
pub(super) const fn chance_of(seed: u64) -> u64 {
    seed ^ 0x6368_616e_6365_0003
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: Duration) -> u128 {
        time.as_millis()
    }

    #[test]
    fn the_faults_of_a_seed_are_what_they_have_always_been() {
        let weather = Weather::default();
        let short = |it: &Planned| (ms(it.after), it.trouble, ms(it.time), it.messages);
        let of = |seed| plan(seed, &weather).iter().map(short).collect::<Vec<_>>();
        // Reckoned elsewhere, by another program.
        let seed_0 = [
            (0, Trouble::Outage, 2, 3),
            (3, Trouble::Disconnect, 71, 3),
            (31, Trouble::LoseConfirms, 1752, 2),
            (674, Trouble::Block, 8, 2),
            (1931, Trouble::Replace, 0, 2),
        ];
        let seed_17 = [
            (5, Trouble::EndConsumer, 0, 2),
            (0, Trouble::EndConsumer, 16, 3),
            (0, Trouble::Disconnect, 0, 1),
        ];
        assert_eq!(of(0), seed_0);
        assert_eq!(of(17), seed_17);
    }

    #[test]
    fn seeds_are_told_apart_and_every_kind_of_fault_comes() {
        let weather = Weather::default();
        let plans: Vec<_> = (0..200).map(|seed| plan(seed, &weather)).collect();
        assert!(plans.iter().all(|plan| (1..=5).contains(&plan.len())));
        for kind in Trouble::ALL {
            let of_it = plans.iter().flatten().filter(|it| it.trouble == kind);
            assert!(of_it.count() > 20, "{kind:?}");
        }
        let same = plans.windows(2).filter(|two| two[0] == two[1]);
        assert_eq!(same.count(), 0);
    }

    #[test]
    fn times_are_of_every_order_of_magnitude_and_none_is_too_long() {
        let mut chance = Stream::new(1);
        let longest = Duration::from_secs(2);
        let times: Vec<_> = (0..1000).map(|_| spread(&mut chance, longest)).collect();
        assert!(times.iter().all(|time| *time <= longest));
        for (from, to) in [(0, 1), (1, 10), (10, 100), (100, 1000), (1000, 2001)] {
            let there = times
                .iter()
                .filter(|it| (from..to).contains(&it.as_millis()));
            assert!(there.count() > 25, "{from}..{to} ms");
        }
        assert_eq!(spread(&mut chance, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn without_kinds_or_with_no_more_than_none_there_is_no_fault() {
        let weather = Weather {
            most: 0,
            ..Weather::default()
        };
        assert_eq!(plan(1, &weather), []);
        let weather = Weather {
            kinds: Vec::new(),
            ..Weather::default()
        };
        assert_eq!(plan(1, &weather), []);
    }
}
