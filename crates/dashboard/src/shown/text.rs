//! Text from elsewhere. Templates escape what HTML would read; this is about what readers would misread.

use std::fmt::Write;

/// `text` with what cannot be seen, or turns the direction of writing, spelled out. Line ends and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_layout = matches!(c, '\n' | '\t');
        if c.is_control() && !is_layout || is_unseen(c) {
            write!(shown, "{}", c.escape_unicode()).expect("a string takes all text");
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The beginning of `text`, where it is longer than so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a string takes all text");
    }
    digits
}

fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_spelled_out_and_the_rest_is_left() {
        assert_eq!(visible("a\tb\nc ä 漢 👩‍👩‍👧"), "a\tb\nc ä 漢 👩‍👩‍👧");
        assert_eq!(visible("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(visible("exe.\u{202e}gpj"), "exe.\\u{202e}gpj");
        assert_eq!(visible("a\u{200b}b\0"), "a\\u{200b}b\\u{0}");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö…");
    }
}
