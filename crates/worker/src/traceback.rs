//! What a handler's error tells beyond its one line: for `traceback`, where Python has its stack.

use std::error::Error;
use std::fmt::Write as _;

/// The error with its causes, a line each; with those of `anyhow` also where it was made, if the process captures that
/// (`RUST_BACKTRACE=1`). `None`: there is no more to it.
pub(crate) fn traceback(error: &(dyn Error + 'static)) -> Option<String> {
    // Such an error prints all of it itself.
    let whole = format!("{error:?}");
    let mut text = error.to_string();
    if whole.contains('\n') && whole.starts_with(&text) {
        return Some(whole);
    }
    error.source()?;
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    for (n, cause) in causes.enumerate() {
        if n == 0 {
            text.push_str("\n\nCaused by:");
        }
        // Writing to a text cannot fail.
        let _ = write!(text, "\n    {n}: {cause}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("project 17 cannot be exported")]
    struct Failed(#[source] std::io::Error);

    #[test]
    fn every_cause_has_a_line_of_its_own() {
        let full = || std::io::Error::other("disk full");
        let wanted = "project 17 cannot be exported\n\nCaused by:\n    0: disk full";
        assert_eq!(traceback(&Failed(full())).as_deref(), Some(wanted));
        assert_eq!(traceback(&full()), None, "its line tells all");
    }

    #[test]
    fn errors_of_anyhow_tell_all_they_know() {
        let error = anyhow::anyhow!("disk full").context("project 17 cannot be exported");
        let error: Box<dyn Error + Send + Sync> = error.into();
        let told = traceback(&*error).expect("it has a cause");
        assert!(
            told.starts_with("project 17 cannot be exported\n\nCaused by:\n"),
            "{told}"
        );
        assert!(told.contains("disk full"), "{told}");
    }
}
