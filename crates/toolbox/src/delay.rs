//! Waiting at the broker: binary levels, shared with Celery ≥ 5.5.
//!
//! A delay of `d` seconds is published with the 28 bits of `d` in front of its key. Each level
//! holds a message for its power of two or passes it on, so nothing waits behind a longer delay.

use crate::names::RoutingKey;
use crate::priority::Priority;
use crate::topology::names::DELAY_LEVELS;
use std::time::Duration;

/// Longest delay: 2^28 − 1 seconds, about 8.5 years.
pub const MAX_DELAY: Duration = Duration::from_secs((1 << DELAY_LEVELS) - 1);

/// Bytes that the bits add to a key.
const PREFIX_LEN: usize = 2 * DELAY_LEVELS as usize;

/// A delay that the levels cannot hold.
///
/// ```
/// use counterfoil_toolbox::delay::{InvalidDelay, MAX_DELAY, delayed_key};
///
/// let key = "demo.add".parse()?;
/// assert!(delayed_key(MAX_DELAY, &key).is_ok());
/// assert!(matches!(delayed_key(2 * MAX_DELAY, &key), Err(InvalidDelay::TooLong { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDelay {
    /// Longer than [`MAX_DELAY`].
    #[error("a delay of {delay:?} is longer than the 8.5 years that the broker can hold a task")]
    TooLong {
        /// The refused delay.
        delay: Duration,
    },
    /// The bits of the delay do not fit in front of the key.
    #[error("routing key {key} is too long to be delayed: at most 199 bytes")]
    KeyTooLong {
        /// The refused key.
        key: RoutingKey,
    },
}

/// `key` with the bits of `delay` in front, whole seconds, rounded up so that nothing comes early.
///
/// ```
/// use counterfoil_toolbox::delay::{delay_of, delayed_key, without_delay};
/// use std::time::Duration;
///
/// let key = "demo.add".parse()?;
/// let delayed = delayed_key(Duration::from_millis(2500), &key)?;
/// assert_eq!(delay_of(delayed.as_str()), Some(Duration::from_secs(3)));
/// assert_eq!(without_delay(&delayed), key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InvalidDelay`] when the delay is longer than [`MAX_DELAY`] or the key has no room for it.
pub fn delayed_key(delay: Duration, key: &RoutingKey) -> Result<RoutingKey, InvalidDelay> {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    if seconds > MAX_DELAY.as_secs() {
        return Err(InvalidDelay::TooLong { delay });
    }
    let mut text = String::with_capacity(PREFIX_LEN + key.as_str().len());
    for level in (0..DELAY_LEVELS).rev() {
        text.push_str(if seconds >> level & 1 == 1 {
            "1."
        } else {
            "0."
        });
    }
    text.push_str(key.as_str());
    RoutingKey::new(&text).map_err(|_| InvalidDelay::KeyTooLong { key: key.clone() })
}

/// `key` without the bits of a delay, if it has them: the key to route a retry by.
///
/// ```
/// use counterfoil_toolbox::delay::without_delay;
///
/// let key = "0.1.demo".parse()?; // 28 bits are a delay, and two are not
/// assert_eq!(without_delay(&key), key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn without_delay(key: &RoutingKey) -> RoutingKey {
    match behind_delay(key.as_str()) {
        Some(rest) => RoutingKey::new(rest).expect("part of a valid key"),
        None => key.clone(),
    }
}

/// How long the levels hold what is published with `key`. `None`: it has no bits of a delay.
///
/// ```
/// use counterfoil_toolbox::delay::delay_of;
/// use std::time::Duration;
///
/// assert_eq!(delay_of("demo.add"), None);
/// let delayed = format!("{}1.0.demo.add", "0.".repeat(26));
/// assert_eq!(delay_of(&delayed), Some(Duration::from_secs(2)));
/// ```
#[must_use]
pub fn delay_of(key: &str) -> Option<Duration> {
    let bits = &key[..key.len() - behind_delay(key)?.len()];
    let seconds = bits
        .split_terminator('.')
        .fold(0, |seconds, bit| seconds << 1 | u64::from(bit == "1"));
    Some(Duration::from_secs(seconds))
}

/// Service to one of whose queues a key leads: its first segment, after the bits of a delay and
/// without a class.
///
/// ```
/// use counterfoil_toolbox::delay::addressee;
///
/// assert_eq!(addressee("export~high.project"), "export");
/// let delayed = format!("{}export.project", "0.1.".repeat(14));
/// assert_eq!(addressee(&delayed), "export");
/// ```
#[must_use]
pub fn addressee(key: &str) -> &str {
    Priority::split(first_word(key)).0
}

/// First segment of a key, after the bits of a delay.
pub(crate) fn first_word(key: &str) -> &str {
    let key = behind_delay(key).unwrap_or(key);
    key.split('.').next().unwrap_or_default()
}

/// What follows the bits of a delay. `None`: there are none.
fn behind_delay(key: &str) -> Option<&str> {
    let (bits, rest) = key.split_at_checked(PREFIX_LEN)?;
    (!rest.is_empty() && is_bits(bits)).then_some(rest)
}

fn is_bits(text: &str) -> bool {
    text.as_bytes()
        .chunks(2)
        .all(|pair| matches!(pair, [b'0' | b'1', b'.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> RoutingKey {
        RoutingKey::new(text).expect("valid")
    }

    #[test]
    fn a_delay_of_three_seconds_is_the_key_that_celery_publishes() {
        let delayed = delayed_key(Duration::from_secs(3), &key("proj.default")).expect("short");
        assert_eq!(
            delayed,
            "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.1.proj.default"
        );
        assert_eq!(without_delay(&delayed), "proj.default");
        assert_eq!(delay_of(delayed.as_str()), Some(Duration::from_secs(3)));
        assert_eq!(delay_of("proj.default"), None);
    }

    #[test]
    fn fractions_are_rounded_up_and_a_plain_key_has_nothing_to_strip() {
        let delayed = delayed_key(Duration::from_millis(1001), &key("demo.add")).expect("short");
        assert!(delayed.as_str().ends_with("0.1.0.demo.add"));
        for plain in ["demo.add", "0.1.demo", "", &"0.".repeat(28)] {
            assert_eq!(without_delay(&key(plain)), plain);
        }
    }

    #[test]
    fn what_the_levels_cannot_hold_is_refused() {
        assert!(delayed_key(MAX_DELAY, &key("demo.add")).is_ok());
        assert!(delayed_key(MAX_DELAY + Duration::from_secs(1), &key("demo.add")).is_err());
        assert!(delayed_key(Duration::from_secs(1), &key(&"k".repeat(200))).is_err());
    }

    #[test]
    fn the_key_leads_to_a_service_delayed_or_not_whatever_the_class() {
        let delayed = format!("{}proj.default", "0.1.".repeat(14));
        for (key, service) in [
            ("demo.add", "demo"),
            ("celery", "celery"),
            (&*delayed, "proj"),
            ("demo~high.add", "demo"),
            (&*delayed.replace("proj", "proj~low"), "proj"),
            ("demo~urgent.add", "demo~urgent"),
            ("", ""),
        ] {
            assert_eq!(addressee(key), service);
        }
    }
}
