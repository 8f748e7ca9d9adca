//! JSON for people, without secrets. It works on the text, so that long numbers keep their digits.

use serde_json::value::RawValue;

/// What stands in the place of a secret.
const MASK: &str = "\"•••\"";

/// Longest JSON that a page shows, in characters.
const MOST: usize = 20_000;

/// What is longer is not looked at any further, in bytes.
const LONGEST: usize = 8 * MOST;

/// Levels that are set apart by their indent.
const INDENTED: usize = 30;

/// Fields whose values are shown to nobody.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    /// Small letters and digits alone.
    names: Vec<String>,
}

/// The letters and digits of a name: `api_key`, `API-Key` and `apiKey` are the same.
fn plain(name: &str) -> String {
    let plain = name.chars().filter(|c| c.is_alphanumeric());
    plain.flat_map(char::to_lowercase).collect()
}

/// How a text is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Lines,
    OneLine,
}

impl Mask {
    pub(crate) fn new(names: &[String]) -> Self {
        let names = names.iter().map(|name| plain(name));
        Self {
            names: names.filter(|name| !name.is_empty()).collect(),
        }
    }

    /// Whether what has this name is a secret.
    pub(crate) fn hides(&self, name: &str) -> bool {
        let name = plain(name);
        self.names
            .iter()
            .any(|secret| name.contains(secret.as_str()))
    }

    /// A JSON text as people read it, without its secrets, and cut where it is long.
    pub(crate) fn lines(&self, json: &str) -> String {
        let text = self.written(json, Style::Lines).0;
        super::cut(&super::visible(&text), MOST)
    }

    /// The same value without its secrets, for programs.
    pub(crate) fn json(&self, json: &str) -> String {
        self.written(json, Style::OneLine).0
    }

    /// `json` written anew, and whether something of it is hidden. What is no JSON comes out as something that
    /// is none either.
    fn written(&self, json: &str, style: Style) -> (String, bool) {
        let mut out = Out {
            text: String::with_capacity(json.len() + json.len() / 4),
            style,
            depth: 0,
            has_hidden: false,
        };
        let (mut rest, mut is_secret, mut begins) = (json.trim_start(), false, true);
        while let Some(first) = rest.chars().next() {
            if style == Style::Lines && out.text.len() > LONGEST {
                break;
            }
            let token = &rest[..token_end(rest)];
            let after = rest[token.len()..].trim_start();
            match first {
                '{' | '[' if is_secret => {
                    rest = rest[value_end(rest)..].trim_start();
                    out.hide();
                    (is_secret, begins) = (false, false);
                    continue;
                }
                '{' | '[' => out.open(first, after),
                '}' | ']' => out.close(first, begins),
                ',' => out.next(),
                ':' => out.colon(),
                '"' if after.starts_with(':') => {
                    let name: String =
                        serde_json::from_str(token).unwrap_or_else(|_| token.to_owned());
                    is_secret = self.hides(&name);
                    out.text.push_str(token);
                }
                _ if is_secret && token != "null" => {
                    out.hide();
                    is_secret = false;
                }
                '"' => self.string(token, &mut out),
                _ => {
                    out.text.push_str(token);
                    is_secret = false;
                }
            }
            begins = matches!(first, '{' | '[');
            rest = after;
        }
        (out.text, out.has_hidden)
    }

    /// A text, which may be JSON itself: messages hold such.
    fn string(&self, token: &str, out: &mut Out) {
        let inner: Option<String> = serde_json::from_str(token).ok();
        let inner = inner.filter(|text| text.trim_start().starts_with(['{', '[']));
        let json = inner.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
        match json.map(|json| self.written(&json, Style::OneLine)) {
            Some((masked, true)) => {
                out.text
                    .push_str(&serde_json::Value::from(masked).to_string());
                out.has_hidden = true;
            }
            Some((_, false)) | None => out.text.push_str(token),
        }
    }
}

/// What is written.
struct Out {
    text: String,
    style: Style,
    depth: usize,
    has_hidden: bool,
}

impl Out {
    fn hide(&mut self) {
        self.text.push_str(MASK);
        self.has_hidden = true;
    }

    fn open(&mut self, bracket: char, after: &str) {
        self.text.push(bracket);
        self.depth += 1;
        if !after.starts_with(['}', ']']) {
            self.line();
        }
    }

    fn close(&mut self, bracket: char, is_empty: bool) {
        self.depth = self.depth.saturating_sub(1);
        if !is_empty {
            self.line();
        }
        self.text.push(bracket);
    }

    fn next(&mut self) {
        self.text.push(',');
        self.line();
    }

    fn colon(&mut self) {
        self.text.push_str(match self.style {
            Style::Lines => ": ",
            Style::OneLine => ":",
        });
    }

    fn line(&mut self) {
        if self.style == Style::Lines {
            self.text.push('\n');
            let spaces = 2 * self.depth.min(INDENTED);
            self.text.extend(std::iter::repeat_n(' ', spaces));
        }
    }
}

/// Where the first token of `text` ends: a sign, a string, or a number or word. `text` begins with it.
fn token_end(text: &str) -> usize {
    let mut signs = text.char_indices();
    match signs.next() {
        Some((_, '"')) => {
            let mut is_escaped = false;
            for (place, c) in signs {
                match c {
                    '"' if !is_escaped => return place + 1,
                    _ => is_escaped = c == '\\' && !is_escaped,
                }
            }
            text.len()
        }
        Some((_, c @ ('{' | '}' | '[' | ']' | ',' | ':'))) => c.len_utf8(),
        Some(_) => {
            let ends =
                |c: char| c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"');
            text.find(ends).unwrap_or(text.len()).max(1)
        }
        None => 0,
    }
}

/// Where the object or list ends that `text` begins with.
fn value_end(text: &str) -> usize {
    let (mut place, mut depth) = (0, 0_usize);
    while place < text.len() {
        let rest = &text[place..];
        let Some(first) = rest.chars().next() else {
            break;
        };
        match first {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        place += match first.is_whitespace() {
            true => first.len_utf8(),
            false => token_end(rest),
        };
        if depth == 0 {
            return place;
        }
    }
    text.len()
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
