//! What a command is asked with.

use serde_json::{Map, Value};

/// Values by name. Whoever asks may send anything.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub(super) Map<String, Value>);

impl Arguments {
    /// A value that is there, and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// One text or a list of them; what else is in it is left out.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(text_of).collect(),
            Some(one) => text_of(one).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The same; of values by name the names.
    pub(super) fn keys_or_texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            Some(_) | None => self.texts(name),
        }
    }

    /// Whether something is true, as Python sees it.
    pub(super) fn is_true(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(Value::Null) | None => false,
        }
    }

    /// A number, also as text.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_somebody_sends_is_read_as_far_as_it_makes_sense() {
        let fields = json!({
            "one": "a", "many": ["a", 1, "b", null], "by_name": {"x": [1]}, "no": null, "zero": 0, "n": "3"
        });
        let Value::Object(fields) = fields else {
            unreachable!("it is an object");
        };
        let it = Arguments(fields);
        assert_eq!(it.texts("one"), ["a"]);
        assert_eq!(it.texts("many"), ["a", "b"]);
        assert_eq!(it.keys_or_texts("by_name"), ["x"]);
        assert_eq!(it.number("n"), Some(3.0));
        assert!(it.texts("no").is_empty() && it.texts("nothing").is_empty());
        assert!(!it.is_true("zero") && !it.is_true("no") && it.is_true("one"));
    }
}
