//! What the suite found.

use counterfoil_toolbox::doctor::{Check, Outcome};
use std::fmt;

/// Everything that was looked at, in order. Printed, it is a line for each, with what mends it below.
///
/// ```
/// use counterfoil_testkit::SuiteReport;
/// use counterfoil_toolbox::doctor::Check;
///
/// let missing = Check::fail("queue image", "it is missing", "run `counterfoil init`");
/// let report = SuiteReport { checks: vec![missing] };
/// assert_eq!(report.failed().count(), 1);
/// assert_eq!(report.to_string(), "fail  queue image: it is missing\n      run `counterfoil init`\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "see `assert_ok`"]
pub struct SuiteReport {
    /// The checks.
    pub checks: Vec<Check>,
}

impl SuiteReport {
    /// Those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        let failed = |check: &&Check| check.outcome == Outcome::Fail;
        self.checks.iter().filter(failed)
    }

    /// Checks that nothing failed. Warnings are no failures: they say what the broker does less well.
    ///
    /// # Panics
    /// When something did. The message lists all that was looked at.
    pub fn assert_ok(&self) {
        assert!(!self.has_failed(), "the functional suite failed\n{self}");
    }

    pub(super) fn add(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed().next().is_some()
    }
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let is = check.outcome.as_str();
            writeln!(f, "{is:<4}  {}: {}", check.name, check.detail)?;
            if let Some(remedy) = &check.remedy {
                writeln!(f, "      {remedy}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "fail  queue demo: it is missing\n      run `counterfoil init`")]
    fn a_failed_suite_says_what_failed_and_what_mends_it() {
        let mut report = SuiteReport::default();
        report.add([Check::warn("broker version", "3.10.8", "nothing")]);
        report.assert_ok();
        report.add([Check::fail(
            "queue demo",
            "it is missing",
            "run `counterfoil init`",
        )]);
        report.assert_ok();
    }
}
