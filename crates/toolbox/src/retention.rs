//! How long the platform keeps tasks that are over.
//!
//! What the message says comes first (its sender, or its type's [`TaskOptions`](crate::task::TaskOptions)),
//! then the rule for its type in `[sync.retention]`, then the default there. When nobody says anything, a task
//! is kept for ever.

use std::collections::BTreeMap;
use std::time::Duration;

/// Least time that a task is kept once it is over. Reports of it may come late: a worker that was cut off
/// holds them for as long, and one that came after the removal would make half a row.
pub const SHORTEST: Duration = Duration::from_secs(60 * 60);

/// A hundred years, which is for ever.
pub const FOR_EVER: Duration = Duration::from_secs(3_155_760_000);

/// The nearest time that a task can be kept for, in whole seconds.
///
/// ```
/// use counterfoil_toolbox::retention::{FOR_EVER, SHORTEST, within_limits};
/// use std::time::Duration;
///
/// assert_eq!(within_limits(Duration::from_secs(5)), SHORTEST);
/// assert_eq!(within_limits(Duration::MAX), FOR_EVER);
/// ```
#[must_use]
pub const fn within_limits(keep: Duration) -> Duration {
    let seconds = keep.as_secs();
    if seconds < SHORTEST.as_secs() {
        SHORTEST
    } else if seconds > FOR_EVER.as_secs() {
        FOR_EVER
    } else {
        Duration::from_secs(seconds)
    }
}

/// Which tasks a rule is for: those of one type (`export.project`), or of all types whose names begin
/// alike (`export.*`).
///
/// ```
/// use counterfoil_toolbox::retention::{BadPattern, TypePattern};
///
/// assert!("export.project".parse::<TypePattern>().is_ok());
/// assert!("export.*".parse::<TypePattern>().is_ok());
/// assert_eq!("*.project".parse::<TypePattern>(), Err(BadPattern)); // only what names begin with
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypePattern(Box<str>);

impl TypePattern {
    /// How exactly it names a task of this type, if it means it: one type before many, long before short.
    fn exactness(&self, name: &str) -> Option<(bool, usize)> {
        match self.0.strip_suffix('*') {
            Some(start) => name.starts_with(start).then_some((false, start.len())),
            None => (*self.0 == *name).then_some((true, 0)),
        }
    }
}

impl std::fmt::Display for TypePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for TypePattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let name = text.strip_suffix(".*").unwrap_or(text);
        crate::names::TaskName::new(name).map_err(|_| BadPattern)?;
        let is_one = !name.contains('*');
        is_one.then(|| Self(text.into())).ok_or(BadPattern)
    }
}

/// The text is no [`TypePattern`]; see the example there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither the name of a task nor the start of one: write \"export.project\" or \"export.*\""
)]
pub struct BadPattern;

/// How long tasks are kept whose messages do not say. `[sync.retention]`
///
/// ```
/// use counterfoil_toolbox::retention::RetentionRules;
/// use std::time::Duration;
///
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// let rules = RetentionRules {
///     default: Some(90 * DAY),
///     types: [("export.*".parse()?, Some(30 * DAY)), ("export.invoice".parse()?, None)].into(),
/// };
/// let kept = |name: &str| rules.of(name);
/// assert_eq!((kept("demo.add"), kept("export.map")), (Some(90 * DAY), Some(30 * DAY)));
/// assert_eq!(kept("export.invoice"), None); // for ever
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionRules {
    /// Tasks without a rule. `None`, the default: for ever.
    pub default: Option<Duration>,
    /// By type; `None`: for ever.
    pub types: BTreeMap<TypePattern, Option<Duration>>,
}

impl RetentionRules {
    /// How long a task of this type is kept, by the rule that names it most exactly. `None`: for ever.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<Duration> {
        let rules = self.types.iter();
        let rules = rules.filter_map(|(pattern, keep)| Some((pattern.exactness(name)?, *keep)));
        let best = rules.max_by_key(|(exactness, _)| *exactness);
        best.map_or(self.default, |(_, keep)| keep)
    }

    /// Whether anything is removed by these rules at all.
    #[must_use]
    pub fn remove_anything(&self) -> bool {
        self.default.is_some() || self.types.values().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn rules() -> RetentionRules {
        let rule = |text: &str, keep| (text.parse().expect("a pattern"), keep);
        RetentionRules {
            default: Some(90 * DAY),
            types: BTreeMap::from([
                rule("export.*", Some(30 * DAY)),
                rule("export.big.*", Some(DAY)),
                rule("export.big.invoice", None),
            ]),
        }
    }

    #[test]
    fn the_rule_that_names_a_type_most_exactly_counts() {
        let rules = rules();
        for (name, keep) in [
            ("demo.add", Some(90 * DAY)),
            ("export.project", Some(30 * DAY)),
            ("exporter.project", Some(90 * DAY)),
            ("export.big.one", Some(DAY)),
            ("export.big.invoice", None),
        ] {
            assert_eq!(rules.of(name), keep, "{name}");
        }
    }

    #[test]
    fn without_rules_tasks_are_kept_for_ever() {
        let rules = RetentionRules::default();
        assert_eq!(rules.of("demo.add"), None);
        assert!(!rules.remove_anything());
        assert!(self::rules().remove_anything());
    }

    #[test]
    fn a_rule_is_for_one_type_or_for_all_whose_names_begin_alike() {
        for text in ["", "*", ".*", "a*", "a.*.b", "export.*.*"] {
            assert_eq!(text.parse::<TypePattern>(), Err(BadPattern), "{text:?}");
        }
    }

    #[test]
    fn a_retention_lies_between_an_hour_and_for_ever() {
        assert_eq!(within_limits(Duration::ZERO), SHORTEST);
        assert_eq!(within_limits(Duration::MAX), FOR_EVER);
        assert_eq!(within_limits(Duration::from_millis(86_400_900)), DAY);
    }
}
