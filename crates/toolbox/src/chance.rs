//! Chance, and how a test takes it away.
//!
//! Waits are spread by chance from the system. On a thread that [plays by a seed](seed_thread) the same numbers
//! come in the same order every time, so that what a test saw once it can see again.
//!
//! ```
//! use counterfoil_toolbox::{Backoff, chance};
//!
//! let waits = || {
//!     let _seeded = chance::seed_thread(7);
//!     [0, 1, 2].map(|tries| Backoff::default().random_wait(tries))
//! };
//! assert_eq!(waits(), waits());
//! ```

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static SEEDED: Cell<Option<Stream>> = const { Cell::new(None) };
}

/// Numbers that follow from a seed: `SplitMix64`, by Steele, Lea and Flood (2014). They are the same on every
/// machine and stay the same: a seed that is written down is good for ever. Nothing for secrets.
///
/// ```
/// use counterfoil_toolbox::chance::Stream;
///
/// let mut stream = Stream::new(1_234_567);
/// assert_eq!(stream.number(), 6_457_827_717_110_365_317); // here and everywhere
/// assert!(stream.below(6) < 6 && stream.fraction() < 1.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`; 0 when that is empty.
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is taken")]
    pub const fn below(&mut self, end: u64) -> u64 {
        ((self.number() as u128 * end as u128) >> 64) as u64
    }

    /// One of `0.0..1.0`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub const fn fraction(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        (self.number() >> 11) as f64 / STEPS
    }
}

/// A number of `0.0..1.0`: from the system, or from the seed of this thread.
///
/// ```
/// use counterfoil_toolbox::chance;
/// use std::time::Duration;
///
/// let wait = Duration::from_secs(60).mul_f64(chance::fraction()); // so that not all come at once
/// assert!(wait <= Duration::from_secs(60));
/// ```
#[must_use]
pub fn fraction() -> f64 {
    seeded(Stream::fraction).unwrap_or_else(rand::random)
}

/// Any number: from the system, or from the seed of this thread.
///
/// ```
/// use counterfoil_toolbox::chance;
///
/// assert_ne!(chance::number(), chance::number()); // nearly always
/// ```
#[must_use]
pub fn number() -> u64 {
    seeded(Stream::number).unwrap_or_else(rand::random)
}

fn seeded<T>(draw: impl FnOnce(&mut Stream) -> T) -> Option<T> {
    let mut stream = SEEDED.get()?;
    let drawn = draw(&mut stream);
    SEEDED.set(Some(stream));
    Some(drawn)
}

/// Makes chance on this thread follow from `seed`, until what is returned is dropped. For tests: on a runtime
/// of one thread with a paused clock, all waits come out the same. Threads of blocking code keep the system's. The
/// [module](self) has an example.
#[must_use = "dropped, chance is the system's again"]
pub fn seed_thread(seed: u64) -> Seeded {
    Seeded {
        before: SEEDED.replace(Some(Stream::new(seed))),
        of_this_thread: PhantomData,
    }
}

/// A thread plays by a seed: see [`seed_thread`], and the example of the [module](self).
#[derive(Debug)]
pub struct Seeded {
    before: Option<Stream>,
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Seeded {
    fn drop(&mut self) {
        SEEDED.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_published_one() {
        let mut stream = Stream::new(1_234_567);
        let numbers = [(); 5].map(|()| stream.number());
        // As other implementations have it for this seed.
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, published);
    }

    #[test]
    fn numbers_below_an_end_reach_all_of_it_and_never_more() {
        let mut stream = Stream::new(0);
        let mut seen = [0; 6];
        for _ in 0..600 {
            let drawn = usize::try_from(stream.below(6)).expect("small");
            seen[drawn] += 1;
        }
        assert!(seen.iter().all(|times| *times > 60), "{seen:?}");
        assert_eq!(stream.below(0), 0);
        assert!((0..600).all(|_| (0.0..1.0).contains(&stream.fraction())));
    }

    #[test]
    fn a_seed_is_the_threads_own_and_ends_with_its_guard() {
        let drawn = |seed| {
            let _seeded = seed_thread(seed);
            (number(), fraction())
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let _seeded = seed_thread(1);
        let elsewhere = std::thread::spawn(number).join().expect("no panic");
        assert_eq!(number(), Stream::new(1).number());
        assert_ne!(elsewhere, Stream::new(1).number());
        drop(_seeded);
        assert_ne!(number(), number());
    }
}
