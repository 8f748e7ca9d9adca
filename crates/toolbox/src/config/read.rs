//! Reading one section field by field: a bad value is noted and the rest is read all the same.

use super::fault::{Fault, NEAR, variable};
use super::units;
use crate::retention::{FOR_EVER, SHORTEST, within_limits};
use crate::text::InvalidText;
use crate::text::nearest;
use ::config::{Map, Value, ValueKind};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What was said in one section. A field that was asked for is known; what is left at the end is
/// not.
pub(super) struct Section<'a> {
    path: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub(super) fn root(values: Map<String, Value>, faults: &'a mut Vec<Fault>) -> Self {
        Self {
            path: String::new(),
            left: values,
            known: Vec::new(),
            faults,
        }
    }

    /// The section `name`, empty when nothing was said.
    pub(super) fn sub(&mut self, name: &'static str) -> Section<'_> {
        let path = self.field(name);
        let left = self.take(name).map(|value| value.kind);
        let left = match left {
            None => Map::new(),
            Some(ValueKind::Table(table)) => table,
            Some(_) => {
                self.fault(name, format!("a section was expected: [{path}]"));
                Map::new()
            }
        };
        Section {
            path,
            left,
            known: Vec::new(),
            faults: self.faults,
        }
    }

    /// Reads every section in here, whatever its name, with `read`.
    pub(super) fn each(mut self, mut read: impl FnMut(&str, &mut Section<'_>)) {
        let mut entries: Vec<_> = std::mem::take(&mut self.left).into_iter().collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in entries {
            let path = self.field(&name);
            let ValueKind::Table(left) = value.kind else {
                self.fault(&name, format!("a section was expected: [{path}]"));
                continue;
            };
            let known = Vec::new();
            let mut section = Section {
                path,
                left,
                known,
                faults: self.faults,
            };
            read(&name, &mut section);
            section.finish();
        }
    }

    /// Reads every value in here, whatever its name, as a time for which something is kept; `None`: for
    /// ever. `keep` says what is wrong with a name.
    pub(super) fn retentions(
        mut self,
        mut keep: impl FnMut(&str, Option<Duration>) -> Result<(), String>,
    ) {
        let mut entries: Vec<_> = std::mem::take(&mut self.left).into_iter().collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in entries {
            if let ValueKind::Table(inner) = &value.kind {
                let inner = inner.keys().min().map_or("*", String::as_str);
                let problem = format!("write the name in quotes: \"{name}.{inner}\" = \"90d\"");
                self.fault(&name, problem);
                continue;
            }
            let text = scalar(&value);
            let time = match text.as_deref().map(str::trim) {
                Some("forever") => Ok(None),
                Some(text) => match units::duration(text) {
                    Some(time) if time >= SHORTEST => Ok(Some(within_limits(time))),
                    Some(_) | None => Err(format!("{text:?}{}", self.from(&name, &value))),
                },
                None => Err("it".to_owned()),
            };
            let kept = match time {
                Ok(time) => keep(&name, time.filter(|time| *time < FOR_EVER)),
                Err(what) => Err(format!(
                    "{what} is not a time of at least an hour, for late reports; write for example \"90d\", or \"forever\""
                )),
            };
            if let Err(problem) = kept {
                self.fault(&name, problem);
            }
        }
    }

    /// Notes what is left as unknown, with the nearest known name.
    pub(super) fn finish(self) {
        let mut unknown: Vec<_> = self.left.iter().collect();
        unknown.sort_by(|a, b| a.0.cmp(b.0));
        for (name, value) in unknown {
            let meant = nearest(name, self.known.iter().copied(), NEAR)
                .map(|meant| format!("did you mean {}?", self.field(meant)));
            let known = || format!("known here: {}", self.known.join(", "));
            let hint = meant.unwrap_or_else(known);
            let from = from(value, &self.field(name));
            let problem = format!("unknown setting{from}; {hint}");
            self.faults.push(Fault::new(self.field(name), problem));
        }
    }

    /// Text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.get(name, "text", |text| Some(text.to_owned()))
    }

    /// A file's name. Relative ones start at the working directory.
    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.get(name, "a file name", |text| Some(PathBuf::from(text)))
    }

    /// A duration.
    pub(super) fn duration(&mut self, name: &'static str, at_least: Duration) -> Option<Duration> {
        let least = match at_least.is_zero() {
            true => String::new(),
            false => format!(" of at least {}", humantime::format_duration(at_least)),
        };
        let expected =
            format!("a duration{least}; write for example \"10s\", \"1h 30m\", or seconds");
        self.get(name, &expected, |text| {
            units::duration(text).filter(|duration| *duration >= at_least)
        })
    }

    /// A duration, or `none`.
    pub(super) fn duration_or_none(&mut self, name: &'static str) -> Option<Option<Duration>> {
        let expected = "a duration; write for example \"10s\", \"1h 30m\", seconds, or \"none\"";
        self.get(name, expected, |text| match text {
            "none" => Some(None),
            text => units::duration(text).filter(|d| !d.is_zero()).map(Some),
        })
    }

    /// A size in bytes, at least 1.
    pub(super) fn bytes(&mut self, name: &'static str) -> Option<usize> {
        let expected = "a size; write for example \"1 MiB\", \"4 MB\", or bytes";
        self.get(name, expected, |text| {
            units::bytes(text)
                .filter(|bytes| *bytes > 0)
                .and_then(|bytes| usize::try_from(bytes).ok())
        })
    }

    /// A whole number.
    pub(super) fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.get(name, &expected, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let list: Vec<_> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let expected = format!("one of {}", list.join(", "));
        self.get(name, &expected, |text| {
            words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
        })
    }

    /// A list of names: a list, or text separated by commas.
    pub(super) fn names<T: FromStr<Err = InvalidText>>(
        &mut self,
        name: &'static str,
    ) -> Option<Vec<T>> {
        let value = self.take(name)?;
        let mut names = Vec::new();
        for text in texts(&value, |text| text.split(',').map(str::to_owned).collect()) {
            match text.as_deref().map(str::trim) {
                Some("") => {}
                Some(text) => match text.parse() {
                    Ok(name) => names.push(name),
                    Err(error) => self.fault(name, format!("{error}{}", self.from(name, &value))),
                },
                None => self.fault(name, "a list of names was expected"),
            }
        }
        Some(names)
    }

    /// Takes the value of `name` out, and remembers that the name is known.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// Whether nothing was said about `name`.
    pub(super) fn is_unset(&self, name: &str) -> bool {
        !self.left.contains_key(name)
    }

    /// Notes a fault of the field `name`.
    pub(super) fn fault(&mut self, name: &str, problem: impl Into<String>) {
        self.faults.push(Fault::new(self.field(name), problem));
    }

    /// Notes a fault of the section itself.
    pub(super) fn fault_here(&mut self, problem: impl Into<String>) {
        self.faults.push(Fault::new(self.path.clone(), problem));
    }

    /// Notes that `name` is needed and not set.
    pub(super) fn missing(&mut self, name: &str, what: &str) {
        self.faults.push(Fault::missing(&self.field(name), what));
    }

    /// Full name of a field.
    pub(super) fn field(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    fn from(&self, name: &str, value: &Value) -> String {
        from(value, &self.field(name))
    }

    fn get<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let Some(text) = scalar(&value) else {
            self.fault(name, format!("it must be {expected}"));
            return None;
        };
        let result = read(text.trim());
        if result.is_none() {
            let from = self.from(name, &value);
            self.fault(name, format!("{text:?}{from} is not {expected}"));
        }
        result
    }
}

/// A value as text; `None` for lists and sections.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
        ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_) => Some(value.kind.to_string()),
    }
}

/// The members of a list, or the parts of a text; `None` for what is no text.
pub(super) fn texts(value: &Value, split: fn(&str) -> Vec<String>) -> Vec<Option<String>> {
    if let ValueKind::Array(members) = &value.kind {
        return members.iter().map(scalar).collect();
    }
    match scalar(value) {
        Some(text) => split(&text).into_iter().map(Some).collect(),
        None => vec![None],
    }
}

/// Where a value came from, when that is not the file.
fn from(value: &Value, field: &str) -> String {
    // What the crate `config` calls a variable's origin; those of the file have none.
    match value.origin() {
        Some(_) => format!(" (from {})", variable(field)),
        None => String::new(),
    }
}
