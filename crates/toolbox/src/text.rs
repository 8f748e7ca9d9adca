//! The one way to make a checked string type: private field, parsed once at the edge.

/// Why a text is not a valid id or name.
///
/// ```
/// use counterfoil_toolbox::TaskId;
///
/// let refused = TaskId::new("a\tb").expect_err("a tab");
/// assert_eq!(refused.to_string(), r#"task id "a\tb" is not valid: it holds a control character"#);
/// assert_eq!(refused.why, "it holds a control character");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {why}")]
pub struct InvalidText {
    /// The kind of thing that was expected, for example `task name`.
    pub what: &'static str,
    /// The refused text, cut at 80 characters.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl InvalidText {
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self {
            what,
            text: text.chars().take(80).collect(),
            why,
        }
    }
}

/// The known name that `name` was probably meant to be: the one most like it, of those that are at least so alike
/// (1 = equal; 0.6 to 0.7 finds slips of the finger).
///
/// ```
/// use counterfoil_toolbox::text::nearest;
///
/// let known = ["export.project", "demo.add"];
/// assert_eq!(nearest("exprot.project", known, 0.7), Some("export.project"));
/// assert_eq!(nearest("mail.send", known, 0.7), None);
/// ```
#[must_use]
pub fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    at_least: f64,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness >= at_least)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Declares a string type whose only way in is a check; cloning it is a reference count.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks `text` against the limits of this type.
            ///
            /// # Errors
            /// [`InvalidText`](crate::text::InvalidText) names the rule that `text` breaks.
            pub fn new(text: &str) -> Result<Self, crate::text::InvalidText> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(why) => Err(crate::text::InvalidText::new($what, text, why)),
                }
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::text::InvalidText;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::text::InvalidText;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(&text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use checked_text;
