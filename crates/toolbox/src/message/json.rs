//! Checks of JSON text that serde does not make: depth, and what a `jsonb` column cannot hold.

use std::borrow::Cow;

/// Deepest nesting of arrays and objects that a task message may have.
pub const MAX_DEPTH: usize = 64;

/// What one pass over a JSON text found. It does not prove that the text is valid JSON.
///
/// ```
/// use counterfoil_toolbox::message::json::inspect;
///
/// let refused = inspect("[1e400]").storable(); // good JSON, and too much for a column
/// assert_eq!(refused, Err("it holds a number with an exponent beyond 308"));
/// assert_eq!(inspect(r#"["1e400"]"#).storable(), Ok(())); // a text is no number
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonFacts {
    /// Deepest nesting.
    pub depth: usize,
    /// A bare `NaN` or `Infinity`, as Python writes them.
    pub has_nan: bool,
    /// An escaped NUL or half of a surrogate pair: PostgreSQL's jsonb refuses both.
    pub has_bad_escape: bool,
    /// An exponent beyond 308: jsonb would write out every zero.
    pub has_huge_number: bool,
}

impl JsonFacts {
    /// Whether a `jsonb` column can hold the text, once it has been parsed.
    ///
    /// # Errors
    /// The reason why not, as half a sentence.
    pub fn storable(&self) -> Result<(), &'static str> {
        if self.depth > MAX_DEPTH {
            Err("it is nested deeper than 64 levels")
        } else if self.has_bad_escape {
            Err("it holds \\u0000 or half of a surrogate pair")
        } else if self.has_huge_number {
            Err("it holds a number with an exponent beyond 308")
        } else {
            Ok(())
        }
    }
}

/// Reads `text` once and says what is unusual about it.
///
/// ```
/// use counterfoil_toolbox::message::json::{JsonFacts, MAX_DEPTH, inspect};
///
/// let facts = inspect(r#"{"a": [1, NaN]}"#);
/// assert_eq!(facts, JsonFacts { depth: 2, has_nan: true, ..JsonFacts::default() });
/// assert!(inspect(&"[".repeat(100_000)).depth > MAX_DEPTH); // before a parser goes down there
/// ```
#[must_use]
pub fn inspect(text: &str) -> JsonFacts {
    let bytes = text.as_bytes();
    let mut facts = JsonFacts::default();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = skip_string(bytes, at, &mut facts),
            b'[' | b'{' => {
                depth += 1;
                facts.depth = facts.depth.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'N' | b'I' => facts.has_nan = true,
            b'0'..=b'9' => at = skip_number(bytes, at, &mut facts),
            _ => {}
        }
        at += 1;
    }
    facts
}

/// Index of the closing quote of the string that opens at `start`, or the end of the text.
fn skip_string(bytes: &[u8], start: usize, facts: &mut JsonFacts) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' if bytes.get(at + 1) == Some(&b'u') => at = skip_unicode_escape(bytes, at, facts),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Index after the `\uXXXX` at `at`, or after the pair of them that makes one character.
fn skip_unicode_escape(bytes: &[u8], at: usize, facts: &mut JsonFacts) -> usize {
    match hex4(bytes, at + 2) {
        Some(0xD800..=0xDBFF) => {
            let low = (bytes.get(at + 6..at + 8) == Some(b"\\u"))
                .then(|| hex4(bytes, at + 8))
                .flatten();
            if matches!(low, Some(0xDC00..=0xDFFF)) {
                return at + 12;
            }
            facts.has_bad_escape = true;
        }
        Some(0 | 0xDC00..=0xDFFF) => facts.has_bad_escape = true,
        Some(_) | None => {}
    }
    at + 6
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Index of the last byte of the number that starts at `start`.
fn skip_number(bytes: &[u8], start: usize, facts: &mut JsonFacts) -> usize {
    let is_number = |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let len = bytes[start..].iter().take_while(|b| is_number(b)).count();
    let number = &bytes[start..start + len];
    if let Some(e) = number.iter().position(|b| matches!(b, b'e' | b'E')) {
        let exponent = number[e + 1..].iter().filter(|b| b.is_ascii_digit());
        let value = exponent.fold(0_u32, |n, b| {
            n.saturating_mul(10).saturating_add(u32::from(b - b'0'))
        });
        facts.has_huge_number |= value > 308;
    }
    facts.has_huge_number |= len > 400;
    start + len - 1
}

/// Replaces bare `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON lacks, by `null`.
///
/// ```
/// use counterfoil_toolbox::message::json::without_nan;
///
/// assert_eq!(without_nan(r#"[NaN, "NaN", -Infinity]"#), r#"[null, "NaN", null]"#);
/// ```
#[must_use]
pub fn without_nan(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|w| bytes[at..].starts_with(w.as_bytes()));
        match (byte, word) {
            (b'"', _) => at = skip_string(bytes, at, &mut JsonFacts::default()) + 1,
            (_, Some(word)) => {
                out.push_str(&text[copied..at]);
                out.push_str("null");
                at += word.len();
                copied = at;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings_only() {
        assert_eq!(inspect(r#"[{"a": "[[[\"[["}]"#).depth, 2);
        assert_eq!(inspect(&"[".repeat(100_000)).depth, 100_000);
        assert!(
            inspect(&format!("{}{}", "[".repeat(65), "]".repeat(65)))
                .storable()
                .is_err()
        );
    }

    #[test]
    fn what_jsonb_cannot_hold_is_found() {
        for bad in [
            r#""\u0000""#,
            r#""\uD800""#,
            r#""\uDC00 x""#,
            r#""\uD83D\u0041""#,
            "1e309",
            "[1E-400]",
            &"9".repeat(401),
        ] {
            assert!(inspect(bad).storable().is_err(), "{bad}");
        }
        for good in [
            r#""\uD83D\uDE00 \\u0000 \n""#,
            "1e308",
            "[0.5e-308]",
            r#""1e999""#,
            &"9".repeat(400),
        ] {
            assert_eq!(inspect(good).storable(), Ok(()), "{good}");
        }
    }

    #[test]
    fn pythons_nan_becomes_null_but_not_inside_strings() {
        assert_eq!(
            without_nan(r#"[NaN, -Infinity, "NaN \" Infinity", Infinity]"#),
            r#"[null, null, "NaN \" Infinity", null]"#
        );
        assert!(matches!(without_nan("[1, 2]"), Cow::Borrowed(_)));
        assert!(inspect("[NaN]").has_nan && !inspect(r#"["NaN"]"#).has_nan);
    }
}
