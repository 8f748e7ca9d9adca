//! A place in the feed, as text and back.

use std::str::FromStr;
use uuid::Uuid;

/// Transactions under way that a position may name. A server has no more connections than that.
const MOST_UNDER_WAY: usize = 10_000;

/// What somebody has seen of the feed of changes.
///
/// Prints as text without spaces, for the ids of server-sent events, and reads back from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeedPosition {
    /// The newest mark that was there; what was gone by then is no matter.
    mark: Option<Uuid>,
    /// The snapshot, in PostgreSQL's words: `lowest under way:lowest to come:others under way`. On SQLite the first
    /// two are the position to come.
    seen: Box<str>,
}

impl FeedPosition {
    pub(crate) fn new(mark: Option<Uuid>, seen: &str) -> Self {
        let seen = seen.into();
        Self { mark, seen }
    }

    /// From where everything is too old.
    pub(crate) fn nowhere() -> Self {
        Self::new(Some(Uuid::nil()), "1:1:")
    }

    pub(crate) const fn mark(&self) -> Option<Uuid> {
        self.mark
    }

    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }
}

impl std::fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.mark {
            Some(mark) => write!(f, "{}.{}", mark.simple(), self.seen),
            None => write!(f, ".{}", self.seen),
        }
    }
}

impl FromStr for FeedPosition {
    type Err = BadFeedPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mark, seen) = text.split_once('.').ok_or(BadFeedPosition)?;
        let mark = match mark {
            "" => None,
            mark => Some(Uuid::try_parse(mark).map_err(|_| BadFeedPosition)?),
        };
        is_snapshot(seen)
            .then(|| Self::new(mark, seen))
            .ok_or(BadFeedPosition)
    }
}

/// Whether PostgreSQL reads it too: rising numbers of transactions within the first two.
fn is_snapshot(text: &str) -> bool {
    let mut parts = text.split(':');
    let (Some(low), Some(high), Some(list), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Some(low), Some(high)) = (number(low), number(high)) else {
        return false;
    };
    let mut last = low;
    let mut rises = |text| {
        let Some(number) = number(text).filter(|number| (last..high).contains(number)) else {
            return false;
        };
        last = number;
        true
    };
    let count = list.split(',').count();
    low <= high && count <= MOST_UNDER_WAY && (list.is_empty() || list.split(',').all(&mut rises))
}

/// Numbers of transactions begin with 1. PostgreSQL's own have 64 bits, SQLite's positions 63.
fn number(text: &str) -> Option<i64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain)?;
    (number >= 1).then_some(number)
}

/// The text is no [`FeedPosition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position in the feed of changes")]
pub struct BadFeedPosition;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_from_its_text() {
        let mark = Some(Uuid::from_u128(7));
        for (mark, seen) in [
            (mark, "812:830:815,820"),
            (mark, "812:812:"),
            (None, "1:1:"),
            (mark, "10:9223372036854775807:10,10,11"),
        ] {
            let position = FeedPosition::new(mark, seen);
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn what_a_database_could_not_read_is_no_position() {
        for text in [
            "",
            "812:830:",
            "x.812:830:",
            ".",
            ".812",
            ".812:830",
            ".812:830::",
            ".0:830:",
            ".830:812:",
            ".812:830:811",
            ".812:830:830",
            ".812:830:820,815",
            ".812:830:,",
            ".812:+830:",
            ".812:830:815'",
            ".1:9223372036854775808:",
        ] {
            assert_eq!(text.parse::<FeedPosition>(), Err(BadFeedPosition), "{text}");
        }
        let long = format!(".1:9:{}", vec!["2"; MOST_UNDER_WAY + 1].join(","));
        assert_eq!(long.parse::<FeedPosition>(), Err(BadFeedPosition));
    }
}
