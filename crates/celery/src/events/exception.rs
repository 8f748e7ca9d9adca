//! An exception as Python prints it: what `repr` makes of it.

use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::message::repr::python_number;
use serde_json::Value;
use std::fmt::Write as _;

/// From so many bytes on the rest is left out.
const LONGEST: usize = 8 * 1024;

/// Values within so many others are not looked into.
const DEEPEST: usize = 16;

/// `ValueError('no such page', 7)`
pub(crate) fn repr(exception: &Exception) -> String {
    let cut = |mut text: String| {
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push_str("...");
        }
        text
    };
    // The one that Celery prints in its own way.
    if let ("Reject", Some("celery.exceptions"), [Value::String(reason), Value::Bool(requeue)]) = (
        &*exception.name,
        exception.module.as_deref(),
        &exception.args[..],
    ) {
        let requeue = if *requeue { "True" } else { "False" };
        return cut(format!("reject requeue={requeue}: {reason}"));
    }
    let mut out = String::from(&*exception.name);
    out.push('(');
    items(&mut out, &exception.args, 0, |out, arg, depth| {
        value(out, arg, depth);
    });
    out.push(')');
    cut(out)
}

fn value(out: &mut String, what: &Value, depth: usize) {
    match what {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&python_number(&number.to_string())),
        Value::String(text) => string(out, text),
        Value::Array(_) | Value::Object(_) if depth == DEEPEST => out.push_str("..."),
        Value::Array(all) => {
            out.push('[');
            items(out, all, depth, value);
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            items(out, fields, depth, |out, (name, field), depth| {
                string(out, name);
                out.push_str(": ");
                value(out, field, depth);
            });
            out.push('}');
        }
    }
}

fn items<T>(
    out: &mut String,
    all: impl IntoIterator<Item = T>,
    depth: usize,
    print: impl Fn(&mut String, T, usize),
) {
    for (n, item) in all.into_iter().enumerate() {
        if out.len() > LONGEST {
            return;
        }
        if n > 0 {
            out.push_str(", ");
        }
        print(out, item, depth + 1);
    }
}

/// In the quotes that need the fewest escapes, as Python does it.
fn string(out: &mut String, text: &str) {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    out.push(quote);
    for c in text.chars() {
        let code = u32::from(c);
        // Whatever is written to a text has room in it.
        let _ = match c {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\\' => out.write_str("\\\\"),
            c if c == quote => write!(out, "\\{c}"),
            c if !is_hidden(c) => out.write_char(c),
            _ if code < 0x100 => write!(out, "\\x{code:02x}"),
            _ if code < 0x1_0000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(quote);
}

/// Control characters, blanks that are no space, and what only steers how others are shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The right sides are what Python 3.11 printed.
    #[test]
    fn an_exception_reads_as_python_prints_it() {
        for (args, printed) in [
            (json!([]), "E()"),
            (json!(["boom", 1]), "E('boom', 1)"),
            (json!(["it's"]), "E(\"it's\")"),
            (json!(["it's \"it\""]), "E('it\\'s \"it\"')"),
            (
                json!(["a\nb\t\\ \u{0}\u{7f}\u{a0}ü\u{2028}\u{feff}😀"]),
                "E('a\\nb\\t\\\\ \\x00\\x7f\\xa0ü\\u2028\\ufeff😀')",
            ),
            (
                json!([[1, 2.5, null], {"a": [true, false], "b": {}}]),
                "E([1, 2.5, None], {'a': [True, False], 'b': {}})",
            ),
            (json!([1e16, -0.00001]), "E(1e+16, -1e-05)"),
        ] {
            let exception = Exception::new("E", args.as_array().expect("arguments").clone());
            assert_eq!(repr(&exception), printed, "{args}");
        }
    }

    #[test]
    fn what_is_long_or_deep_is_not_printed_whole() {
        let long = Exception::new("E", ["é".repeat(100_000)]);
        assert!(repr(&long).len() <= LONGEST + 3);
        let many = Exception::new("E", vec!["é"; 100_000]);
        assert!(repr(&many).len() <= LONGEST + 3);
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(repr(&Exception::new("E", [deep])).contains("[...]"));
    }
}
