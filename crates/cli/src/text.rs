//! Text from elsewhere, made harmless for terminals.

use std::fmt::Write;

/// Longest text in a list that has text from elsewhere, in characters.
const SHORT: usize = 80;

/// `text` on one line, with control characters and those that turn the direction of writing
/// spelled out.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else if turns_direction(c) {
            write!(shown, "{}", c.escape_unicode()).expect("a string takes all text");
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A JSON text on one line, the same value, in which such characters are escaped.
pub(crate) fn plain_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // In JSON, these stand between values; within texts they are escaped already.
        if matches!(c, '\n' | '\r' | '\t') {
            shown.push(' ');
        } else if c.is_control() || turns_direction(c) {
            write!(shown, "\\u{:04x}", u32::from(c)).expect("a string takes all text");
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `text` cut where a list would get too wide.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` as far as it is of use to people, and how much of it that is.
pub(crate) fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!(
            "{}… ({most} of {} characters; --json shows all)",
            &text[..end],
            text.chars().count()
        ),
        None => text.to_owned(),
    }
}

/// How many messages wait, as the beginning of a sentence about them.
pub(crate) fn waiting(messages: u64) -> String {
    match messages {
        1 => "1 message waits".to_owned(),
        n => format!("{n} messages wait"),
    }
}

/// Like [`plain`], line by line.
pub(crate) fn block(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_steer_a_terminal() {
        assert_eq!(
            plain("a\u{1b}[31mb\r\n\tc\u{9b}d\u{7}"),
            "a\\u{1b}[31mb\\r\\n\\tc\\u{9b}d\\u{7}"
        );
        assert_eq!(plain("exe.\u{202e}fdp"), "exe.\\u{202e}fdp");
        assert_eq!(plain("héllo \"wörld\" 日本"), "héllo \"wörld\" 日本");
        assert_eq!(block("a\n\u{8}b"), "a\n\\u{8}b");
    }

    #[test]
    fn json_stays_the_same_value_when_it_is_made_harmless() {
        let hostile = "[\r\n\"\u{9b}31m \u{202e}\u{7f} \\u001b é\"]";
        let shown = plain_json(hostile);
        assert_eq!(shown, r#"[  "\u009b31m \u202e\u007f \u001b é"]"#);
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("JSON");
        assert_eq!(value(&shown), value(hostile));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "é".repeat(81);
        assert_eq!(short(&long), format!("{}…", "é".repeat(80)));
        assert_eq!(short(&long[..160]), "é".repeat(80));
        let told = format!(
            "{}… (80 of 81 characters; --json shows all)",
            "é".repeat(80)
        );
        assert_eq!(beginning(&long, 80), told);
        assert_eq!(beginning(&long, 81), long);
    }
}
