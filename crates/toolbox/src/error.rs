//! Printing errors.

use std::fmt;

/// An error with its causes, on one line: what failed, then why, then why that.
///
/// ```
/// use counterfoil_toolbox::error::ErrorChain;
/// use counterfoil_toolbox::producer::SendError;
///
/// let source = serde_json::from_str::<u32>("x").unwrap_err();
/// let error = SendError::Arguments { task: "demo.add".parse()?, source };
/// let line = ErrorChain(&error).to_string();
/// assert!(line.starts_with("the arguments of demo.add cannot be written as JSON: expected value"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ErrorChain<'a>(pub &'a dyn std::error::Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries put the cause into their text, and give it as a cause as well.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn chain(texts: &[&'static str]) -> String {
        let layer = |source, text: &&'static str| Some(Box::new(Layer { text, source }));
        let outer = texts.iter().rev().fold(None, layer);
        ErrorChain(&*outer.expect("not empty")).to_string()
    }

    #[test]
    fn causes_follow_what_failed_and_none_is_told_twice() {
        assert_eq!(chain(&["no route", "no wire"]), "no route: no wire");
        assert_eq!(
            chain(&["no route: no wire", "no wire", "cut"]),
            "no route: no wire: cut"
        );
    }
}
