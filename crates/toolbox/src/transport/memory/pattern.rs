//! Topic patterns: `*` is one word, `#` is any number of words, none included.

/// A binding key of a topic exchange.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Word>);

#[derive(Debug)]
enum Word {
    Literal(Box<str>),
    One,
    Any,
}

/// The words of a routing key. RabbitMQ sees none in the empty key, and two empty ones in `.`.
pub(super) fn words(key: &str) -> Vec<&str> {
    if key.is_empty() {
        Vec::new()
    } else {
        key.split('.').collect()
    }
}

impl Pattern {
    pub(super) fn new(key: &str) -> Self {
        let word = |word: &str| match word {
            "*" => Word::One,
            "#" => Word::Any,
            literal => Word::Literal(literal.into()),
        };
        Self(words(key).into_iter().map(word).collect())
    }

    /// Whether it matches all of `words`.
    ///
    /// A `#` takes nothing at first; when the rest does not fit, the last one takes a word more.
    /// Earlier ones need not be tried again: what the last one skips, they could not use better.
    pub(super) fn matches(&self, words: &[&str]) -> bool {
        let (mut at, mut word) = (0, 0);
        let mut last_any = None;
        while word < words.len() {
            let fits = match self.0.get(at) {
                Some(Word::Any) => {
                    at += 1;
                    last_any = Some((at, word));
                    continue;
                }
                Some(Word::One) => true,
                Some(Word::Literal(literal)) => **literal == *words[word],
                None => false,
            };
            if fits {
                at += 1;
                word += 1;
            } else if let Some((after, taken)) = last_any {
                at = after;
                word = taken + 1;
                last_any = Some((after, word));
            } else {
                return false;
            }
        }
        self.0[at..].iter().all(|word| matches!(word, Word::Any))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Pattern::new(pattern).matches(&words(key))
    }

    /// The definition, word by word.
    fn naive(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((&"#", rest)), None) => naive(rest, key),
            (Some((&"#", rest)), Some((_, shorter))) => naive(rest, key) || naive(pattern, shorter),
            (Some(_), None) => false,
            (Some((word, rest)), Some((first, shorter))) => {
                (*word == "*" || word == first) && naive(rest, shorter)
            }
        }
    }

    #[test]
    fn a_service_owns_its_bare_name_and_everything_below_it() {
        assert!(matches("export.#", "export"));
        assert!(matches("export.#", "export.project.csv"));
        assert!(!matches("export.#", "exports.project"));
        assert!(matches(
            &format!("{}export.#", "*.".repeat(3)),
            "0.1.0.export.x"
        ));
    }

    #[test]
    fn a_star_is_exactly_one_word_even_an_empty_one() {
        assert!(matches("a.*", "a."));
        assert!(!matches("a.*", "a"));
        assert!(!matches("*", ""));
        assert!(matches("#", ""));
        assert!(matches("", ""));
        assert!(!matches("", "."));
    }

    proptest! {
        #[test]
        fn patterns_match_as_they_are_defined(
            pattern in proptest::collection::vec(prop_oneof![Just("*"), Just("#"), Just("a"), Just("b"), Just("")], 0..8),
            key in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("")], 0..8),
        ) {
            let (pattern, key) = (pattern.join("."), key.join("."));
            prop_assert_eq!(matches(&pattern, &key), naive(&words(&pattern), &words(&key)), "{} / {}", pattern, key);
        }
    }
}
