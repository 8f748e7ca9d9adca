//! Points in time for people.

use chrono::{DateTime, SecondsFormat, Utc};

/// A point in time for people: to the second and in UTC, `2026-01-31T12:00:00Z`.
///
/// ```
/// use chrono::DateTime;
///
/// let time = DateTime::from_timestamp(1_800_000_000, 999_999_999).expect("a time");
/// assert_eq!(counterfoil_operations::shown(time), "2027-01-15T08:00:00Z");
/// ```
#[must_use]
pub fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
