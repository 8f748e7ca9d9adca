//! Classes of tasks: whose turn it is first when more tasks wait than a worker can run.
//!
//! Each class of a service has a queue of its own, and a word of its own at the beginning of keys:
//! `export~high` beside `export` and `export~low`. So it is the same on every broker. The name of a
//! task never tells its class.

use crate::delay::first_word;
use crate::names::{RoutingKey, TaskName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The class of a task. It counts where the configuration has `broker.queues.<service>.priorities`;
/// elsewhere all tasks of a service are of one class.
///
/// ```
/// use counterfoil_toolbox::{Priority, TaskName};
///
/// let name = TaskName::new("export.project")?;
/// assert_eq!(Priority::High.route(&name), "export~high.project"); // the name stays
/// assert_eq!("low".parse(), Ok(Priority::Low));
/// assert!("9".parse::<Priority>().is_err()); // no numbers, as Celery has
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// For what somebody waits for.
    High,
    /// For everything else.
    #[default]
    Normal,
    /// For what has time.
    Low,
}

/// A text is no priority.
///
/// ```
/// use counterfoil_toolbox::Priority;
///
/// let refused = "9".parse::<Priority>().unwrap_err();
/// assert_eq!(refused.to_string(), r#""9" is no priority: write high, normal or low"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no priority: write high, normal or low")]
pub struct InvalidPriority {
    text: String,
}

impl Priority {
    /// All of them, the most urgent one first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// What stands behind the service in names of queues and in keys: `~high`, `~low`, or nothing.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::High => "~high",
            Self::Normal => "",
            Self::Low => "~low",
        }
    }

    /// The service and the class of a word: `export` and `High` of `export~high`.
    ///
    /// ```
    /// use counterfoil_toolbox::Priority;
    ///
    /// assert_eq!(Priority::split("export~high"), ("export", Priority::High));
    /// assert_eq!(Priority::split("export~urgent"), ("export~urgent", Priority::Normal)); // no class of ours
    /// ```
    #[must_use]
    pub fn split(word: &str) -> (&str, Self) {
        for class in [Self::High, Self::Low] {
            if let Some(service) = word.strip_suffix(class.suffix()) {
                return (service, class);
            }
        }
        (word, Self::Normal)
    }

    /// The class whose queue a key leads to, delayed or not.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self::split(first_word(key)).1
    }

    /// The key under which a task of this class is routed: `export~high.project`.
    #[must_use]
    pub fn route(self, name: &TaskName) -> RoutingKey {
        if self == Self::Normal {
            return name.routing_key();
        }
        self.behind_first_word(name.as_str())
    }

    /// `key`, which has no bits of a delay, for tasks of no class: `export.project`.
    ///
    /// ```
    /// use counterfoil_toolbox::Priority;
    ///
    /// let key = "export~high.project".parse()?;
    /// assert_eq!(Priority::without(&key), "export.project");
    /// assert_eq!(Priority::of_key("export~high.project"), Priority::High);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn without(key: &RoutingKey) -> RoutingKey {
        Self::Normal.behind_first_word(key.as_str())
    }

    fn behind_first_word(self, key: &str) -> RoutingKey {
        let (word, rest) = key.split_at(key.find('.').unwrap_or(key.len()));
        let (service, _) = Self::split(word);
        let key = format!("{service}{}{rest}", self.suffix());
        RoutingKey::new(&key).expect("a name of 155 bytes and a suffix, or a key without one")
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = InvalidPriority;

    fn from_str(text: &str) -> Result<Self, InvalidPriority> {
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| InvalidPriority {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TaskName {
        TaskName::new(text).expect("valid")
    }

    #[test]
    fn a_class_is_the_first_word_of_a_key_and_the_name_stays() {
        for (class, key, bare) in [
            (Priority::High, "export~high.project.csv", "export~high"),
            (Priority::Normal, "export.project.csv", "export"),
            (Priority::Low, "export~low.project.csv", "export~low"),
        ] {
            let routed = class.route(&name("export.project.csv"));
            assert_eq!(routed, key);
            assert_eq!(Priority::without(&routed), "export.project.csv");
            assert_eq!(class.route(&name("export")), bare);
            assert_eq!(Priority::of_key(key), class);
            assert_eq!(
                Priority::of_key(&format!("{}{key}", "0.1.".repeat(14))),
                class
            );
        }
        let longest = name(&"n".repeat(155));
        assert_eq!(Priority::High.route(&longest).as_str().len(), 160);
    }

    #[test]
    fn only_our_own_words_are_classes() {
        for word in ["export~urgent", "export~", "high", "export~high~", "~"] {
            assert_eq!(Priority::split(word), (word, Priority::Normal));
        }
        assert_eq!(Priority::split("a~low~high"), ("a~low", Priority::High));
        assert_eq!(Priority::of_key("export.project~high"), Priority::Normal);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for class in Priority::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
            let json = serde_json::to_string(&class).expect("a word");
            assert_eq!(json, format!("\"{class}\""));
        }
        let refused = "9".parse::<Priority>().expect_err("no number").to_string();
        assert_eq!(refused, "\"9\" is no priority: write high, normal or low");
    }
}
