//! What a text that somebody looks for may mean.

use crate::text::{INDEXED, cleaned};

/// Characters from which parts of a text are looked for. Of fewer, the index of parts knows nothing.
const PART: usize = 3;
/// Characters from which the beginning of an id is looked for. Of fewer, ids that tell their time are all alike.
const BEGINNING_OF_ID: usize = 8;

/// A text, and what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    /// The text without blanks around it.
    pub(crate) whole: String,
    /// Pattern of what contains it.
    pub(crate) part: Option<String>,
    /// Pattern of what begins with it.
    pub(crate) beginning: Option<String>,
    /// Pattern of ids that begin with it.
    pub(crate) beginning_of_id: Option<String>,
    /// Types of related objects whose id may be [`related_id`](Self::related_id).
    pub(crate) related_types: Vec<String>,
    /// The id that a related object may have.
    pub(crate) related_id: String,
    /// Services and types of tasks of which it is a part.
    pub(crate) kinds: Vec<(String, String)>,
}

impl Search {
    /// Of the types that there are (service and type) and the types of related objects. Blank text is none.
    pub(crate) fn new(
        text: &str,
        mut kinds: Vec<(String, String)>,
        related_types: Vec<String>,
    ) -> Option<Self> {
        let whole = text_of(text)?;
        let from = |length, pattern: fn(&str) -> String| {
            (whole.chars().count() >= length).then(|| pattern(&escaped(&whole)))
        };
        let lower = whole.to_ascii_lowercase();
        kinds.retain(|(_, name)| name.to_ascii_lowercase().contains(&lower));
        let typed = whole.split_once(':');
        let (related_types, related_id) =
            match typed.filter(|(kind, id)| !kind.is_empty() && !id.is_empty()) {
                Some((kind, id)) => (vec![kind.to_owned()], id.to_owned()),
                None => (related_types, whole.clone()),
            };
        Some(Self {
            part: from(PART, |text| format!("%{text}%")),
            beginning: from(PART, |text| format!("{text}%")),
            beginning_of_id: from(BEGINNING_OF_ID, |text| format!("{}%", as_id(text))),
            related_types,
            related_id,
            kinds,
            whole,
        })
    }
}

/// What is looked for; `None`: nothing.
pub(crate) fn text_of(text: &str) -> Option<String> {
    let text = cleaned(text.trim(), INDEXED);
    (!text.is_empty()).then(|| text.into_owned())
}

/// What may be of a UUID as UUIDs are written here, whatever tool it was copied from.
fn as_id(text: &str) -> String {
    let is_of_uuid = |character: char| character.is_ascii_hexdigit() || character == '-';
    match text.chars().all(is_of_uuid) {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    }
}

/// `text` as the part of a pattern that stands for itself alone.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Option<Search> {
        let kinds = ["demo.add", "export.project"].map(|name| {
            let service = name.split('.').next().unwrap_or_default();
            (service.to_owned(), name.to_owned())
        });
        Search::new(text, kinds.into(), vec!["project".to_owned()])
    }

    #[test]
    fn the_longer_a_text_the_more_it_is_compared_with() {
        for (text, part, beginning_of_id) in [
            ("42", None, None),
            (" 42\t", None, None),
            ("abc", Some("%abc%"), None),
            ("äöü", Some("%äöü%"), None),
            ("01938c5e", Some("%01938c5e%"), Some("01938c5e%")),
            ("01938C5E-AB", Some("%01938C5E-AB%"), Some("01938c5e-ab%")),
            ("Of-Celery", Some("%Of-Celery%"), Some("Of-Celery%")),
        ] {
            let search = search(text).expect("something to look for");
            assert_eq!(search.whole, text.trim());
            assert_eq!(search.part.as_deref(), part, "{text}");
            assert_eq!(search.beginning_of_id.as_deref(), beginning_of_id, "{text}");
        }
        assert_eq!(search(" \0 "), None, "nothing but blanks");
        assert_eq!(search(""), None);
    }

    #[test]
    fn signs_that_patterns_are_made_of_stand_for_themselves() {
        let search = search(r"50%_\").expect("something to look for");
        assert_eq!(search.part.as_deref(), Some(r"%50\%\_\\%"));
        assert_eq!(search.beginning.as_deref(), Some(r"50\%\_\\%"));
    }

    #[test]
    fn an_id_of_a_related_object_may_come_with_its_type() {
        let of = |text| {
            let search = search(text).expect("something to look for");
            (search.related_types.join(" "), search.related_id)
        };
        assert_eq!(of("17"), ("project".to_owned(), "17".to_owned()));
        assert_eq!(of("map:17"), ("map".to_owned(), "17".to_owned()));
        assert_eq!(of("17:"), ("project".to_owned(), "17:".to_owned()));
    }

    #[test]
    fn types_are_found_by_a_part_of_any_length_in_either_case() {
        for (text, names) in [
            ("D.A", &[][..]),
            ("O.a", &["demo.add"]),
            ("o", &["demo.add", "export.project"]),
            ("%", &[]),
        ] {
            let search = search(text).expect("something to look for");
            let found: Vec<_> = search.kinds.iter().map(|(_, name)| name.as_str()).collect();
            assert_eq!(found, names, "{text}");
        }
    }
}
