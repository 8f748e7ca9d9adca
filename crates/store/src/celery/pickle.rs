//! Plain data as Python pickles it, protocol 2, which every Celery reads: <https://docs.python.org/3/library/pickle.html>.

/// Opcodes.
const PROTOCOL_2: [u8; 2] = [0x80, 2];
const STOP: u8 = b'.';
const NONE: u8 = b'N';
const TRUE: u8 = 0x88;
const FALSE: u8 = 0x89;
const INT_32: u8 = b'J';
const LONG_TEXT: u8 = b'L';
const FLOAT: u8 = b'G';
const TEXT: u8 = b'X';
const EMPTY_LIST: u8 = b']';
const EMPTY_DICT: u8 = b'}';
const MARK: u8 = b'(';
const APPENDS: u8 = b'e';
const SET_ITEMS: u8 = b'u';

/// A JSON document as a pickle. Integers keep all their digits. `None`: it is no JSON.
pub(super) fn pickle(json: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len() + 8);
    out.extend(PROTOCOL_2);
    let mut reader = Reader {
        rest: json.as_bytes(),
        out,
    };
    // Depth is bounded where results are taken in.
    reader.value()?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return None;
    }
    reader.out.push(STOP);
    Some(reader.out)
}

/// What is left to be read, and what was written of the rest.
struct Reader<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<()> {
        self.skip_space();
        match self.rest.first()? {
            b'n' => self.word(b"null", NONE),
            b't' => self.word(b"true", TRUE),
            b'f' => self.word(b"false", FALSE),
            b'"' => self.text(),
            b'[' => self.list(),
            b'{' => self.dict(),
            _ => self.number(),
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn word(&mut self, word: &[u8], opcode: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        self.out.push(opcode);
        Some(())
    }

    /// Takes the next sign, if it is this one.
    fn takes(&mut self, sign: u8) -> bool {
        self.skip_space();
        let is_next = self.rest.first() == Some(&sign);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn text(&mut self) -> Option<()> {
        let mut escaped = false;
        let end = self.rest.iter().skip(1).position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        let (text, rest) = self.rest.split_at(end + 2);
        let text: String = serde_json::from_slice(text).ok()?;
        self.rest = rest;
        self.out.push(TEXT);
        let length = u32::try_from(text.len()).ok()?;
        self.out.extend(length.to_le_bytes());
        self.out.extend(text.as_bytes());
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        self.takes(b'[');
        self.out.push(EMPTY_LIST);
        if self.takes(b']') {
            return Some(());
        }
        self.out.push(MARK);
        loop {
            self.value()?;
            if self.takes(b']') {
                self.out.push(APPENDS);
                return Some(());
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn dict(&mut self) -> Option<()> {
        self.takes(b'{');
        self.out.push(EMPTY_DICT);
        if self.takes(b'}') {
            return Some(());
        }
        self.out.push(MARK);
        loop {
            self.skip_space();
            self.text()?;
            self.takes(b':').then_some(())?;
            self.value()?;
            if self.takes(b'}') {
                self.out.push(SET_ITEMS);
                return Some(());
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn number(&mut self) -> Option<()> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let end = self.rest.iter().position(|byte| !is_part(byte));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = std::str::from_utf8(number).ok()?;
        self.rest = rest;
        if number.contains(['.', 'e', 'E']) {
            self.out.push(FLOAT);
            self.out.extend(number.parse::<f64>().ok()?.to_be_bytes());
        } else if let Ok(small) = number.parse::<i32>() {
            self.out.push(INT_32);
            self.out.extend(small.to_le_bytes());
        } else {
            let digits = number.strip_prefix('-').unwrap_or(number);
            let is_whole = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
            is_whole.then_some(())?;
            self.out.push(LONG_TEXT);
            self.out.extend(number.as_bytes());
            self.out.extend(b"L\n");
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right sides are what Python 3.11 makes of the same, as opcodes that it reads back to it.
    #[test]
    fn plain_data_is_written_as_python_reads_it() {
        for (json, wanted) in [
            ("null", b"\x80\x02N.".to_vec()),
            ("4", b"\x80\x02J\x04\x00\x00\x00.".to_vec()),
            (" -1 ", b"\x80\x02J\xff\xff\xff\xff.".to_vec()),
            (
                "1180591620717411303424",
                b"\x80\x02L1180591620717411303424L\n.".to_vec(),
            ),
            (
                "1.5",
                b"\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00.".to_vec(),
            ),
            (
                r#""\u00fc\"x""#,
                b"\x80\x02X\x04\x00\x00\x00\xc3\xbc\"x.".to_vec(),
            ),
            ("[true, [], {}]", b"\x80\x02](\x88]}e.".to_vec()),
            (
                r#"{"a": [null]}"#,
                b"\x80\x02}(X\x01\x00\x00\x00a](Neu.".to_vec(),
            ),
        ] {
            assert_eq!(pickle(json).as_deref(), Some(&wanted[..]), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "[", "[1", "{\"a\"}", "nul", "1 2", "-", "\"a", "{1: 2}"] {
            assert_eq!(pickle(text), None, "{text}");
        }
    }
}
