//! Arguments as they are typed, or as a file lists them.

use crate::failure::Failure;
use crate::when;
use serde_json::value::RawValue;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Arguments of one task, as JSON text of the right shape.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Line of the file that it comes from.
    pub(super) line: Option<usize>,
    /// A JSON array.
    pub(super) args: String,
    /// A JSON object.
    pub(super) kwargs: String,
}

impl Order {
    /// Where it comes from, in front of an error.
    pub(super) fn place(&self) -> String {
        self.line
            .map_or(String::new(), |line| format!("line {line}: "))
    }
}

/// The task that the command line describes.
pub(super) fn from_arguments(args: Option<&str>, kwargs: Option<&str>) -> Result<Order, Failure> {
    let args = args.unwrap_or("[]");
    let kwargs = kwargs.unwrap_or("{}");
    if shape(args).map_err(|e| Failure::usage(format!("--args is not JSON: {e}")))? != '[' {
        return Err(Failure::usage(
            "--args must be a JSON array, such as '[1, 2]'",
        ));
    }
    if shape(kwargs).map_err(|e| Failure::usage(format!("the arguments are not JSON: {e}")))? != '{'
    {
        return Err(Failure::usage(
            "arguments by keyword must be a JSON object, such as '{\"x\": 1}'; --args takes those by position",
        ));
    }
    Ok(Order {
        line: None,
        args: args.trim().to_owned(),
        kwargs: kwargs.trim().to_owned(),
    })
}

/// The tasks of a file, all of them or an error that names the line.
pub(super) fn from_file(file: &Path) -> Result<Vec<Order>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("{} cannot be read: {error}", file.display()))
    };
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    } else {
        text = std::fs::read_to_string(file).map_err(unreadable)?;
    }
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| from_line(index + 1, line.trim()))
        .collect()
}

fn from_line(number: usize, line: &str) -> Result<Order, Failure> {
    let shape = shape(line)
        .map_err(|error| Failure::usage(format!("line {number} is not JSON: {error}")))?;
    let (args, kwargs) = match shape {
        '{' => ("[]", line),
        '[' => (line, "{}"),
        _ => {
            return Err(Failure::usage(format!(
                "line {number} must be a JSON object (arguments by keyword) or array (by position)"
            )));
        }
    };
    Ok(Order {
        line: Some(number),
        args: args.to_owned(),
        kwargs: kwargs.to_owned(),
    })
}

/// First character of a JSON text.
fn shape(text: &str) -> Result<char, serde_json::Error> {
    let json: &RawValue = serde_json::from_str(text)?;
    Ok(json.get().chars().next().unwrap_or(' '))
}

/// `TYPE:ID`, the object that a task is about.
pub(crate) fn related(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
            Ok((kind.to_owned(), id.to_owned()))
        }
        _ => Err("write TYPE:ID, such as project:17".to_owned()),
    }
}

/// A limit of time: zero is none in which anything could be done.
pub(super) fn limit(text: &str) -> Result<Duration, String> {
    let limit = when::duration(text)?;
    if limit.is_zero() {
        return Err(
            "no execution could do anything: leave it out for the limit of its type".to_owned(),
        );
    }
    Ok(limit)
}

/// The least that a task is kept: reports about it may come late.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How long a task is kept.
pub(super) fn retention(text: &str) -> Result<Duration, String> {
    let kept = when::duration(text)?;
    match kept < KEPT {
        true => Err("an hour is the least, for late reports".to_owned()),
        false => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_kept_for_an_hour_at_least() {
        assert_eq!(retention("1h"), Ok(Duration::from_secs(3600)));
        for text in ["10m", "0s", "soon"] {
            retention(text).expect_err(text);
        }
    }

    #[test]
    fn a_line_is_arguments_by_keyword_or_by_position() {
        let order = from_line(3, r#"{"x": 1.10}"#).expect("an object");
        assert_eq!(
            (order.args.as_str(), order.kwargs.as_str()),
            ("[]", r#"{"x": 1.10}"#)
        );
        let order = from_line(4, "[1, 2]").expect("an array");
        assert_eq!(
            (order.args.as_str(), order.kwargs.as_str()),
            ("[1, 2]", "{}")
        );
        let error = from_line(5, "7").expect_err("neither").to_string();
        assert!(error.contains("line 5 must be a JSON object"), "{error}");
    }

    #[test]
    fn a_limit_of_nothing_is_refused_with_what_to_do_instead() {
        assert_eq!(limit("90s"), Ok(Duration::from_secs(90)));
        for text in ["0s", "0ms", "0m"] {
            let error = limit(text).expect_err(text);
            assert!(error.contains("leave it out"), "{error}");
        }
    }

    #[test]
    fn arguments_of_the_wrong_shape_are_refused_with_the_right_one() {
        assert!(from_arguments(None, None).is_ok());
        for (args, kwargs, hint) in [
            (Some("{}"), None, "--args must be a JSON array"),
            (Some("[1"), None, "--args is not JSON"),
            (None, Some("[1]"), "--args takes those by position"),
            (None, Some("x=1"), "the arguments are not JSON"),
        ] {
            let error = from_arguments(args, kwargs).expect_err(hint).to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
