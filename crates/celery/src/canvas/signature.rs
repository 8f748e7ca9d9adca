//! A task that is to be called, as Celery writes it down: <https://docs.celeryq.dev/en/stable/userguide/canvas.html>.

use super::budget::Budget;
use super::options::Options;
use crate::json::raw;
use counterfoil_toolbox::message::json::inspect;
use counterfoil_toolbox::{TaskId, TaskName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Fields by name, each as it came: numbers keep their digits, and what nobody here knows is passed on.
pub(super) type Fields = BTreeMap<String, Box<RawValue>>;

/// A task that is to be called, or a group, chain or chord of such tasks: what Celery calls a signature.
///
/// It is data: as JSON it is what Celery writes, so a signature may come from a caller in Python, too, and go to one.
/// What is wrong with it is found when it is called.
///
/// ```
/// use counterfoil_celery::{Signature, chain};
/// use serde_json::json;
/// use std::time::Duration;
///
/// let fetch = Signature::task("harvest.fetch").arg("https://example.org").countdown(Duration::from_secs(60));
/// let count = Signature::task("harvest.count"); // gets what `fetch` returned
/// let pages = chain![fetch, count].link_error(Signature::task("mail.alarm"));
/// let written = serde_json::to_value(&pages)?;
/// assert_eq!(written["kwargs"]["tasks"][0]["options"]["countdown"], json!(60.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(Fields);

/// What is special about a signature.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// One task.
    Task,
    /// Tasks that run at the same time.
    Group(Vec<Signature>),
    /// One after the other.
    Chain(Vec<Signature>),
    /// A group, and a task that gets its results.
    Chord,
}

/// The header of a chord.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// The id of the group, if it has one already.
    pub(crate) id: Option<TaskId>,
    pub(crate) members: Vec<Signature>,
}

impl Signature {
    /// Name of its task.
    pub(crate) fn name(&self) -> Result<TaskName, String> {
        let name: String = read(self.0.get("task"), "task")?.ok_or("a signature names no task")?;
        TaskName::new(&name).map_err(|error| error.to_string())
    }

    /// The task whose workers it goes to: those that call one with each of many arguments go where that one does.
    pub(crate) fn routed_as(&self) -> Result<TaskName, String> {
        let name = self.name()?;
        if ["celery.map", "celery.starmap"].contains(&name.as_str())
            && let Some(within) = read::<Self>(self.kwargs()?.get("task"), "task")?
        {
            return within.name();
        }
        Ok(name)
    }

    /// Bytes of all that it says.
    pub(super) fn size(&self) -> usize {
        size(&self.0)
    }

    /// Whether it can be taken apart step by step. Of those that came in a message that is known.
    ///
    /// # Errors
    /// When it is nested too deep for that.
    pub(super) fn is_flat_enough(&self) -> Result<(), String> {
        let depth = self.0.values().map(|value| inspect(value.get()).depth);
        match depth.max().unwrap_or(0) > DEEPEST {
            false => Ok(()),
            true => Err(format!("it is nested deeper than {DEEPEST} levels")),
        }
    }

    /// Whether so many tasks may have a copy of it.
    ///
    /// # Errors
    /// When that is too much.
    pub(crate) fn can_be_copied(&self, times: usize) -> Result<(), String> {
        Budget::default().tasks(times, self.size())
    }

    pub(crate) fn kind(&self) -> Result<Kind, String> {
        let kind: Option<String> = read(self.0.get("subtask_type"), "subtask_type")?;
        match kind.as_deref() {
            None => Ok(Kind::Task),
            Some("group") => Ok(Kind::Group(self.tasks()?)),
            Some("chain") => Ok(Kind::Chain(self.tasks()?)),
            Some("chord") => Ok(Kind::Chord),
            Some(other) => Err(format!("a signature is of the unknown kind {other:?}")),
        }
    }

    /// One of these parts.
    pub(super) fn of_parts<const N: usize>(parts: [(&str, Box<RawValue>); N]) -> Self {
        Self(parts.map(|(name, part)| (name.to_owned(), part)).into())
    }

    pub(super) fn set_part(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.insert(name.to_owned(), raw(value));
    }

    /// Of a chord: the task that gets the results of its header.
    pub(crate) fn body(&self) -> Result<Option<Self>, String> {
        let kwargs = self.kwargs()?;
        let body: Option<Option<Self>> = read(kwargs.get("body"), "body")?;
        Ok(body.flatten())
    }

    /// Of a chord: what runs before its body. Celery writes a group, or a list.
    pub(crate) fn header_of_chord(&self) -> Result<Header, String> {
        let kwargs = self.kwargs()?;
        let Some(header) = kwargs.get("header").filter(|header| header.get() != "null") else {
            return Err("a chord has no header".to_owned());
        };
        if header.get().starts_with('[') {
            let members = listed(header.get()).map_err(|error| unreadable("header", error))?;
            return Ok(Header { id: None, members });
        }
        let group: Option<Self> = read(Some(header), "header")?;
        let group = group.ok_or("a chord has no header")?;
        let id = group.options()?.text("task_id");
        let id = id.map(|id| TaskId::new(&id).map_err(|error| error.to_string()));
        Ok(Header {
            id: id.transpose()?,
            members: group.tasks()?,
        })
    }

