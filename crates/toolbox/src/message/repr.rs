//! Values as Celery prints them: in `argsrepr` and `kwargsrepr`, in its events, and so in Flower and in logs.
//!
//! That is Python's notation, cut: <https://docs.celeryq.dev/en/stable/reference/celery.utils.saferepr.html>.

use std::borrow::Cow;

/// Celery cuts what it prints at this length, in characters, and closes brackets behind it.
const MOST_CHARS: usize = 1024;

/// Lists and dictionaries within so many others are not looked into.
const MOST_LEVELS: usize = 3;

/// A value, given as JSON text, as Celery prints it.
///
/// ```
/// use counterfoil_toolbox::message::repr::celery_repr;
///
/// assert_eq!(celery_repr(r#"{"a": [1, 2.50, null]}"#), "{'a': [1, 2.5, None]}");
/// assert_eq!(celery_repr("[[[[1]]]]"), "[[[[...]]]]"); // deeper values are not shown
/// ```
#[must_use]
pub fn celery_repr(json: &str) -> String {
    Printer::new(json).printed()
}

/// Arguments by position, given as a JSON array, as Celery prints them: a tuple.
///
/// ```
/// use counterfoil_toolbox::message::repr::celery_args_repr;
///
/// assert_eq!(celery_args_repr("[2, [3]]"), "(2, [3])");
/// assert_eq!(celery_args_repr("[2]"), "(2,)");
/// ```
#[must_use]
pub fn celery_args_repr(json_array: &str) -> String {
    let mut printer = Printer::new(json_array);
    if let Some(items) = printer.rest.strip_prefix('[') {
        printer.rest = items.trim_start();
        let end = if is_alone(printer.rest) { ",)" } else { ")" };
        printer.open("(", end);
    }
    printer.printed()
}

/// A number, given as JSON has it, as Python prints it.
///
/// ```
/// use counterfoil_toolbox::message::repr::python_number;
///
/// assert_eq!(python_number("2.50"), "2.5");
/// assert_eq!(python_number("1E-7"), "1e-07");
/// ```
#[must_use]
pub fn python_number(json: &str) -> Cow<'_, str> {
    match json {
        "-0" => "0".into(),
        "NaN" => "nan".into(),
        "Infinity" => "inf".into(),
        "-Infinity" => "-inf".into(),
        _ if json.contains(['.', 'e', 'E']) => match json.parse() {
            Ok(number) => float(number).into(),
            Err(_) => json.into(),
        },
        whole => whole.into(),
    }
}

/// The shortest digits that mean this number, with an exponent where Python takes one.
fn float(number: f64) -> String {
    let shortest = format!("{number:e}");
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return shortest; // inf
    };
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let digits = mantissa.replace(['-', '.'], "");
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (first, others) = digits.split_at(1);
    match usize::try_from(exponent) {
        Ok(whole @ 0..16) if others.len() > whole => {
            let (whole, fraction) = others.split_at(whole);
            format!("{sign}{first}{whole}.{fraction}")
        }
        Ok(whole @ 0..16) => format!("{sign}{first}{others:0<whole$}.0"),
        Err(_) if exponent >= -4 => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            format!("{sign}0.{zeros}{digits}")
        }
        Ok(_) | Err(_) => {
            let point = if others.is_empty() { "" } else { "." };
            let of = if exponent < 0 { '-' } else { '+' };
            let exponent = exponent.unsigned_abs();
            format!("{sign}{first}{point}{others}e{of}{exponent:02}")
        }
    }
}

/// Goes through JSON text and prints what it meets, until enough is printed.
struct Printer<'a> {
    rest: &'a str,
    out: String,
    /// Characters that may still be printed.
    left: usize,
    /// How what is open is closed.
    open: Vec<&'static str>,
}

impl<'a> Printer<'a> {
    fn new(json: &'a str) -> Self {
        Self {
            rest: json.trim_start(),
            out: String::with_capacity(json.len().min(MOST_CHARS) + 16),
            left: MOST_CHARS,
            open: Vec::new(),
        }
    }

