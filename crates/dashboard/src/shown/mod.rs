//! How times, states, texts and JSON look to people.

mod mask;
mod text;

pub(crate) use mask::Mask;
pub(crate) use text::{cut, hex, visible};

use chrono::{DateTime, SecondsFormat, Utc};
use counterfoil_toolbox::TaskState;

/// A time: exact for machines and readers without scripts; `app.js` shows it in the reader's zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) iso: String,
    pub(crate) text: String,
}

impl When {
    pub(crate) fn of(time: DateTime<Utc>) -> Self {
        Self {
            iso: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            text: time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }
}

/// A state of a task: its word, and the class of its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
}

impl State {
    pub(crate) const fn of(state: TaskState) -> Self {
        let class = match state {
            TaskState::Pending | TaskState::Received => "waiting",
            TaskState::Started | TaskState::Progress => "running",
            TaskState::Retry => "retrying",
            TaskState::Success => "good",
            TaskState::Failure | TaskState::Unroutable | TaskState::Rejected => "bad",
            TaskState::Revoked => "stopped",
        };
        let word = state.as_str();
        Self { word, class }
    }
}

/// A span of time as people say it: `12 ms`, `3.4 s`, `2 min 05 s`, `3 h 20 min`, `2 d 4 h`.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    match ms {
        ..0 => format!("-{}", span(ms.saturating_neg())),
        0 => "< 1 ms".to_owned(),
        1..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{seconds}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        86_400_000.. => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The object that something is about, as people write it: `project:17`.
pub(crate) fn object(kind: Option<&str>, id: Option<&str>) -> Option<String> {
    Some(format!("{}:{}", kind?, id.unwrap_or_default()))
}

/// A number with spaces between its thousands.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            // Narrow, and no line ends there.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_read_as_people_write_them() {
        for (ms, text) in [
            (0, "< 1 ms"),
            (999, "999 ms"),
            (1250, "1.2 s"),
            (125_000, "2 min 05 s"),
            (12_000_000, "3 h 20 min"),
            (190_000_000, "2 d 4 h"),
            (-1250, "-1.2 s"),
        ] {
            assert_eq!(span(ms), text);
        }
        assert!(!span(i64::MIN).is_empty());
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(-12), grouped(100)), ("-12".into(), "100".into()));
    }
}
