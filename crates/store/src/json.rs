//! JSON text as both databases hold it.

use counterfoil_toolbox::message::json::inspect;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON document as text: numbers keep their digits, objects the order of their keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// Reads `text`; `None` when it is not JSON.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        RawValue::from_string(text.to_owned()).ok().map(Self)
    }

    /// Reads `text` if a `jsonb` column can hold it too: no `\u0000`, no half surrogate pairs, no
    /// exponents beyond 308, at most 64 levels.
    #[must_use]
    pub fn storable(text: &str) -> Option<Self> {
        // The depth is looked at first: parsers recurse.
        inspect(text).storable().ok()?;
        Self::parse(text)
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The text as a tree, for those who need parts of it. Long numbers lose digits.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.get()).unwrap_or(serde_json::Value::Null)
    }
}

impl From<Box<RawValue>> for JsonText {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl From<&serde_json::Value> for JsonText {
    fn from(value: &serde_json::Value) -> Self {
        let raw = serde_json::value::to_raw_value(value);
        Self(raw.expect("a tree of JSON values is JSON"))
    }
}

impl PartialEq for JsonText {
    /// Compares the texts: the same document written differently is not equal.
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl TryFrom<String> for JsonText {
    type Error = serde_json::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        RawValue::from_string(text).map(Self)
    }
}

impl<DB: sqlx::Database> sqlx::Type<DB> for JsonText
where
    String: sqlx::Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <String as sqlx::Type<DB>>::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        <String as sqlx::Type<DB>>::compatible(ty)
    }
}

impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for JsonText
where
    String: sqlx::Decode<'r, DB>,
{
    /// Reads a text column; statements cast `jsonb` to `text`.
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(Self::try_from(String::decode(value)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_the_order_of_keys_are_kept() {
        let text = r#"{"b": 1180591620717411303424, "a": 2.50}"#;
        let json = JsonText::storable(text).expect("plain JSON");
        assert_eq!(serde_json::to_string(&json).expect("writes"), text);
    }

    #[test]
    fn what_jsonb_refuses_is_not_storable_and_neither_is_what_is_not_json() {
        for text in [r#""\u0000""#, r#"["\ud800"]"#, "[1e131071]", "[", "", "NaN"] {
            assert!(JsonText::storable(text).is_none(), "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(JsonText::storable(&deep).is_none());
    }
}
