//! Groups, chords and chains as tasks of their own. Nobody has sent such for long, and every worker of Celery still has
//! them: a group and a chord call what they are given, a chain refuses.

use super::call;
use crate::canvas::{Signature, listed};
use crate::json::raw;
use crate::outcome::Awaited;
use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::message::Payload;
use counterfoil_worker::{Context, TaskError};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What `celery.group` takes, in the order of Celery.
const OF_GROUP: [&str; 5] = [
    "tasks",
    "result",
    "group_id",
    "partial_args",
    "add_to_parent",
];

/// What `celery.chord` takes, in the order of Celery.
const OF_CHORD: [&str; 7] = [
    "header",
    "body",
    "partial_args",
    "interval",
    "countdown",
    "max_retries",
    "eager",
];

/// Arguments by their names, whether they came by these or by position.
struct Named(BTreeMap<String, Box<RawValue>>);

impl Named {
    fn of(payload: &Payload, names: &[&str]) -> Result<Self, TaskError> {
        let unreadable = |error| TaskError::fail(format!("the arguments cannot be read: {error}"));
        let args: Vec<&RawValue> = serde_json::from_str(payload.args()).map_err(unreadable)?;
        let mut all: BTreeMap<String, _> =
            serde_json::from_str(payload.kwargs()).map_err(unreadable)?;
        if args.len() > names.len() {
            let (most, count) = (names.len(), args.len());
            let why = format!("it takes {most} arguments by position, and was given {count}");
            return Err(TaskError::fail(why));
        }
        for (name, arg) in names.iter().zip(args) {
            if all.insert((*name).to_owned(), arg.to_owned()).is_some() {
                let why = format!("`{name}` was given by position and by name");
                return Err(TaskError::fail(why));
            }
        }
        Ok(Self(all))
    }

    /// An argument. `None`: there is none, or it is null.
    fn take<T: for<'de> Deserialize<'de>>(&mut self, name: &str) -> Result<Option<T>, TaskError> {
        let Some(json) = self.0.remove(name) else {
            return Ok(None);
        };
        serde_json::from_str(json.get())
            .map_err(|error| TaskError::fail(format!("`{name}` cannot be read: {error}")))
    }

    fn need<T: for<'de> Deserialize<'de>>(&mut self, name: &str) -> Result<T, TaskError> {
        let given = self.take(name)?;
        given.ok_or_else(|| TaskError::fail(format!("`{name}` is missing")))
    }
}

/// Calls each of some signatures. Its result is theirs, to be waited for.
pub(super) async fn group(payload: Payload, cx: Context) -> Result<Awaited, TaskError> {
    let mut given = Named::of(&payload, &OF_GROUP)?;
    let tasks: Box<RawValue> = given.need("tasks")?;
    let tasks = listed(tasks.get())
        .map_err(|error| TaskError::fail(format!("`tasks` cannot be read: {error}")))?;
    let args = given.take("partial_args")?.unwrap_or_default();
    let mut group = Signature::group(tasks);
    if let Some(id) = given.take::<Value>("group_id")? {
        group = group.option("task_id", &id);
    }
    call(&cx, &group, args).await
}

/// Calls each of some signatures, and another with the list of their results. Its result is that one's, to be waited for.
/// When Celery looks for the first time whether all are done is no matter here: what looks is told.
pub(super) async fn chord(payload: Payload, cx: Context) -> Result<Awaited, TaskError> {
    let mut given = Named::of(&payload, &OF_CHORD)?;
    let (header, body): (Box<RawValue>, Box<RawValue>) =
        (given.need("header")?, given.need("body")?);
    let args = given.take("partial_args")?.unwrap_or_default();
    for unused in ["countdown", "eager"] {
        given.0.remove(unused);
    }
    // Options, where there are some: how long the header may take.
    for name in ["interval", "max_retries"] {
        if given.0.get(name).is_some_and(|value| value.get() == "null") {
            given.0.remove(name);
        }
    }
    let kwargs: Option<BTreeMap<String, Value>> = given.take("kwargs")?;
    if kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
        let why =
            "`kwargs` for all members of the header are not taken: write them into its signatures";
        return Err(TaskError::fail(why));
    }
    // What is left are options.
    let chord = raw(&BTreeMap::from([
        ("task", raw("celery.chord")),
        ("subtask_type", raw("chord")),
        (
            "kwargs",
            raw(&BTreeMap::from([("header", header), ("body", body)])),
        ),
        ("options", raw(&given.0)),
    ]));
    let chord: Signature = serde_json::from_str(chord.get())
        .map_err(|error| TaskError::fail(format!("it is no chord: {error}")))?;
    call(&cx, &chord, args).await
}

pub(super) async fn chain(_: Payload, _: Context) -> Result<(), TaskError> {
    let refused = Exception::new("NotImplementedError", ["chain is not a real task"]);
    Err(TaskError::fail(refused.of_module("builtins")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(args: &str, kwargs: &str) -> Result<Named, String> {
        let payload = Payload::new(args, kwargs)?;
        Named::of(&payload, &OF_GROUP).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_come_by_position_or_by_name_and_what_is_wrong_with_one_is_named() {
        let mut found = given(r#"[[], null, "g"]"#, r#"{"partial_args": [1.50]}"#).expect("given");
        let tasks: Vec<Signature> = found.need("tasks").expect("tasks");
        assert!(tasks.is_empty());
        assert_eq!(
            found.take::<String>("group_id").ok(),
            Some(Some("g".to_owned()))
        );
        let args: Vec<Box<RawValue>> = found.need("partial_args").expect("arguments");
        assert_eq!(args[0].get(), "1.50");
        let missing = found.need::<Value>("result").expect_err("null");
        assert_eq!(missing.to_string(), "`result` is missing");
        let wrong = given("[3]", "{}")
            .expect("given")
            .need::<Vec<Signature>>("tasks");
        let wrong = wrong.expect_err("no list").to_string();
        assert!(wrong.starts_with("`tasks` cannot be read"), "{wrong}");
        for (args, kwargs, why) in [
            (
                "[[]]",
                r#"{"tasks": []}"#,
                "`tasks` was given by position and by name",
            ),
            (
                "[1, 2, 3, 4, 5, 6]",
                "{}",
                "it takes 5 arguments by position, and was given 6",
            ),
        ] {
            assert_eq!(given(args, kwargs).err().as_deref(), Some(why));
        }
    }
}
