//! One exchange: its bindings, and which of them a message takes.

use super::pattern::{Pattern, words};
use crate::message::{HeaderValue, Headers};
use crate::names::RoutingKey;
use crate::topology::{self, Binding, Destination, ExchangeKind};

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) declared: topology::Exchange,
    bindings: Vec<(Binding, Matcher)>,
}

/// What a message must be like to take a binding.
#[derive(Debug)]
enum Matcher {
    Always,
    Key,
    Topic(Pattern),
    Headers(HeaderMatch),
}

impl Exchange {
    pub(super) fn new(declared: topology::Exchange) -> Self {
        Self {
            declared,
            bindings: Vec::new(),
        }
    }

    /// Adds a binding; one that is there already stays one.
    pub(super) fn bind(&mut self, binding: &Binding) {
        if self.has(binding) {
            return;
        }
        let matcher = match self.declared.kind {
            ExchangeKind::Fanout => Matcher::Always,
            ExchangeKind::Direct => Matcher::Key,
            ExchangeKind::Topic => Matcher::Topic(Pattern::new(binding.key.as_str())),
            ExchangeKind::Headers => Matcher::Headers(HeaderMatch::new(&binding.arguments)),
        };
        self.bindings.push((binding.clone(), matcher));
    }

    pub(super) fn has(&self, binding: &Binding) -> bool {
        self.bindings.iter().any(|(known, _)| known == binding)
    }

    /// Forgets all bindings that lead there.
    pub(super) fn unbind(&mut self, destination: &Destination) {
        self.bindings
            .retain(|(binding, _)| binding.destination != *destination);
    }

    /// Where a message goes from here, before the alternate exchange is asked.
    pub(super) fn destinations<'a>(
        &'a self,
        key: &'a RoutingKey,
        headers: &'a Headers,
    ) -> impl Iterator<Item = &'a Destination> {
        let words = words(key.as_str());
        self.bindings
            .iter()
            .filter(move |(binding, matcher)| match matcher {
                Matcher::Always => true,
                Matcher::Key => binding.key == *key,
                Matcher::Topic(pattern) => pattern.matches(&words),
                Matcher::Headers(wanted) => wanted.matches(headers),
            })
            .map(|(binding, _)| &binding.destination)
    }
}

/// Arguments of a binding to a headers exchange.
#[derive(Debug)]
struct HeaderMatch {
    all: bool,
    wanted: Vec<(Box<str>, HeaderValue)>,
}

impl HeaderMatch {
    fn new(arguments: &Headers) -> Self {
        let how = arguments.text("x-match").unwrap_or("all");
        // Names with x- take part only when it is asked for; x-match itself never does.
        let with_x = how.ends_with("-with-x");
        let wanted = arguments
            .iter()
            .filter(|(name, _)| *name != "x-match" && (with_x || !name.starts_with("x-")))
            .map(|(name, value)| (name.into(), value.clone()))
            .collect();
        Self {
            all: how.starts_with("all"),
            wanted,
        }
    }

    fn matches(&self, headers: &Headers) -> bool {
        let matches = |(name, wanted): &(Box<str>, HeaderValue)| {
            let found = headers.get(name);
            // Without a value, the header only has to be there.
            found.is_some_and(|found| *wanted == HeaderValue::Null || found == wanted)
        };
        if self.all {
            self.wanted.iter().all(matches)
        } else {
            self.wanted.iter().any(matches)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> Headers {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), HeaderValue::from(*value)))
            .collect()
    }

    fn matches(arguments: &[(&'static str, &str)], message: &[(&'static str, &str)]) -> bool {
        HeaderMatch::new(&headers(arguments)).matches(&headers(message))
    }

    #[test]
    fn all_asks_for_every_header_and_any_for_one() {
        let message = [("a", "1"), ("b", "2")];
        assert!(matches(&[("x-match", "all"), ("a", "1")], &message));
        assert!(!matches(&[("a", "1"), ("b", "3")], &message));
        assert!(matches(
            &[("x-match", "any"), ("a", "0"), ("b", "2")],
            &message
        ));
        assert!(!matches(&[("x-match", "any"), ("c", "2")], &message));
        assert!(matches(&[], &[]), "all of nothing is there");
        assert!(!matches(&[("x-match", "any")], &message));
    }

    #[test]
    fn headers_with_an_x_take_part_only_when_asked_for() {
        let expired = [("x-first-death-reason", "expired")];
        let asked = |how| [("x-match", how), ("x-first-death-reason", "expired")];
        assert!(matches(&asked("all-with-x"), &expired));
        assert!(!matches(&asked("all-with-x"), &[]));
        assert!(matches(&asked("all"), &[]), "nothing is left to ask for");
        assert!(matches(&asked("any-with-x"), &expired));
        assert!(!matches(&asked("any"), &expired));
    }

    #[test]
    fn a_header_asked_for_without_a_value_only_has_to_be_there() {
        let mut arguments = Headers::new();
        arguments.push("a", HeaderValue::Null);
        let wanted = HeaderMatch::new(&arguments);
        assert!(wanted.matches(&headers(&[("a", "whatever")])));
        assert!(!wanted.matches(&headers(&[("b", "whatever")])));
    }
}