    fn printed(mut self) -> String {
        while let Some(first) = self.rest.chars().next() {
            let closes = matches!(first, ']' | '}');
            if self.left == 0 && !closes {
                self.out.push_str(", ...");
                break;
            }
            match first {
                '"' => self.string(),
                '[' if self.open.len() < MOST_LEVELS => self.step(|it| it.open("[", "]")),
                '{' if self.open.len() < MOST_LEVELS => self.step(|it| it.open("{", "}")),
                '[' => self.pass_over("[...]"),
                '{' => self.pass_over("{...}"),
                ']' | '}' => self.step(Self::close),
                ',' => self.step(|it| it.put(", ")),
                ':' => self.step(|it| it.put(": ")),
                _ => self.word(),
            }
            self.rest = self.rest.trim_start();
        }
        while let Some(end) = self.open.pop() {
            self.out.push_str(end);
        }
        self.out
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.left = self.left.saturating_sub(text.chars().count());
    }

    /// Takes a character of punctuation.
    fn step(&mut self, then: impl FnOnce(&mut Self)) {
        self.rest = &self.rest[1..];
        then(self);
    }

    fn open(&mut self, begin: &str, end: &'static str) {
        self.put(begin);
        self.open.push(end);
    }

    fn close(&mut self) {
        if let Some(end) = self.open.pop() {
            self.put(end);
        }
    }

    /// Says of a value that it is there.
    fn pass_over(&mut self, instead: &str) {
        self.rest = &self.rest[end_of_value(self.rest)..];
        self.put(instead);
    }

    /// A number, or a name of a value.
    fn word(&mut self) {
        let (word, rest) = self.rest.split_at(end_of_value(self.rest).max(1));
        self.rest = rest;
        let printed = match word {
            "null" => "None".into(),
            "true" => "True".into(),
            "false" => "False".into(),
            number => python_number(number),
        };
        match printed.char_indices().nth(self.left - 1) {
            Some((last, c)) => {
                let cut = format!("{}...", &printed[..last + c.len_utf8()]);
                self.put(&cut);
            }
            None => self.put(&printed),
        }
    }

    /// In texts Celery escapes nothing but the quote, and cuts them after a word if it can.
    fn string(&mut self) {
        let mut text: String = Unescaped(&self.rest[1..]).take(self.left).collect();
        if text.chars().count() == self.left {
            text.truncate(text.rfind(' ').unwrap_or(text.len()));
            text.push_str("...");
        }
        self.rest = &self.rest[end_of_value(self.rest)..];
        self.put(&format!("'{}'", text.replace('\'', "\\'")));
    }
}

/// The characters of a JSON text behind its first quote.
struct Unescaped<'a>(&'a str);

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let first = chars.next().filter(|c| *c != '"')?;
        self.0 = chars.as_str();
        if first != '\\' {
            return Some(first);
        }
        let escaped = chars.next()?;
        self.0 = chars.as_str();
        Some(match escaped {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => self.unit(),
            other => other,
        })
    }
}

impl Unescaped<'_> {
    /// What four digits mean, with those of the second half of a pair.
    fn unit(&mut self) -> char {
        let high = self.digits().unwrap_or_default();
        let pair = matches!(high, 0xd800..0xdc00)
            .then(|| {
                let mut behind = Self(self.0.strip_prefix("\\u")?);
                let low = behind
                    .digits()
                    .filter(|low| (0xdc00..0xe000).contains(low))?;
                self.0 = behind.0;
                char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            })
            .flatten();
        let one = pair.or(char::from_u32(high));
        one.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn digits(&mut self) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(4)?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        self.0 = rest;
        Some(number)
    }
}

/// Length of the JSON value at the beginning of a text.
fn end_of_value(text: &str) -> usize {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => {
                is_text = !is_text;
                if !is_text && depth == 0 {
                    return at + 1;
                }
            }
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 1 => depth -= 1,
            b']' | b'}' if depth == 1 => return at + 1,
            b']' | b'}' | b',' | b':' | b' ' | b'\n' | b'\t' | b'\r' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// Whether one value, and no more, is before the end of an array.
fn is_alone(items: &str) -> bool {
    let behind = items.get(end_of_value(items)..).unwrap_or_default();
    !items.starts_with(']') && behind.trim_start().starts_with(']')
}

#[cfg(test)]
#[path = "repr_tests.rs"]
mod tests;
