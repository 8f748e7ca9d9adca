//! Times as producers write them: every form of ISO 8601 that Celery reads.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// ISO 8601 with an offset, or without one: then UTC, Celery's default.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    // `T` or a space between date and time; offsets with and without a colon, or hours only.
    let text = text.replacen(' ', "T", 1);
    let with_offset = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
    let with_offset = with_offset.iter();
    if let Some(time) = with_offset
        .filter_map(|format| DateTime::parse_from_str(&text, format).ok())
        .next()
    {
        return Some(time.with_timezone(&Utc));
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let mut naive = naive.iter();
    let time = naive.find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
    let midnight = || {
        NaiveDate::parse_from_str(&text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    time.or_else(midnight).map(|naive| naive.and_utc())
}

/// Whether the time says how far from UTC it is.
pub(super) fn has_offset(text: &str) -> bool {
    let after_the_date = text.get(10..).unwrap_or_default();
    after_the_date.contains(['Z', 'z', '+', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset_and_without_one_as_utc() {
        let at = |text: &str| parse_time(text).map(|t| t.to_rfc3339());
        assert_eq!(
            at("2026-11-21T20:08:48.5+01:00").as_deref(),
            Some("2026-11-21T19:08:48.500+00:00")
        );
        assert_eq!(
            at("2026-11-21T19:08:48").as_deref(),
            Some("2026-11-21T19:08:48+00:00")
        );
        assert_eq!(
            at("2026-11-21T19:08:48.123456789Z").as_deref(),
            Some("2026-11-21T19:08:48.123456789+00:00")
        );
        for same in [
            "2026-11-21T20:08:48+0100",
            "2026-11-21T20:08:48+01",
            "2026-11-21 19:08:48Z",
            "2026-11-21 19:08:48.000000",
        ] {
            assert_eq!(
                at(same).as_deref(),
                Some("2026-11-21T19:08:48+00:00"),
                "{same}"
            );
        }
        assert_eq!(at("2026-11-21T19:08"), at("2026-11-21T19:08:00Z"));
        assert_eq!(at("2026-11-21"), at("2026-11-21T00:00:00Z"));
        for none in [
            "tomorrow",
            "",
            "60",
            "2026-13-01",
            "2026-11-21T25:00:00",
            "💥026-11-21T1",
        ] {
            assert_eq!(at(none), None, "{none}");
        }
    }
}
