//! Times as both databases and Python can hold them.

use chrono::{DateTime, SubsecRound, TimeZone, Utc};
use uuid::Uuid;

/// Years 1970 to 9999, to the microsecond: PostgreSQL keeps no more digits, Python no later years.
pub(crate) fn clamped(at: DateTime<Utc>) -> DateTime<Utc> {
    at.clamp(DateTime::UNIX_EPOCH, latest()).trunc_subsecs(6)
}

pub(crate) fn latest() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(9999, 12, 31, 23, 59, 59)
        .single()
        .expect("a time that exists, in UTC")
}

/// The time in a UUID v7; `None` for any other id.
pub(crate) fn of_uuid_v7(id: Uuid) -> Option<DateTime<Utc>> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let seconds = i64::try_from(seconds).ok()?;
    DateTime::from_timestamp(seconds, nanos).map(clamped)
}

/// The one way in which SQLite holds times: texts of equal length that sort like the times.
pub(crate) fn to_text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_database_holds_are_moved_to_the_nearest_that_it_does() {
        assert_eq!(clamped(DateTime::<Utc>::MAX_UTC), latest());
        assert_eq!(clamped(DateTime::<Utc>::MIN_UTC), DateTime::UNIX_EPOCH);
        let nanos = DateTime::from_timestamp(1, 123_456_789).expect("a time");
        assert_eq!(
            to_text(clamped(nanos)),
            "1970-01-01T00:00:01.123456Z",
            "cut to microseconds"
        );
    }

    #[test]
    fn only_version_7_tells_its_time() {
        let id: Uuid = "01938c5e-0000-7000-8000-000000000001"
            .parse()
            .expect("a UUID");
        let at = of_uuid_v7(id).expect("a time");
        assert_eq!(at.timestamp_millis(), 0x0193_8c5e_0000);
        assert_eq!(of_uuid_v7(Uuid::nil()), None);
        let v4 = "1ee7e25b-5199-4961-bb81-f5fcd4968160"
            .parse()
            .expect("a UUID");
        assert_eq!(of_uuid_v7(v4), None);
        let v7_of_the_far_future = "ffffffff-ffff-7fff-bfff-ffffffffffff"
            .parse()
            .expect("a UUID");
        assert_eq!(of_uuid_v7(v7_of_the_far_future), Some(latest()));
    }
}
