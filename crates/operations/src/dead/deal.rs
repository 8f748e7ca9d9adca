//! What is to be done with messages of a dead queue.

use super::which::Which;
use crate::asking::Doer;
use crate::outcome::{Mode, Words};
use counterfoil_toolbox::names::ServiceName;

/// What becomes of messages that lie in a dead queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They run again, each as a new run of its task. One that names no task is sent as it is.
    Redrive,
    /// They are thrown away; the rows of their tasks stay.
    Discard,
}

impl Fate {
    /// What it is, in words.
    #[must_use]
    pub const fn words(self) -> Words {
        Words {
            things: ["dead message", "dead messages"],
            done: match self {
                Self::Redrive => "redriven",
                Self::Discard => "discarded",
            },
        }
    }

    /// As the history of a task names it.
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }
}

/// What is to become of which messages.
#[derive(Debug, Clone)]
pub struct Deal {
    /// What becomes of them.
    pub fate: Fate,
    /// Whether it is done, or only said.
    pub mode: Mode,
    /// The service whose dead queue it is.
    pub service: ServiceName,
    /// Which of those that lie there.
    pub which: Which,
    /// At most so many, the oldest first; [`usize::MAX`]: all.
    pub limit: usize,
    /// Who does it.
    pub doer: Doer,
}
