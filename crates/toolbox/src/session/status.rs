//! How a session stands, and how it ends.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Status of a session.
///
/// ```
/// use counterfoil_toolbox::session::{ErrorPolicy, SessionStatus};
///
/// let ended = |failed, policy| SessionStatus::Ongoing.ended(false, failed, policy);
/// assert_eq!(ended(0, ErrorPolicy::Fail), SessionStatus::Success);
/// assert_eq!(ended(1, ErrorPolicy::Fail), SessionStatus::Failure);
/// assert_eq!(ended(1, ErrorPolicy::Complete), SessionStatus::CompletedWithErrors);
/// assert!(SessionStatus::Aborting.is_open()); // subtasks are still missing
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema, Default,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SessionStatus {
    /// Subtasks are missing.
    #[default]
    Ongoing,
    /// Somebody aborted it, and subtasks are still missing.
    Aborting,
    /// Every subtask succeeded.
    Success,
    /// Every subtask is over, and some failed.
    CompletedWithErrors,
    /// The same, where the session's [policy](ErrorPolicy) calls that a failure.
    Failure,
    /// It was aborted.
    Aborted,
    /// Its time was over before its subtasks were.
    TimedOut,
}

/// What a session comes to that has failed subtasks. [`SessionStatus`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPolicy {
    /// [`SessionStatus::CompletedWithErrors`].
    #[default]
    Complete,
    /// [`SessionStatus::Failure`].
    Fail,
}

impl SessionStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Ongoing,
        Self::Aborting,
        Self::Success,
        Self::CompletedWithErrors,
        Self::Failure,
        Self::Aborted,
        Self::TimedOut,
    ];

    /// Its name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ongoing => "ONGOING",
            Self::Aborting => "ABORTING",
            Self::Success => "SUCCESS",
            Self::CompletedWithErrors => "COMPLETED_WITH_ERRORS",
            Self::Failure => "FAILURE",
            Self::Aborted => "ABORTED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// Whether its finalizer has not been queued yet.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Ongoing | Self::Aborting)
    }

    /// What an open session becomes when all of its subtasks are over, `failed` of them without
    /// success. Who aborted it hears that it was aborted, however its last subtasks ended.
    #[must_use]
    pub const fn ended(self, timed_out: bool, failed: i32, policy: ErrorPolicy) -> Self {
        match (self, timed_out, failed, policy) {
            (Self::Aborting, ..) => Self::Aborted,
            (Self::Ongoing, true, ..) => Self::TimedOut,
            (Self::Ongoing, false, ..=0, _) => Self::Success,
            (Self::Ongoing, false, _, ErrorPolicy::Complete) => Self::CompletedWithErrors,
            (Self::Ongoing, false, _, ErrorPolicy::Fail) => Self::Failure,
            (ended, ..) => ended,
        }
    }
}

impl ErrorPolicy {
    /// Its name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for SessionStatus {
    type Err = crate::text::InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                crate::text::InvalidText::new("session status", text, "no status has this name")
            })
    }
}

impl TryFrom<String> for SessionStatus {
    type Error = crate::text::InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_its_failures_unless_somebody_or_its_time_ended_it() {
        use ErrorPolicy::{Complete, Fail};
        use SessionStatus as S;
        for (status, timed_out, failed, policy, ended) in [
            (S::Ongoing, false, 0, Fail, S::Success),
            (S::Ongoing, false, 1, Complete, S::CompletedWithErrors),
            (S::Ongoing, false, 1, Fail, S::Failure),
            (S::Ongoing, true, 1, Fail, S::TimedOut),
            (S::Aborting, true, 0, Complete, S::Aborted),
            (S::Success, true, 1, Fail, S::Success),
        ] {
            assert_eq!(status.ended(timed_out, failed, policy), ended);
        }
    }

    #[test]
    fn names_read_back_as_the_same_status_and_are_those_on_the_wire() {
        for status in SessionStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(
                serde_json::to_value(status).expect("writes"),
                status.as_str()
            );
        }
        assert!("DONE".parse::<SessionStatus>().is_err());
    }
}
