//! How often something may begin.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many in so much time, evenly spread: of `10/s`, two are at least 100 ms apart.
///
/// ```
/// use counterfoil_toolbox::Rate;
/// use std::time::Duration;
///
/// let rate: Rate = "100/m".parse()?; // as Celery writes it
/// assert_eq!(rate, Rate::per_minute(100));
/// assert_eq!(rate.interval(), Duration::from_millis(600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
}

/// A text is no rate.
///
/// ```
/// use counterfoil_toolbox::Rate;
///
/// let refused = "often".parse::<Rate>().unwrap_err().to_string();
/// assert!(refused.ends_with("for example 10/s, 100/m or 5/h"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no rate: write a whole number and a unit, for example 10/s, 100/m or 5/h")]
pub struct InvalidRate {
    text: String,
}

impl Rate {
    /// `count` in each second.
    ///
    /// # Panics
    /// When `count` is 0: what may never begin has no rate.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self::of(count, Duration::from_secs(1))
    }

    /// `count` in each minute.
    ///
    /// # Panics
    /// When `count` is 0.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self::of(count, Duration::from_secs(60))
    }

    /// `count` in each hour.
    ///
    /// # Panics
    /// When `count` is 0.
    #[must_use]
    pub const fn per_hour(count: u32) -> Self {
        Self::of(count, Duration::from_secs(3600))
    }

    const fn of(count: u32, per: Duration) -> Self {
        assert!(count > 0, "a rate is at least one in its time");
        Self { count, per }
    }

    /// Time between two beginnings.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.per / self.count
    }
}

/// Celery's notation: `10/s`, `100/m`, `5/h`; a number alone is per second.
impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let invalid = || InvalidRate {
            text: text.to_owned(),
        };
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let rate = match unit.trim() {
            "s" => Self::per_second,
            "m" => Self::per_minute,
            "h" => Self::per_hour,
            _ => return Err(invalid()),
        };
        let count = count.trim().parse().map_err(|_| invalid())?;
        if count == 0 {
            return Err(invalid());
        }
        Ok(rate(count))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_celery_writes_them() {
        for (text, interval) in [
            ("10/s", Duration::from_millis(100)),
            ("100/m", Duration::from_millis(600)),
            (" 6 / h ", Duration::from_secs(600)),
            ("4", Duration::from_millis(250)),
        ] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(rate.interval(), interval, "{text}");
        }
        assert_eq!(Rate::per_minute(100).to_string(), "100/m");
    }

    #[test]
    fn what_is_no_rate_is_refused_with_examples() {
        for text in ["", "fast", "0/s", "-1/s", "1/d", "1/", "1.5/s"] {
            let error = text.parse::<Rate>().expect_err(text).to_string();
            assert!(error.contains("10/s, 100/m or 5/h"), "{error}");
        }
    }
}
