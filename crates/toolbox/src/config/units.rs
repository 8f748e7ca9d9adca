//! Durations and sizes as people write them.

use std::time::Duration;

/// `10s`, `1h 30m`, `250ms`, or plain seconds, `2.5`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

/// `1 MiB`, `4MB`, `512 kB`, or plain bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().ok()?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("10s", Some(10_000)),
            ("1h 30m", Some(5_400_000)),
            ("250ms", Some(250)),
            (" 2.5 ", Some(2500)),
            ("0", Some(0)),
            ("-1", None),
            ("inf", None),
            ("nan", None),
            ("ten", None),
            ("", None),
        ] {
            assert_eq!(
                duration(text),
                wanted.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn sizes_count_in_thousands_or_in_kibibytes_as_their_unit_says() {
        for (text, wanted) in [
            ("1 MiB", Some(1_048_576)),
            ("4MB", Some(4_000_000)),
            ("4_000_000", Some(4_000_000)),
            ("512 b", Some(512)),
            ("1.5MB", None),
            ("MB", None),
            ("1 mile", None),
            ("99999999999 GiB", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text:?}");
        }
    }
}
