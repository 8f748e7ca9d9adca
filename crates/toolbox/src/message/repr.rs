//! `argsrepr` and `kwargsrepr`: arguments as Python would print them, for Flower and logs.

/// Celery cuts these texts at this length, in characters.
const MAX_CHARS: usize = 1024;

/// JSON text in Python's notation, cut like Celery cuts it.
#[must_use]
pub(crate) fn python_repr(json: &str) -> String {
    let mut out = String::with_capacity(json.len().min(MAX_CHARS) + 16);
    let mut rest = json;
    let mut chars = 0;
    while let Some(first) = rest.chars().next() {
        if chars >= MAX_CHARS {
            out.push_str("...");
            break;
        }
        let before = out.len();
        let taken = match first {
            '"' => string(rest, &mut out),
            't' => word("True", 4, &mut out),
            'f' => word("False", 5, &mut out),
            'n' => word("None", 4, &mut out),
            ',' | ':' => {
                out.push(first);
                out.push(' ');
                let behind = &rest[1..];
                1 + behind.len() - behind.trim_start().len()
            }
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        chars += out[before..].chars().count();
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn word(python: &str, json_len: usize, out: &mut String) -> usize {
    out.push_str(python);
    json_len
}

/// Writes the string that `rest` starts with, at most `MAX_CHARS` of it; returns its length.
fn string(rest: &str, out: &mut String) -> usize {
    let mut escaped = false;
    let inner_end = rest[1..].find(|c| match c {
        '"' if !escaped => true,
        '\\' => {
            escaped = !escaped;
            false
        }
        _ => {
            escaped = false;
            false
        }
    });
    let inner = &rest[1..1 + inner_end.unwrap_or(rest.len() - 1)];
    // JSON's other escapes (\n, \t, \\) mean the same in Python; \u of a pair is close enough here.
    let inner = inner.replace("\\\"", "\"").replace("\\/", "/");
    let quote = if inner.contains('\'') && !inner.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in inner.chars().take(MAX_CHARS) {
        if c == quote {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    inner_end.map_or(rest.len(), |end| end + 2)
}

/// `[1, 2]` as the tuple `(1, 2)`, since that is how Celery prints positional arguments.
#[must_use]
pub(super) fn python_tuple_repr(json_array: &str) -> String {
    let list = python_repr(json_array);
    match list.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
        Some("") => "()".to_owned(),
        Some(one) if !has_top_level_comma(json_array) => format!("({one},)"),
        Some(items) => format!("({items})"),
        None => list,
    }
}

fn has_top_level_comma(json_array: &str) -> bool {
    serde_json::from_str::<Vec<&serde_json::value::RawValue>>(json_array)
        .is_ok_and(|items| items.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_read_as_python_prints_them() {
        assert_eq!(python_tuple_repr("[2, 2]"), "(2, 2)");
        assert_eq!(python_tuple_repr("[[1, 2]]"), "([1, 2],)");
        assert_eq!(python_tuple_repr("[]"), "()");
        assert_eq!(python_repr(r#"[1,{"a":[2,3]}]"#), "[1, {'a': [2, 3]}]");
        let json = r#"{"a": true, "b": [null, false], "c": "it's", "d": "say \"x\""}"#;
        assert_eq!(
            python_repr(json),
            r#"{'a': True, 'b': [None, False], 'c': "it's", 'd': 'say "x"'}"#
        );
    }

    #[test]
    fn long_arguments_are_cut() {
        let long = python_repr(&format!("[{}1]", "1, ".repeat(1000)));
        assert_eq!(long.chars().count(), MAX_CHARS + 3);
        assert!(long.ends_with("..."));
    }
}
