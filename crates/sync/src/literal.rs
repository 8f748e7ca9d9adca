//! Values as Python prints them, as JSON.

use serde_json::value::{RawValue, to_raw_value};
use std::iter::Peekable;
use std::str::CharIndices;

/// Deepest value that is read.
const MAX_DEPTH: usize = 32;

/// From so many characters on, Celery cuts what it prints, texts within it too (`resultrepr_maxsize` is 1,024).
const MAYBE_CUT: usize = 1000;

/// What Celery printed, where it is a whole value that JSON has too; else the text itself. In texts Celery escapes
/// nothing but the quote that they stand in.
pub(crate) fn to_json(repr: &str) -> Box<RawValue> {
    let is_cut = repr.len() >= MAYBE_CUT && repr.contains("...");
    if is_cut {
        return to_raw_value(repr).expect("a text is JSON");
    }
    let as_value = Reader::new(repr)
        .whole()
        .and_then(|json| RawValue::from_string(json).ok());
    as_value.unwrap_or_else(|| to_raw_value(repr).expect("a text is JSON"))
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    json: String,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            chars: text.char_indices().peekable(),
            json: String::with_capacity(text.len()),
        }
    }

    fn whole(mut self) -> Option<String> {
        self.value(0)?;
        self.chars.next().is_none().then_some(self.json)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (_, first) = *self.chars.peek()?;
        match first {
            '[' => self.items(('[', ']'), depth),
            '(' => self.items(('(', ')'), depth),
            '{' => self.fields(depth),
            '\'' | '"' => self.string(),
            _ => self.word(),
        }
    }

    fn items(&mut self, (_, end): (char, char), depth: usize) -> Option<()> {
        self.chars.next();
        self.json.push('[');
        while !self.ends_with(end) {
            self.value(depth + 1)?;
            self.separate(end)?;
        }
        self.json.push(']');
        Some(())
    }

    fn fields(&mut self, depth: usize) -> Option<()> {
        self.chars.next();
        self.json.push('{');
        while !self.ends_with('}') {
            // Keys of other kinds are no JSON; a set has no keys.
            self.chars.peek().filter(|(_, c)| matches!(c, '\'' | '"'))?;
            self.string()?;
            self.chars.next().filter(|(_, c)| *c == ':')?;
            self.json.push(':');
            self.skip_blanks();
            self.value(depth + 1)?;
            self.separate('}')?;
        }
        self.json.push('}');
        Some(())
    }

    fn ends_with(&mut self, end: char) -> bool {
        self.skip_blanks();
        self.chars.next_if(|(_, c)| *c == end).is_some()
    }

    /// Between two items, or behind the last.
    fn separate(&mut self, end: char) -> Option<()> {
        self.skip_blanks();
        if self.chars.next_if(|(_, c)| *c == ',').is_some() {
            self.skip_blanks();
            let is_last = self.chars.peek().is_some_and(|(_, c)| *c == end);
            if !is_last {
                self.json.push(',');
            }
            return Some(());
        }
        self.chars.peek().filter(|(_, c)| *c == end).map(drop)
    }

    fn string(&mut self) -> Option<()> {
        let (_, quote) = self.chars.next()?;
        let mut text = String::new();
        loop {
            let (_, c) = self.chars.next()?;
            if c == quote {
                break;
            }
            let is_escape = c == '\\' && self.chars.peek().is_some_and(|(_, next)| *next == quote);
            text.push(match is_escape {
                true => self.chars.next()?.1,
                false => c,
            });
        }
        self.json.push_str(&serde_json::to_string(&text).ok()?);
        Some(())
    }

    /// A number, or a name of a value.
    fn word(&mut self) -> Option<()> {
        let (start, _) = *self.chars.peek()?;
        let ends = |c: &char| matches!(c, ',' | ':' | ']' | ')' | '}' | ' ');
        while self.chars.next_if(|(_, c)| !ends(c)).is_some() {}
        let end = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        match &self.text[start..end] {
            "None" => self.json.push_str("null"),
            "True" => self.json.push_str("true"),
            "False" => self.json.push_str("false"),
            number => {
                let is_number = number.starts_with(|c: char| c == '-' || c.is_ascii_digit());
                serde_json::from_str::<&RawValue>(number)
                    .ok()
                    .filter(|_| is_number)?;
                self.json.push_str(number);
            }
        }
        Some(())
    }

    fn skip_blanks(&mut self) {
        while self.chars.next_if(|(_, c)| *c == ' ').is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_has_too_is_the_same_value_and_all_else_stays_text() {
        for (repr, json) in [
            ("4", "4"),
            ("-2.5e-07", "-2.5e-07"),
            ("None", "null"),
            ("True", "true"),
            ("'it'", "\"it\""),
            (r#""it's""#, r#""it's""#),
            (r"'C:\new'", r#""C:\\new""#),
            (r"'it\'s'", r#""it's""#),
            ("[1, [2, None], 'x']", r#"[1,[2,null],"x"]"#),
            ("(1,)", "[1]"),
            ("()", "[]"),
            ("{}", "{}"),
            (
                "{'a': [1], 'b': {'c': False}}",
                r#"{"a":[1],"b":{"c":false}}"#,
            ),
            ("12345678901234567890123", "12345678901234567890123"),
        ] {
            assert_eq!(to_json(repr).get(), json, "{repr}");
        }
        for text in [
            "",
            "<Object at 0x1>",
            "{1: 2}",
            "{1, 2}",
            "[1, 2",
            "1 2",
            "nan",
            "[1, ...]",
            "b'x'",
            "01",
            "'a",
        ] {
            assert_eq!(
                to_json(text).get(),
                serde_json::to_string(text).expect("JSON"),
                "{text}"
            );
        }
        let cut = format!("'{}...'", "a".repeat(1020));
        assert_eq!(to_json(&cut).get(), format!("\"{cut}\""));
        let deep = "[".repeat(1000);
        assert!(to_json(&deep).get().starts_with('"'));
    }
}
