//! Text as a database column can hold it: without NUL, cut at a length.

use std::borrow::Cow;

/// Longest text of an indexed column, in bytes. PostgreSQL's index rows end at 2,704.
pub(crate) const INDEXED: usize = 500;
/// Longest line for people, in bytes.
pub(crate) const LINE: usize = 4_000;
/// Longest traceback or log message, in bytes.
pub(crate) const LONG: usize = 64_000;

/// `text` without NUL characters and of at most `max` bytes, cut between characters.
pub(crate) fn cleaned(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max && !text.contains('\0') {
        return Cow::Borrowed(text);
    }
    let mut clean = text.replace('\0', "");
    clean.truncate(clean.floor_char_boundary(max));
    Cow::Owned(clean)
}

/// The same as an owned text.
pub(crate) fn boxed(text: &str, max: usize) -> Box<str> {
    cleaned(text, max).into()
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing into memory does not fail");
            hex
        })
}

/// The bytes that hexadecimal digits stand for; `None` when they are not such digits.
pub(crate) fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_taken_out_and_length_is_cut_between_characters() {
        assert_eq!(cleaned("a\0b", 10), "ab");
        assert_eq!(cleaned("aé", 2), "a");
        assert_eq!(cleaned("a\0é", 3), "aé");
        assert!(matches!(cleaned("plain", 5), Cow::Borrowed("plain")));
    }

    #[test]
    fn bytes_come_back_from_hexadecimal() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)), Some(all));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("+1"), None, "digits only");
    }
}
