//! Points in time as people type them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use std::time::Duration;

/// Points in time are shown as commands read them.
pub(crate) use counterfoil_operations::shown;

const FORMS: &str =
    "write 2026-01-31T12:00:00Z, \"2026-01-31 12:00\" (UTC), 2026-01-31, or a duration such as 10m";

/// A length of time, with its units.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "write a number and its unit: 500ms, 10s, 5m, 2h, 1d or 1h30m".to_owned())
}

/// A point in time; a duration counts from now on.
pub(crate) fn ahead(text: &str) -> Result<DateTime<Utc>, String> {
    point(text, Utc::now(), 1)
}

/// A point in time; a duration counts back from now.
pub(crate) fn ago(text: &str) -> Result<DateTime<Utc>, String> {
    point(text, Utc::now(), -1)
}

fn point(text: &str, now: DateTime<Utc>, direction: i32) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    for form in [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Ok(time.and_utc());
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    let wait = humantime::parse_duration(text).map_err(|_| FORMS.to_owned())?;
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| now.checked_add_signed(wait * direction))
        .ok_or_else(|| "that is too far away".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed_again_and_names_its_zone() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        assert_eq!(shown(now), "2027-01-15T08:00:00Z");
        assert_eq!(ago(&shown(now)), Ok(now));
    }

    #[test]
    fn times_are_read_in_every_form_that_is_advertised() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        for (text, wanted) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
            ("2026-01-31 12:00", "2026-01-31T12:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
        ] {
            let wanted: DateTime<Utc> = wanted.parse().expect("a time");
            assert_eq!(point(text, now, 1), Ok(wanted), "{text}");
        }
        assert_eq!(point("10m", now, 1), Ok(now + TimeDelta::minutes(10)));
        assert_eq!(point("10m", now, -1), Ok(now - TimeDelta::minutes(10)));
        for text in ["", "tomorrow", "2026-13-01", "9999999999y"] {
            assert!(point(text, now, 1).is_err(), "{text}");
        }
    }
}
