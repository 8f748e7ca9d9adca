//! What several looks come to: what is on its way at the moment of one is no fault.

use super::balance::{Facts, balance};
use super::finding::{Finding, Kind};

/// The most looks that are taken. The third is for a daemon that was behind at the first.
pub(super) const LOOKS: usize = 3;

/// What was found at a look.
#[derive(Debug)]
pub(super) struct Found {
    findings: Vec<Finding>,
    /// Whether the database had all that it was told: what it says of tasks is old otherwise.
    is_read: bool,
}

impl Found {
    pub(super) fn at(facts: &Facts) -> Self {
        Self {
            findings: balance(facts),
            is_read: facts.unread.is_empty(),
        }
    }

    /// Whether another look may say more, after the one `before` it.
    pub(super) fn wants_another(&self, before: Option<&Self>) -> bool {
        !self.findings.is_empty() && before.is_none_or(|before| self.is_read && !before.is_read)
    }

    /// What counts of it: what the look `before` it found too, and that reports are unread.
    pub(super) fn verdict(mut self, before: Option<&Self>) -> Vec<Finding> {
        if let Some(before) = before {
            self.findings.retain(|finding| {
                finding.kind == Kind::Unread || before.findings.iter().any(|it| it.is_same(finding))
            });
        }
        if self.is_read && before.is_none_or(|before| before.is_read) {
            return self.findings;
        }
        let findings = self.findings.into_iter();
        findings.map(Finding::while_unread).collect()
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
