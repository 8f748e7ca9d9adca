//! When a schedule fires: a cron expression in a time zone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// A cron expression of five fields (minute, hour, day of the month, month, day of the week) or one of
/// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, in a time zone.
///
/// Where clocks are put forward, a fixed time that does not exist fires at the first minute that does,
/// and what fires every so often skips what does not exist. Where they are put back, a fixed time
/// fires once, the first time, and what fires every so often goes on doing so.
#[derive(Debug, Clone)]
pub struct Calendar {
    cron: Cron,
    zone: Tz,
}

/// A calendar that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCalendar {
    /// The cron expression.
    #[error("cron {cron:?} cannot be read: {why}")]
    Cron {
        /// As it was written.
        cron: String,
        /// What is wrong with it.
        why: String,
    },
    /// The time zone.
    #[error("there is no time zone {zone:?}: it is a name like Europe/Zurich, or UTC")]
    Zone {
        /// As it was written.
        zone: String,
    },
    /// The cron expression names a day that never comes.
    #[error("cron {cron:?} never fires")]
    Never {
        /// As it was written.
        cron: String,
    },
}

impl Calendar {
    /// Reads a calendar.
    ///
    /// # Errors
    /// [`InvalidCalendar`] names what cannot be read.
    pub fn new(cron: &str, zone: &str) -> Result<Self, InvalidCalendar> {
        let zone = zone.parse().map_err(|_| InvalidCalendar::Zone {
            zone: zone.to_owned(),
        })?;
        let fault = |why: String| InvalidCalendar::Cron {
            cron: cron.to_owned(),
            why,
        };
        let fields = cron.split_whitespace().count();
        if fields != 5 && !cron.trim().starts_with('@') {
            return Err(fault(format!("it has {fields} fields, not 5")));
        }
        let parsed = parser().parse(cron);
        let parsed =
            parsed.map_err(|error| fault(named(cron).unwrap_or_else(|| error.to_string())))?;
        let calendar = Self { cron: parsed, zone };
        match calendar.after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(calendar),
            None => Err(InvalidCalendar::Never {
                cron: cron.to_owned(),
            }),
        }
    }

    /// The first time after this one at which it fires; `None`: there is none any more.
    #[must_use]
    pub fn after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let time = time.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&time, false).ok()?;
        Some(next.with_timezone(&Utc))
    }
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
}

/// The fields, in their order, and what may stand there.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of the week", "0 to 7 or SUN to SAT"),
];

/// What is wrong with an expression that cannot be read: the parser tells neither the field nor its range.
fn named(cron: &str) -> Option<String> {
    if cron.trim().starts_with('@') {
        return Some("it is none of @hourly, @daily, @weekly, @monthly and @yearly".to_owned());
    }
    let is_wrong = |at: usize, field: &str| {
        let mut alone = ["*"; FIELDS.len()];
        alone[at] = field;
        parser().parse(&alone.join(" ")).is_err()
    };
    let fields = cron.split_whitespace().zip(FIELDS).enumerate();
    let mut wrong = fields.filter(|(at, (field, _))| is_wrong(*at, field));
    wrong.next().map(|(_, (field, (name, range)))| {
        format!(
            "its {name} {field:?} is not {range}, * for all, a list 1,2, a range 1-5 or a step */10"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    /// The first times after `from`, in UTC.
    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let calendar = Calendar::new(cron, zone).expect("a calendar");
        let mut time = at(from);
        let mut times = Vec::new();
        for _ in 0..count {
            time = calendar.after(time).expect("another time");
            times.push(time.format("%m-%d %H:%M").to_string());
        }
        times
    }

    #[test]
    fn it_fires_by_the_clock_of_its_zone() {
        let from = "2026-01-01T00:00:00Z";
        assert_eq!(
            times("30 6 * * MON-FRI", "UTC", from, 3),
            ["01-01 06:30", "01-02 06:30", "01-05 06:30"]
        );
        assert_eq!(
            times("30 6 * * *", "America/New_York", from, 1),
            ["01-01 11:30"]
        );
        assert_eq!(
            times("@hourly", "Asia/Kolkata", from, 2),
            ["01-01 00:30", "01-01 01:30"]
        );
        assert_eq!(times("0 0 29 2 *", "UTC", from, 1), ["02-29 00:00"]);
    }

    // Zurich: from 02:00 to 03:00 on March 29, which is 01:00 in UTC.
    #[test]
    fn a_fixed_time_that_does_not_exist_fires_at_the_first_minute_that_does() {
        let from = "2026-03-27T12:00:00Z";
        let fixed = times("30 2 * * *", "Europe/Zurich", from, 3);
        assert_eq!(fixed, ["03-28 01:30", "03-29 01:00", "03-30 00:30"]);
        let often = times("*/30 * * * *", "Europe/Zurich", "2026-03-29T00:10:00Z", 3);
        assert_eq!(often, ["03-29 00:30", "03-29 01:00", "03-29 01:30"]);
        let hourly = times("15 * * * *", "Europe/Zurich", "2026-03-28T23:59:00Z", 3);
        assert_eq!(hourly, ["03-29 00:15", "03-29 01:15", "03-29 02:15"]);
    }

    // From 03:00 back to 02:00 on October 25, at 01:00 in UTC.
    #[test]
    fn a_fixed_time_that_comes_twice_fires_once_and_what_fires_often_goes_on() {
        let from = "2026-10-24T12:00:00Z";
        let fixed = times("30 2 * * *", "Europe/Zurich", from, 2);
        assert_eq!(fixed, ["10-25 00:30", "10-26 01:30"]);
        let often = times("*/30 * * * *", "Europe/Zurich", "2026-10-24T23:45:00Z", 6);
        let utc = [
            "10-25 00:00",
            "10-25 00:30",
            "10-25 01:00",
            "10-25 01:30",
            "10-25 02:00",
            "10-25 02:30",
        ];
        assert_eq!(often, utc);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (cron, zone, part) in [
            (
                "61 * * * *",
                "UTC",
                "cron \"61 * * * *\" cannot be read: its minute \"61\" is not 0 to 59, ",
            ),
            ("0 24 * * *", "UTC", "its hour \"24\" is not 0 to 23, "),
            ("0 2-25 32 * *", "UTC", "its hour \"2-25\" is not 0 to 23, "),
            (
                "0 0 32 * *",
                "UTC",
                "its day of the month \"32\" is not 1 to 31, ",
            ),
            (
                "0 0 * 13 *",
                "UTC",
                "its month \"13\" is not 1 to 12 or JAN to DEC, ",
            ),
            (
                "0 0 * * mondy",
                "UTC",
                "its day of the week \"mondy\" is not 0 to 7 or SUN to SAT, ",
            ),
            (
                "*/0 * * * *",
                "UTC",
                "its minute \"*/0\" is not 0 to 59, * for all, a list 1,2, a range 1-5 or a step */10",
            ),
            ("* * * *", "UTC", "it has 4 fields, not 5"),
            ("0 0 0 * * *", "UTC", "it has 6 fields, not 5"),
            (
                "@sometimes",
                "UTC",
                "it is none of @hourly, @daily, @weekly, @monthly and @yearly",
            ),
            ("", "UTC", "it has 0 fields, not 5"),
            ("0 0 30 2 *", "UTC", "cron \"0 0 30 2 *\" never fires"),
            (
                "* * * * *",
                "Europe/Atlantis",
                "there is no time zone \"Europe/Atlantis\"",
            ),
        ] {
            let error = Calendar::new(cron, zone).expect_err(cron).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
