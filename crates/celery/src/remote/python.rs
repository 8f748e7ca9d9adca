//! Values as Python prints them: what people read who ask a worker, and what their programs compare.

use serde_json::Value;
use std::fmt::Write as _;

/// What Python's `repr` makes of a value.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// A set of texts: what has no order is printed in the order of the texts.
pub(super) fn repr_set<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_unstable();
    texts.dedup();
    let texts: Vec<_> = texts.into_iter().map(repr_str).collect();
    match texts.is_empty() {
        true => "set()".to_owned(),
        false => format!("{{{}}}", texts.join(", ")),
    }
}

/// A text.
pub(super) fn repr_str(text: &str) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut out = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter == quote => out.extend(['\\', letter]),
            letter if letter.is_ascii_control() => {
                // Writing to a String never fails.
                let _ = write!(out, "\\x{:02x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push(quote);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(&repr_str(text)),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(repr).collect();
            out.push_str(&format!("[{}]", items.join(", ")));
        }
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{}: {}", repr_str(name), repr(value));
            let fields: Vec<_> = fields.iter().map(field).collect();
            out.push_str(&format!("{{{}}}", fields.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_printed_as_python_prints_them() {
        let value = json!({"it's": [1, 2.5, true, null, "a\n\u{1}\"'"], "b": {}});
        let wanted = r#"{"it's": [1, 2.5, True, None, 'a\n\x01"\''], 'b': {}}"#;
        assert_eq!(repr(&value), wanted);
        assert_eq!(repr_set(["b", "a", "b"]), "{'a', 'b'}");
        assert_eq!(repr_set([]), "set()");
    }
}