    fn tasks(&self) -> Result<Vec<Self>, String> {
        let kwargs = self.kwargs()?;
        let tasks = kwargs.get("tasks").map(|tasks| listed(tasks.get()));
        let tasks = tasks.transpose();
        Ok(tasks
            .map_err(|error| unreadable("tasks", error))?
            .unwrap_or_default())
    }

    /// Arguments by position.
    pub(crate) fn args(&self) -> Result<Vec<Box<RawValue>>, String> {
        Ok(read(self.0.get("args"), "args")?.unwrap_or_default())
    }

    /// Arguments by keyword.
    pub(crate) fn kwargs(&self) -> Result<Fields, String> {
        Ok(read(self.0.get("kwargs"), "kwargs")?.unwrap_or_default())
    }

    /// The same as JSON text, in the order in which they came.
    pub(crate) fn kwargs_text(&self) -> &str {
        let kwargs = self.0.get("kwargs").map_or("{}", |raw| raw.get());
        if kwargs == "null" { "{}" } else { kwargs }
    }

    pub(crate) fn options(&self) -> Result<Options, String> {
        Ok(read(self.0.get("options"), "options")?.unwrap_or_default())
    }

    /// Whether it does not take the result of the task before it.
    pub(crate) fn is_immutable(&self) -> Result<bool, String> {
        Ok(read(self.0.get("immutable"), "immutable")?.unwrap_or(false))
    }

    /// The chain with a step more.
    pub(super) fn with_step(mut self, step: Self) -> Result<Self, String> {
        let mut steps = self.tasks()?;
        steps.push(step);
        self.set_kwarg("tasks", &steps)?;
        Ok(self)
    }

    pub(super) fn set_kwarg(
        &mut self,
        name: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), String> {
        let mut kwargs = self.kwargs()?;
        kwargs.insert(name.to_owned(), raw(value));
        self.set_part("kwargs", &kwargs);
        Ok(())
    }

    /// The same with other options.
    pub(crate) fn with_options(mut self, options: &Options) -> Self {
        self.0.insert("options".to_owned(), raw(options));
        self
    }
}

/// Bytes of all that these have.
pub(super) fn size(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.len() + value.get().len())
        .sum()
}

/// Deepest JSON of a signature that a program made, or had from elsewhere.
const DEEPEST: usize = 256;

/// Most signatures in a list.
const MOST_LISTED: usize = 100_000;

/// Reads signatures in a list, or one alone, or none. They are counted first: each takes a lot more room than its text.
pub(crate) fn listed(json: &str) -> Result<Vec<Signature>, serde_json::Error> {
    if !json.starts_with('[') {
        let one: Option<Signature> = serde_json::from_str(json)?;
        return Ok(one.into_iter().collect());
    }
    let list: Vec<&RawValue> = serde_json::from_str(json)?;
    if list.len() > MOST_LISTED {
        return Err(serde::de::Error::custom(format!(
            "there are {} signatures in a list, and at most {MOST_LISTED} are read",
            list.len()
        )));
    }
    let signatures = list.into_iter().map(|one| serde_json::from_str(one.get()));
    signatures.collect()
}

pub(super) fn unreadable(name: &str, error: serde_json::Error) -> String {
    format!("{name} of a signature cannot be read: {error}")
}

pub(super) fn read<'de, T: Deserialize<'de>>(
    raw: Option<&'de (impl AsRaw + ?Sized)>,
    name: &str,
) -> Result<Option<T>, String> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.text()).map_err(|error| unreadable(name, error))
}

/// JSON text, owned or not.
pub(super) trait AsRaw {
    fn text(&self) -> &str;
}

impl AsRaw for Box<RawValue> {
    fn text(&self) -> &str {
        self.get()
    }
}

impl AsRaw for RawValue {
    fn text(&self) -> &str {
        self.get()
    }
}

/// Whether the same was written.
impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        let Self(fields) = self;
        fields.len() == other.0.len()
            && fields.iter().all(|(name, value)| {
                let other = other.0.get(name);
                other.is_some_and(|other| other.get() == value.get())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(json: &str) -> Signature {
        serde_json::from_str(json).expect("a signature")
    }

    #[test]
    fn what_nobody_here_knows_and_every_digit_is_passed_on() {
        let json = r#"{"args":[1.50,123456789012345678901],"chord_size":null,"new":{"in":6.0},"options":{"queue":"q"},"task":"a.b"}"#;
        let mut options = signature(json).options().expect("options");
        assert_eq!(options.text("queue").as_deref(), Some("q"));
        options.set("task_id", "t1");
        let changed = signature(json).with_options(&options);
        let written = serde_json::to_string(&changed).expect("JSON");
        let wanted = json.replace(r#""queue":"q""#, r#""queue":"q","task_id":"t1""#);
        assert_eq!(written, wanted);
    }

    #[test]
    fn what_is_no_signature_is_named() {
        let unknown = signature(r#"{"task":"a.b","subtask_type":"wheel"}"#).kind();
        assert_eq!(
            unknown.expect_err("unknown"),
            r#"a signature is of the unknown kind "wheel""#
        );
        let nameless = signature(r#"{"args":[]}"#).name();
        assert_eq!(nameless.expect_err("no name"), "a signature names no task");
        let args = signature(r#"{"task":"a.b","args":7}"#).args();
        assert!(
            args.expect_err("no list")
                .starts_with("args of a signature cannot be read")
        );
    }
}
