//! Whether sending is worth a try, for those who want to know before they send.

use chrono::{DateTime, Utc};
use std::fmt;
use std::sync::Arc;

/// Whether tasks can be sent, as far as the producer knows. See
/// [`Producer::availability`](super::Producer::availability).
///
/// ```
/// use counterfoil_toolbox::producer::Availability;
///
/// fn title(availability: &Availability) -> String {
///     match availability {
///         Availability::Available => "Export".to_owned(),
///         Availability::Unavailable { since, reason } => format!("Since {since}: {reason}"),
///     }
/// }
/// # assert_eq!(title(&Availability::Available), "Export");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// Nothing speaks against it.
    Available,
    /// A send is refused at once (by a patient producer: it waits).
    Unavailable {
        /// When it began.
        since: DateTime<Utc>,
        /// What failed last.
        reason: Trouble,
    },
}

impl Availability {
    /// Whether tasks can be sent.
    #[must_use]
    pub fn is_available(&self) -> bool {
        matches!(self, Self::Available)
    }
}

/// What failed between a producer and its broker, in words. No credentials in it. [`Availability`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(Arc<str>);

impl Trouble {
    pub(super) fn new(words: impl Into<Arc<str>>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}
