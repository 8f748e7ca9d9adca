//! How long to wait before the next try. Pure: chance comes in as an argument.

use crate::chance;
use std::time::Duration;

/// Exponential waiting with full jitter: between nothing and `first × factor^n`, at most `cap`.
///
/// Full jitter spreads a crowd that failed together best:
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
///
/// ```
/// use counterfoil_toolbox::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff { cap: Duration::from_secs(10), jitter: false, ..Backoff::default() };
/// let waits = [0, 1, 2, 3, 4].map(|retry| backoff.random_wait(retry).as_secs());
/// assert_eq!(waits, [1, 2, 4, 8, 10]);
/// assert_eq!(Backoff::fixed(Duration::from_secs(5)).random_wait(9), Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Upper end of the first wait. Default: 1 s.
    pub first: Duration,
    /// Growth of the upper end from one wait to the next. Default: 2.
    pub factor: f64,
    /// Upper end of every wait. Default: 10 min.
    pub cap: Duration,
    /// Whether waits are spread by chance; if not, each is its upper end. Default: yes.
    pub jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_secs(600),
            jitter: true,
        }
    }
}

impl Backoff {
    /// The same wait every time, without jitter.
    #[must_use]
    pub const fn fixed(wait: Duration) -> Self {
        Self {
            first: wait,
            factor: 1.0,
            cap: wait,
            jitter: false,
        }
    }

    /// Waits between tries to reach a server: by chance up to 200 ms before the first, up to twice as long before
    /// each one after that, and up to `cap`.
    ///
    /// ```
    /// use counterfoil_toolbox::Backoff;
    /// use std::time::Duration;
    ///
    /// let backoff = Backoff::reconnect(Duration::from_secs(5));
    /// assert!(backoff.random_wait(0) <= Duration::from_millis(200));
    /// assert!(backoff.random_wait(20) <= Duration::from_secs(5));
    /// ```
    #[must_use]
    pub const fn reconnect(cap: Duration) -> Self {
        Self {
            first: Duration::from_millis(200),
            factor: 2.0,
            cap,
            jitter: true,
        }
    }

    /// The wait before retry `n` (the first is 0). `chance` is a random number in `0.0..1.0`.
    ///
    /// ```
    /// use counterfoil_toolbox::Backoff;
    /// use std::time::Duration;
    ///
    /// // With jitter, a wait is anything up to its upper end.
    /// assert_eq!(Backoff::default().wait(3, 0.25), Duration::from_secs(2));
    /// ```
    #[must_use]
    pub fn wait(&self, n: u32, chance: f64) -> Duration {
        let power = i32::try_from(n).unwrap_or(i32::MAX);
        let cap = self.cap.as_secs_f64();
        // A product beyond f64 is infinite, and an infinite wait is the cap.
        let upper = (self.first.as_secs_f64() * self.factor.powi(power)).min(cap);
        let seconds = if self.jitter {
            upper * chance.clamp(0.0, 1.0)
        } else {
            upper
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.cap)
    }

    /// [`Self::wait`] with chance from the system.
    #[must_use]
    pub fn random_wait(&self, n: u32) -> Duration {
        self.wait(n, chance::fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_upper_end_is_twice_the_one_before_up_to_the_cap() {
        let backoff = Backoff {
            cap: Duration::from_secs(10),
            jitter: false,
            ..Backoff::default()
        };
        let waits: Vec<_> = (0..6).map(|n| backoff.wait(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }

    proptest! {
        #[test]
        fn no_wait_is_ever_longer_than_the_cap(n: u32, chance in 0.0..1.0_f64, first_ms in 0_u64..10_000, cap_ms in 0_u64..100_000) {
            let backoff = Backoff { first: Duration::from_millis(first_ms), cap: Duration::from_millis(cap_ms), ..Backoff::default() };
            prop_assert!(backoff.wait(n, chance) <= backoff.cap);
        }
    }
}
