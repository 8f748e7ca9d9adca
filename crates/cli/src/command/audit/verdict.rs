//! What several looks come to: what is on its way at the moment of one is no fault.

use super::balance::{Facts, balance};
use super::finding::{Finding, Kind};

/// The most looks that are taken. The third is for a daemon that was behind at the first.
const LOOKS: usize = 3;

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

    /// What counts where no other look is taken.
    pub(super) fn alone(self) -> Vec<Finding> {
        self.verdict(None)
    }

    /// Whether another look may say more, after the one `before` it.
    fn wants_another(&self, before: Option<&Self>) -> bool {
        !self.findings.is_empty() && before.is_none_or(|before| self.is_read && !before.is_read)
    }

    /// What counts of it: what the look `before` it found too, and that reports are unread where that matters.
    fn verdict(mut self, before: Option<&Self>) -> Vec<Finding> {
        if let Some(before) = before {
            let was_found = |it: &Finding| before.findings.iter().any(|other| other.is_same(it));
            let remains = |it: &Finding| it.kind != Kind::Unread && was_found(it);
            let any_remains = self.findings.iter().any(remains);
            let counts = |it: &Finding| was_found(it) || it.kind == Kind::Unread && any_remains;
            self.findings.retain(counts);
        }
        if self.is_read && before.is_none_or(|before| before.is_read) {
            return self.findings;
        }
        let findings = self.findings.into_iter();
        findings.map(Finding::while_unread).collect()
    }
}

/// What counts after the first look and as many others as it takes.
pub(super) async fn settled<E>(
    first: Found,
    mut look: impl AsyncFnMut() -> Result<Found, E>,
) -> Result<Vec<Finding>, E> {
    let (mut before, mut found) = (None, first);
    for _ in 1..LOOKS {
        if !found.wants_another(before.as_ref()) {
            break;
        }
        before = Some(std::mem::replace(&mut found, look().await?));
    }
    Ok(found.verdict(before.as_ref()))
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
