//! Options of a signature.

use super::signature::{Fields, Signature, listed, size, unreadable};
use crate::json::raw;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Options of a group, chain or chord that are not those of its members.
const OF_THE_WHOLE: [&str; 9] = [
    "task_id",
    "group_id",
    "group_index",
    "root_id",
    "parent_id",
    "link",
    "link_error",
    "chain",
    "chord",
];

/// Options of a task that become headers of its message, beside its stamps.
const IN_HEADERS: [&str; 15] = [
    "group_id",
    "group_index",
    "shadow",
    "ignore_result",
    "retries",
    "replaced_task_nesting",
    "time_limit",
    "soft_time_limit",
    "countdown",
    "eta",
    "expires",
    "stamped_headers",
    "headers",
    "reply_to",
    "priority",
];

/// Options of a signature.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Options(Fields);

impl Options {
    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        let raw = self.0.get(name)?;
        (raw.get() != "null").then_some(&**raw)
    }

    /// The text of an option; `None`: it is missing, empty or something else.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.get(name)?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Signatures that are an option: Celery writes one alone, or a list.
    pub(crate) fn signatures(&self, name: &str) -> Result<Vec<Signature>, String> {
        let Some(raw) = self.get(name) else {
            return Ok(Vec::new());
        };
        listed(raw.get()).map_err(|error| unreadable(name, error))
    }

    /// These, and what is said by what they are part of, which goes before them: but a task stays in its group, and has
    /// its own stamps.
    pub(crate) fn under(mut self, outer: &Self) -> Self {
        if outer.0.is_empty() {
            return self;
        }
        let stamps = self.stamps();
        for (name, value) in &outer.0 {
            let is_fixed =
                ["group_id", "stamped_headers"].contains(&&**name) || stamps.contains(name);
            if !(is_fixed && self.0.contains_key(name)) && value.get() != "null" {
                self.0.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// What is said by them of all that they stand around.
    pub(crate) fn of_members(mut self) -> Self {
        for name in OF_THE_WHOLE {
            self.0.remove(name);
        }
        self
    }

    /// Names of its stamps.
    pub(crate) fn stamps(&self) -> BTreeSet<String> {
        let names = self.get("stamped_headers").map(RawValue::get);
        let names = names.map(serde_json::from_str::<BTreeSet<String>>);
        names.and_then(Result::ok).unwrap_or_default()
    }

    /// Bytes of all that it has.
    pub(crate) fn size(&self) -> usize {
        size(&self.0)
    }

    /// Bytes of what becomes headers of a task with these stamps.
    pub(crate) fn size_in_headers(&self, stamps: &BTreeSet<String>) -> usize {
        let stamps = stamps.iter().map(String::as_str);
        let names = IN_HEADERS.into_iter().chain(stamps);
        let values = names.filter_map(|name| self.0.get(name));
        values.map(|value| value.get().len()).sum()
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.0.remove(name)
    }

    pub(crate) fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.insert(name.to_owned(), raw(value));
    }

    /// Adds a header of the sender's own.
    pub(crate) fn set_header(&mut self, name: impl Into<String>, value: &Value) {
        let mut own = match self.value("headers") {
            Some(Value::Object(own)) => own,
            Some(_) | None => serde_json::Map::new(),
        };
        own.insert(name.into(), value.clone());
        self.set("headers", &own);
    }

    /// Adds a signature to a list of them.
    pub(crate) fn link(&mut self, name: &str, more: &[Signature]) -> Result<(), String> {
        if more.is_empty() {
            return Ok(());
        }
        let mut all = self.signatures(name)?;
        all.extend_from_slice(more);
        self.set(name, &all);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_alone_and_as_lists_and_added_to() {
        for link in [r#"{"task":"a.b"}"#, r#"[{"task":"a.b"}]"#] {
            let one = signature(&format!(r#"{{"task":"x.y","options":{{"link":{link}}}}}"#));
            let mut options = one.options().expect("options");
            assert_eq!(options.signatures("link").expect("links").len(), 1);
            options
                .link("link", &[signature(r#"{"task":"c.d"}"#)])
                .expect("linked");
            let names: Vec<_> = options.signatures("link").expect("links");
            let names: Vec<_> = names
                .iter()
                .map(|link| link.name().expect("named").to_string())
                .collect();
            assert_eq!(names, ["a.b", "c.d"]);
        }
    }

    fn signature(json: &str) -> Signature {
        serde_json::from_str(json).expect("a signature")
    }
}
