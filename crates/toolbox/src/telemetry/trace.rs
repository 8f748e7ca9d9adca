//! Which trace a task belongs to: W3C Trace Context in the headers of its message.
//!
//! The headers are those that OpenTelemetry's instrumentation of Celery writes and reads, so a trace
//! goes on from Python into Rust and back. They travel with a task whatever becomes of it (retries,
//! delays, rescues, new runs), and its children get them, in every build. With feature `otlp`, and
//! traces exported, a sender and a worker put spans of their own in between.

use crate::message::Headers;
use tracing::Span;

/// Header with the trace and the span that a message comes from.
pub const TRACEPARENT: &str = "traceparent";

/// Header with what tracing systems added to it.
pub const TRACESTATE: &str = "tracestate";

/// Longest `tracestate` that everybody has to pass on, in bytes.
const MAX_STATE: usize = 512;

/// Version of `traceparent` that is understood, and its length in bytes.
const VERSION: &str = "00";
const LENGTH: usize = 55;

/// A place in a trace, as its two headers say it.
///
/// ```
/// use counterfoil_toolbox::{message::Headers, telemetry::TraceContext};
///
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::new(parent, Some("vendor=1")).expect("it is one");
/// let mut headers = Headers::new();
/// trace.write_to(&mut headers); // of a message that is part of it
/// assert_eq!(TraceContext::of_headers(&headers), Some(trace));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: Box<str>,
    state: Option<Box<str>>,
}

/// What a span does with a task. [`join`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It sends the task.
    Sends,
    /// It runs the task.
    Runs,
}

impl TraceContext {
    /// From the values of the headers. `None`: `traceparent` is no such value, so there is no trace. Of a version
    /// to come that is kept which version 00 says, too. A `tracestate` that nobody has to pass on is left out.
    ///
    /// ```
    /// # use counterfoil_toolbox::telemetry::TraceContext;
    /// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// assert!(TraceContext::new(parent, None).is_some());
    /// assert!(TraceContext::new("none of our business", None).is_none());
    /// ```
    #[must_use]
    pub fn new(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        is_parent(traceparent).then(|| Self {
            // However much a sender writes behind it, children do not grow by it.
            parent: format!("{VERSION}{}", &traceparent[VERSION.len()..LENGTH]).into(),
            state: tracestate.filter(|text| is_state(text)).map(Into::into),
        })
    }

    /// From a message. `None`: it has none, or none that can be understood.
    #[must_use]
    pub fn of_headers(headers: &Headers) -> Option<Self> {
        Self::new(headers.text(TRACEPARENT)?, headers.text(TRACESTATE))
    }

    /// That of the current span. `None`: there is none, or traces are not exported (feature `otlp`).
    #[must_use]
    pub fn current() -> Option<Self> {
        #[cfg(feature = "otlp")]
        return super::otlp::current();
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// Value of the header [`TRACEPARENT`].
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    /// Value of the header [`TRACESTATE`].
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Sets both headers.
    pub fn write_to(&self, headers: &mut Headers) {
        headers.set(TRACEPARENT, &*self.parent);
        headers.retain(|name| name != TRACESTATE);
        if let Some(state) = &self.state {
            headers.push(TRACESTATE, &**state);
        }
    }
}

/// Makes a span part of a trace before it is entered: as a child of `parent`, if there is one, else of the
/// current span. Does nothing where traces are not exported.
///
/// ```
/// use counterfoil_toolbox::telemetry::trace::{self, Part, TraceContext};
/// # let headers = counterfoil_toolbox::message::Headers::new();
///
/// let span = tracing::info_span!("mail.send");
/// trace::join(&span, Part::Runs, || TraceContext::of_headers(&headers));
/// let sent = span.in_scope(|| "no address".parse::<u32>());
/// if sent.is_err() {
///     trace::failed(&span, "failure");
/// }
/// ```
pub fn join(span: &Span, part: Part, parent: impl FnOnce() -> Option<TraceContext>) {
    #[cfg(feature = "otlp")]
    super::otlp::join(span, part, parent);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, part, parent);
}

