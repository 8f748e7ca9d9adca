//! Tokens: how many executions of a task may run at the same time, counted over all workers.
//!
//! A task that is limited so ([`TaskOptions::max_concurrency_global`]) has a queue with one message
//! for each execution that may run: the tokens. A worker holds one unacknowledged for as long as an
//! execution lasts and then returns it, so the token of a worker that is gone returns by itself. The
//! leader of the daemons puts tokens in and takes them out: see `counterfoil-sync`.
//!
//! Tokens have names, so that they can be counted while they move: the slot that a token stands for,
//! 1 to the limit, and when it was issued. Two tokens of one slot are one too many, and of those the
//! one that was issued last counts.
//!
//! [`TaskOptions::max_concurrency_global`]: crate::task::TaskOptions::max_concurrency_global

use crate::TaskName;
use crate::message::Content;
use crate::names::{ExchangeName, RoutingKey};
use crate::text::InvalidText;
use crate::topology::Names;
use crate::transport::Publication;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most executions that a limit can allow: each is a message of its own.
pub const MOST_TOKENS: u32 = 10_000;

/// Name of one token: `3-19a2b4c8d1e0f00`.
///
/// ```
/// use chrono::Utc;
/// use counterfoil_toolbox::tokens::TokenId;
///
/// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
/// let token = TokenId::issued(3, Utc::now(), 0xbeef);
/// let message = token.message(&names, &"export.project".parse()?)?;
/// assert_eq!(message.routing_key, "platform.tokens.export.project");
/// assert_eq!(TokenId::of(&message.content), Some(token));
/// assert!(TokenId::first_of(3) < token && token < TokenId::first_of(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId {
    /// Which of the executions that may run it stands for; the first is 1.
    pub slot: u32,
    /// Rises with the time of issue: milliseconds since 1970, then 16 bits of chance.
    issue: u64,
}

impl TokenId {
    /// A new token for `slot`, issued `at` that time. `chance` tells apart what was issued at once.
    #[must_use]
    pub fn issued(slot: u32, at: DateTime<Utc>, chance: u16) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        Self {
            slot,
            issue: (millis << 16) | u64::from(chance),
        }
    }

    /// Less than every token of `slot` that was ever issued.
    #[must_use]
    pub fn first_of(slot: u32) -> Self {
        Self { slot, issue: 0 }
    }

    /// When it was issued, by the issuer's clock.
    #[must_use]
    pub fn issued_at(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(i64::try_from(self.issue >> 16).ok()?)
    }

    /// The token that a message is. `None`: it is none.
    #[must_use]
    pub fn of(content: &Content) -> Option<Self> {
        content.properties.message_id.as_deref()?.parse().ok()
    }

    /// The token as a message for the queue of `task`'s tokens.
    ///
    /// # Errors
    /// [`InvalidText`] when the task's name is too long for such a queue.
    pub fn message(self, names: &Names, task: &TaskName) -> Result<Publication, InvalidText> {
        let mut content = Content::json("{}");
        content.properties.message_id = Some(self.to_string().into());
        Ok(Publication {
            exchange: ExchangeName::default_exchange(),
            routing_key: RoutingKey::new(names.token_queue(task)?.as_str())?,
            content,
        })
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.slot, self.issue)
    }
}

impl FromStr for TokenId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let parse = || {
            let (slot, issue) = text.split_once('-')?;
            let slot = slot.parse().ok().filter(|slot| *slot > 0)?;
            let issue = u64::from_str_radix(issue, 16).ok()?;
            Some(Self { slot, issue })
        };
        let why = "it is not a slot, a hyphen and a hexadecimal number";
        parse().ok_or_else(|| InvalidText::new("token", text, why))
    }
}

impl TryFrom<String> for TokenId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(token: TokenId) -> Self {
        token.to_string()
    }
}

/// What a worker says of one limit in its signs of life.
///
/// ```
/// use counterfoil_toolbox::tokens::LimitReport;
///
/// let report: LimitReport = serde_json::from_str(r#"{"limit": 3, "tokens": ["2-19a2b4c8d1e0f00"]}"#)?;
/// assert_eq!((report.limit, report.tokens[0].slot), (3, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReport {
    /// How many executions may run at the same time, as the worker's program says.
    pub limit: u32,
    /// Tokens that it had in hand lately: at any time since its last sign of life but two.
    #[serde(default)]
    pub tokens: Vec<TokenId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerSettings;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("a time")
    }

    #[test]
    fn a_token_reads_back_from_its_message_with_slot_and_time() {
        let names = BrokerSettings::default().names().expect("valid");
        let task = TaskName::new("demo.limited").expect("valid");
        let token = TokenId::issued(3, at(1_800_000_000_123), 0xbeef);
        let message = token.message(&names, &task).expect("fits");
        assert_eq!(message.routing_key, "platform.tokens.demo.limited");
        assert!(message.content.properties.persistent);
        let read = TokenId::of(&message.content).expect("a token");
        assert_eq!((read, read.slot), (token, 3));
        assert_eq!(read.issued_at(), Some(at(1_800_000_000_123)));
    }

    #[test]
    fn of_two_tokens_for_a_slot_the_one_issued_later_is_greater() {
        let (early, late) = (TokenId::issued(1, at(10), 9), TokenId::issued(1, at(11), 2));
        assert!(early < late);
        assert_ne!(TokenId::issued(1, at(10), 9), TokenId::issued(1, at(10), 8));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "3", "0-1", "-1-2", "3-", "3-xyz", "3-11112222333344445"] {
            assert!(text.parse::<TokenId>().is_err(), "{text}");
        }
        assert_eq!(TokenId::of(&Content::json("{}")), None);
    }
}
