//! A seed that failed.

use super::SEED;
use super::diary::Entry;
use std::fmt;

/// Lines of what happened that are shown at most; the middle is left out.
const LINES: usize = 120;

/// A seed that failed, and all that helps to see why. As text: several lines for people.
///
/// ```
/// use counterfoil_testkit::{Seeds, Trouble};
///
/// let failure = Seeds::only(17).only_faults([Trouble::Kill]).first_failure(async |trial| {
///     anyhow::bail!("seed {} is always bad", trial.seed())
/// });
/// let failure = failure.expect("it fails");
/// assert_eq!((failure.seed(), failure.why()), (17, "seed 17 is always bad"));
/// assert!(failure.needed_faults().is_empty()); // it fails without any
/// ```
#[derive(Debug, Clone)]
pub struct Failure {
    seed: u64,
    why: String,
    /// Numbers of the faults that it takes.
    needed: Vec<usize>,
    entries: Vec<Entry>,
}

impl Failure {
    pub(super) fn new(seed: u64, why: String, needed: Vec<usize>, entries: Vec<Entry>) -> Self {
        Self {
            seed,
            why,
            needed,
            entries,
        }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What the test or the books said.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The faults that were injected, in order, a line each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let faults = self.entries.iter().filter(|entry| entry.fault.is_some());
        faults.map(|entry| entry.to_string()).collect()
    }

    /// Those of them without which the test does not fail.
    #[must_use]
    pub fn needed_faults(&self) -> Vec<String> {
        let is_needed = |entry: &&Entry| entry.fault.is_some_and(|it| self.needed.contains(&it));
        let needed = self.entries.iter().filter(is_needed);
        needed.map(|entry| entry.to_string()).collect()
    }

    /// What happened, a line each: see [`Trial::diary`](super::Trial::diary).
    #[must_use]
    pub fn diary(&self) -> Vec<String> {
        self.entries.iter().map(Entry::to_string).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, why, .. } = self;
        writeln!(f, "seed {seed} failed: {why}\n")?;
        writeln!(
            f,
            "what happened, by the clock of the trial (!: an injected fault):"
        )?;
        let lines = self.diary();
        let left_out = lines.len().saturating_sub(LINES);
        let (first, last) = lines.split_at(lines.len().min(LINES / 2));
        first.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        if left_out > 0 {
            writeln!(f, "             … {left_out} lines …")?;
        }
        let last = &last[left_out..];
        last.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        let (all, needed) = (self.faults(), self.needed_faults());
        match (all.is_empty(), needed.is_empty()) {
            (true, _) => writeln!(f, "\nno fault was injected by then")?,
            (false, true) => writeln!(f, "\nit fails without any of these faults too")?,
            (false, false) => {
                writeln!(f, "\nof {} faults it takes:", all.len())?;
                needed.iter().try_for_each(|line| writeln!(f, "{line}"))?;
            }
        }
        let name = std::thread::current();
        let name = name.name().filter(|name| *name != "main").unwrap_or("");
        let again = format!("{SEED}={seed} cargo test {name}");
        write!(
            f,
            "\nthe same again: {}, or Seeds::only({seed})",
            again.trim_end()
        )
    }
}