/// Marks a span as failed, with one word that says how. Does nothing where traces are not exported. [`join`] has
/// an example.
pub fn failed(span: &Span, how: &'static str) {
    #[cfg(feature = "otlp")]
    super::otlp::failed(span, how);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, how);
}

/// `<version>-<trace>-<span>-<flags>`, in small hexadecimal digits. Versions to come may say more behind it.
fn is_parent(text: &str) -> bool {
    let (known, more) = text.split_at_checked(LENGTH).unwrap_or((text, ""));
    let mut parts = known.split('-');
    let mut next = |length: usize| {
        let part = parts.next().unwrap_or_default();
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        (part.len() == length && part.chars().all(is_hex)).then_some(part)
    };
    let (version, trace, span, flags) = (next(2), next(32), next(16), next(2));
    let (Some(version), Some(trace), Some(span), Some(_)) = (version, trace, span, flags) else {
        return false;
    };
    let is_set = |id: &str| id.chars().any(|c| c != '0');
    let may_go_on = more.is_empty() || (version != VERSION && more.starts_with('-'));
    version != "ff" && is_set(trace) && is_set(span) && may_go_on
}

fn is_state(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_STATE && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_no_traceparent_is_no_trace() {
        assert!(is_parent(PARENT));
        assert!(
            is_parent(&PARENT.replacen("00", "42", 1)),
            "a version to come"
        );
        assert!(is_parent(&format!(
            "{}-more",
            PARENT.replacen("00", "42", 1)
        )));
        for bad in [
            String::new(),
            PARENT[..54].to_owned(),
            format!("{PARENT}-more"),
            format!("{PARENT}0"),
            format!("{}more", PARENT.replacen("00", "42", 1)),
            PARENT.replacen("00", "ff", 1),
            PARENT.to_uppercase(),
            PARENT.replace('-', "_"),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("é{PARENT}"),
        ] {
            assert!(!is_parent(&bad), "{bad}");
        }
    }

    #[test]
    fn a_tracestate_that_breaks_the_rules_is_left_out_and_the_trace_goes_on() {
        let state = |text: &str| {
            let trace = TraceContext::new(PARENT, Some(text)).expect("a trace");
            trace.tracestate().map(str::to_owned)
        };
        assert_eq!(state("a=1,b=2").as_deref(), Some("a=1,b=2"));
        for bad in ["", "a=\u{e9}", "a=1\r\nx: y", &"a".repeat(513)] {
            assert_eq!(state(bad), None, "{bad}");
        }
    }

    #[test]
    fn headers_are_replaced_together() {
        let mut headers = Headers::new();
        headers.push(TRACEPARENT, "old");
        headers.push(TRACESTATE, "old=1");
        assert_eq!(TraceContext::of_headers(&headers), None);
        let trace = TraceContext::new(PARENT, None).expect("a trace");
        trace.write_to(&mut headers);
        assert_eq!(TraceContext::of_headers(&headers), Some(trace));
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn of_a_version_to_come_what_is_understood_is_passed_on_and_no_more() {
        let later = format!("{}-{}", PARENT.replacen("00", "42", 1), "x".repeat(200_000));
        let trace = TraceContext::new(&later, None).expect("a trace");
        assert_eq!(trace.traceparent(), PARENT);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_looked_at(parent in ".{0,80}", state in ".{0,40}") {
            let _ = TraceContext::new(&parent, Some(&state));
        }

        #[test]
        fn what_is_passed_on_is_understood_and_says_the_same(
            parent in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?",
        ) {
            if let Some(trace) = TraceContext::new(&parent, None) {
                prop_assert_eq!(&trace.traceparent()[2..], &parent[2..LENGTH]);
                prop_assert_eq!(TraceContext::new(trace.traceparent(), None), Some(trace));
            }
        }
    }
}
