//! What somebody asks of nodes, as it comes.

use super::answer::Raised;
use counterfoil_toolbox::message::Content;
use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Largest pattern for names of nodes, in bytes.
const MAX_PATTERN: usize = 1024;

/// A command for one node or many.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    method: Value,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    destination: Value,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    matcher: Option<String>,
    /// What the asker knows the answers by.
    #[serde(default)]
    pub(super) ticket: Value,
    #[serde(default)]
    pub(super) reply_to: Option<ReplyTo>,
}

/// Where somebody waits for answers.
#[derive(Debug, Deserialize)]
pub(super) struct ReplyTo {
    pub(super) exchange: String,
    pub(super) routing_key: String,
}

impl Request {
    /// Reads a message, and the time of its sender's clock.
    ///
    /// # Errors
    /// Why it is no command.
    pub(super) fn read(content: &Content) -> Result<(Self, u64), String> {
        let kind = content.properties.content_type.as_deref();
        if kind != Some("application/json") {
            return Err(format!("it is {}, not JSON", kind.unwrap_or("nothing")));
        }
        let clock = content.headers.int("clock").unwrap_or(0);
        let request = serde_json::from_slice(&content.body).map_err(|error| error.to_string())?;
        Ok((request, u64::try_from(clock).unwrap_or(0)))
    }

    /// The name of the command, and what it is asked with.
    ///
    /// # Errors
    /// What is no name, or no such arguments.
    pub(super) fn take(&mut self) -> Result<(String, Map<String, Value>), Raised> {
        let Value::String(method) = self.method.take() else {
            return Err(Raised::type_error("method is the name of a command"));
        };
        match self.arguments.take() {
            Value::Object(arguments) => Ok((method, arguments)),
            Value::Null => Ok((method, Map::new())),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let text = format!("{method}() argument after ** must be a mapping");
                Err(Raised::type_error(&text))
            }
        }
    }

    /// Whether it is for the node of this name.
    pub(super) fn is_for(&self, node: &str) -> bool {
        match &self.destination {
            Value::Array(nodes) if !nodes.is_empty() => {
                return nodes.iter().any(|it| it.as_str() == Some(node));
            }
            Value::String(it) if !it.is_empty() => return it == node,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {}
        }
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (said(&self.pattern), said(&self.matcher).as_deref()) {
            (Some(pattern), Some("glob")) => matches(&as_regex(&pattern), node),
            (Some(pattern), Some("pcre")) => matches(&format!("^(?:{pattern})"), node),
            (Some(_), Some(_)) => false,
            (None, _) | (_, None) => true,
        }
    }
}

fn matches(pattern: &str, node: &str) -> bool {
    if pattern.len() > MAX_PATTERN {
        return false;
    }
    let regex = RegexBuilder::new(pattern).size_limit(1 << 20).build();
    regex.is_ok_and(|regex| regex.is_match(node))
}

/// A pattern as of file names: `*`, `?`, `[abc]` and `[!abc]`.
fn as_regex(glob: &str) -> String {
    let mut regex = String::from("^(?s:");
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match class(rest) {
                Some((class, behind)) => {
                    regex.push_str(&class);
                    rest = behind;
                }
                None => regex.push_str("\\["),
            },
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(")$");
    regex
}

/// A class of letters, and what stands behind it. `None`: it has no end.
fn class(rest: &str) -> Option<(String, &str)> {
    let negated = rest.strip_prefix('!');
    let inner = negated.unwrap_or(rest);
    // A bracket that comes first is one of the letters.
    let first = usize::from(inner.starts_with(']'));
    let end = first + inner[first..].find(']')?;
    let letters = inner[..end].replace('\\', "\\\\").replace('[', "\\[");
    let letters = letters.replace('^', "\\^").replace("&&", "&\\&");
    let letters = match letters.strip_prefix(']') {
        Some(others) => format!("\\]{others}"),
        None => letters,
    };
    let not = if negated.is_some() { "^" } else { "" };
    Some((format!("[{not}{letters}]"), &inner[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_for(more: &Value, node: &str) -> bool {
        let mut body = json!({"method": "ping", "arguments": {}});
        let fields = body.as_object_mut().expect("fields");
        fields.extend(more.as_object().expect("fields").clone());
        let content = Content::json(body.to_string());
        Request::read(&content).expect("a command").0.is_for(node)
    }

    #[test]
    fn a_command_is_for_those_that_it_names_whom_its_pattern_fits_or_everybody() {
        let node = "calc@web1.17.a";
        for (more, wanted) in [
            (json!({}), true),
            (
                json!({"destination": null, "pattern": null, "matcher": null}),
                true,
            ),
            (json!({"destination": ["a@b", node]}), true),
            (json!({"destination": ["a@b"]}), false),
            (json!({"destination": []}), true),
            (json!({"pattern": "calc@*", "matcher": "glob"}), true),
            (
                json!({"pattern": "calc@web?.1[!3-6].[]a]", "matcher": "glob"}),
                true,
            ),
            (json!({"pattern": "calc@web", "matcher": "glob"}), false),
            (json!({"pattern": "calc@web", "matcher": "pcre"}), true),
            (json!({"pattern": "web", "matcher": "pcre"}), false),
            (json!({"pattern": "(", "matcher": "pcre"}), false),
            (json!({"pattern": "[", "matcher": "glob"}), false),
            (json!({"pattern": "calc@*", "matcher": "other"}), false),
        ] {
            assert_eq!(is_for(&more, node), wanted, "{more}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_why() {
        for body in ["", "[]", "{}", "\u{0}", r#"{"method": "a", "pattern": 3}"#] {
            assert!(Request::read(&Content::json(body)).is_err(), "{body}");
        }
        let mut pickled = Content::json(r#"{"method": "ping"}"#);
        pickled.properties.content_type = Some("application/x-python-serialize".into());
        let why = Request::read(&pickled).expect_err("no JSON");
        assert!(why.contains("x-python-serialize"), "{why}");
    }
}
