//! Values that JSON lacks, as kombu writes them: `{"__type__": "datetime", "__value__": "…"}`.

use super::Members;
use serde_json::Value;
use serde_json::value::RawValue;

/// The same with the JSON that serde reads in place of typed values: text for times, decimals, bytes and UUIDs.
/// Everything else stays as it is, digit by digit.
pub(super) fn plain(json: &str) -> Result<String, serde_json::Error> {
    let mut out = String::with_capacity(json.len());
    write(serde_json::from_str(json)?, &mut out)?;
    Ok(out)
}

fn write(raw: &RawValue, out: &mut String) -> Result<(), serde_json::Error> {
    let text = raw.get();
    if !text.contains("__type__") {
        out.push_str(text);
    } else if text.starts_with('{') {
        let Members(members) = serde_json::from_str(text)?;
        match value_of(&members)? {
            Some(value) => write(value, out)?,
            None => object(&members, out)?,
        }
    } else if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text)?;
        out.push('[');
        for (i, item) in items.into_iter().enumerate() {
            out.push_str(if i == 0 { "" } else { "," });
            write(item, out)?;
        }
        out.push(']');
    } else {
        // A text that mentions the word.
        out.push_str(text);
    }
    Ok(())
}

fn object(members: &[super::Named<'_>], out: &mut String) -> Result<(), serde_json::Error> {
    out.push('{');
    for (i, (name, value)) in members.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        out.push_str(&Value::from(&**name).to_string());
        out.push(':');
        write(value, out)?;
    }
    out.push('}');
    Ok(())
}

/// What an object with exactly the two members of a typed value holds.
fn value_of<'a>(members: &[super::Named<'a>]) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let named = |wanted: &str| {
        let found = members.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| *value)
    };
    let (2, Some(_), Some(value)) = (members.len(), named("__type__"), named("__value__")) else {
        return Ok(None);
    };
    // A UUID is the one whose value is an object itself.
    if value.get().starts_with('{') {
        let Members(inner) = serde_json::from_str(value.get())?;
        if let Some((_, hex)) = inner.into_iter().find(|(name, _)| name == "hex") {
            return Ok(Some(hex));
        }
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn kombus_typed_values_become_plain_ones_and_nothing_else_changes() {
        for (typed, wanted) in [
            (
                r#"{"at": {"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}, "n": 1.50}"#,
                r#"{"at":"2026-01-02T03:04:05+00:00","n":1.50}"#,
            ),
            (
                r#"{"of": [{"__type__": "uuid", "__value__": {"hex": "05"}}, 1180591620717411303424]}"#,
                r#"{"of":["05",1180591620717411303424]}"#,
            ),
            (
                r#"{"in": {"a\"b": [{"__value__": "1.50", "__type__": "decimal"}]}, "a": [NaN]}"#,
                "",
            ),
            (
                r#"{"in": {"a\"b": [{"__value__": "1.50", "__type__": "decimal"}]}}"#,
                r#"{"in":{"a\"b":["1.50"]}}"#,
            ),
            // Not both members, or more than they: somebody's own object.
            (
                r#"{"__type__": "house", "size": 3}"#,
                r#"{"__type__":"house","size":3}"#,
            ),
            (r#"["__type__"]"#, r#"["__type__"]"#),
        ] {
            assert_eq!(plain(typed).unwrap_or_default(), wanted, "{typed}");
        }
    }
}
