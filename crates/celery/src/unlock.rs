//! `celery.chord_unlock`: a task that waits for a group, and calls the body of its chord with the results.
//!
//! A worker knows no results, so it does not wait itself. It tells the platform what is waited for; when all of it is over
//! the task comes once more, with what became of it ([`Outcome`]), and then the body is called. Everything that is sent
//! has ids that follow from the task's, so that it may be sent twice.

use crate::events::repr;
use crate::json::raw;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::chord::{ANSWER, Chord, LONGEST_WAIT_S, MOST_MEMBERS, Outcome};
use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::message::{Envelope, Payload};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Deepest groups in groups.
const MAX_DEPTH: usize = 64;

/// Seconds after which Celery looks again.
const INTERVAL: f64 = 1.0;

/// What such a task is to do.
#[derive(Debug)]
pub(crate) enum Unlock {
    /// Tell the platform of this.
    Wait(Chord),
    /// Call the body with this.
    Call(Box<RawValue>),
    /// Tell whoever waits for the body that it will never run.
    Fail {
        /// That the chord did not come to its body.
        error: Exception,
        /// What a task of the header raised, if that is known.
        cause: Option<Exception>,
    },
}

impl Unlock {
    /// Reads it. `next`: the id under which it comes again.
    ///
    /// # Errors
    /// When it is not what Celery, or the platform, writes.
    pub(crate) fn read(task: &Envelope, payload: &Payload, next: TaskId) -> Result<Self, String> {
        let unreadable = |error| format!("its arguments cannot be read: {error}");
        let kwargs: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(payload.kwargs()).map_err(unreadable)?;
        let header: Vec<Value> = match kwargs.get("result") {
            Some(result) => serde_json::from_str(result.get()).map_err(unreadable)?,
            None => return Err("it does not say what it waits for".to_owned()),
        };
        let mut members = Vec::new();
        for result in &header {
            flatten(result, &mut members, MAX_DEPTH)?;
        }
        if members.len() > MOST_MEMBERS {
            return Err(format!(
                "its header has {} tasks, and results of more than {MOST_MEMBERS} are not gathered: use a session",
                members.len()
            ));
        }
        let Some(answer) = kwargs.get(ANSWER) else {
            let raw = |text: &str| RawValue::from_string(text.to_owned()).map_err(unreadable);
            return Ok(match members.is_empty() {
                true => Self::Call(raw("[]")?),
                false => Self::Wait(Chord {
                    id: next,
                    root_id: task.root_id.clone(),
                    parent_id: task.id.clone(),
                    args: raw(payload.args())?,
                    kwargs: raw(payload.kwargs())?,
                    members,
                    within_s: patience(&kwargs)?,
                }),
            });
        };
        match serde_json::from_str(answer.get()).map_err(unreadable)? {
            Outcome::Results(results) if results.len() == members.len() => {
                let mut results = results.into_iter();
                let joined: Vec<_> = header.iter().map(|it| join(it, &mut results)).collect();
                Ok(Self::Call(raw(&joined)))
            }
            Outcome::Results(results) => Err(format!(
                "{} results came for {} tasks",
                results.len(),
                members.len()
            )),
            Outcome::Failed {
                id,
                exception,
                message,
            } => {
                let raised = exception.as_ref().and_then(Exception::of_celery);
                let repr = raised.as_ref().map_or_else(|| cut(&message), repr);
                let why = match id {
                    Some(id) => format!("Dependency {id} raised {repr}"),
                    None => repr,
                };
                let error = Exception::new("ChordError", [why]).of_module("celery.exceptions");
                Ok(Self::Fail {
                    error,
                    cause: raised,
                })
            }
        }
    }
}

/// Longest reason of a member's failure, in bytes: every step that is not taken because of it is told it.
const LONGEST_REASON: usize = 8 * 1024;

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_REASON)].to_owned()
}

/// That the body cannot be called.
pub(crate) fn callback_error(reason: &str) -> Exception {
    let why = format!("Callback error: {}", cut(reason));
    Exception::new("ChordError", [why]).of_module("celery.exceptions")
}

/// How long it is waited, in seconds: in Celery the task is tried again so often, after so many seconds each time.
///
/// # Errors
/// When that is no number.
fn patience(kwargs: &BTreeMap<String, Box<RawValue>>) -> Result<Option<f64>, String> {
    let number = |name: &str| {
        let value = kwargs
            .get(name)
            .map(|value| serde_json::from_str(value.get()));
        let value = value.transpose().map(Option::flatten);
        value.map_err(|error| format!("{name} is no number: {error}"))
    };
    let (times, interval): (Option<f64>, Option<f64>) =
        (number("max_retries")?, number("interval")?);
    let seconds = times.map(|times| times.max(0.0) * interval.unwrap_or(INTERVAL).max(0.0));
    Ok(seconds.map(|seconds| seconds.min(LONGEST_WAIT_S)))
}

/// The tasks of a result as Celery writes it down: `[[id, parent], null]`, or of a group `[[id, parent], [result, …]]`.
fn flatten(result: &Value, members: &mut Vec<TaskId>, depth: usize) -> Result<(), String> {
    match (&result[1], depth) {
        (Value::Array(_), 0) => Err(format!(
            "groups are more than {MAX_DEPTH} deep in each other"
        )),
        (Value::Array(group), depth) => group
            .iter()
            .try_for_each(|result| flatten(result, members, depth - 1)),
        (_, _) => {
            let id = result[0][0].as_str().ok_or("what it waits for has no id")?;
            members.push(TaskId::new(id).map_err(|error| error.to_string())?);
            Ok(())
        }
    }
}

/// Their results, those of a group as a list.
fn join(result: &Value, results: &mut impl Iterator<Item = Box<RawValue>>) -> Box<RawValue> {
    let Some(group) = result[1].as_array() else {
        return results.next().unwrap_or_else(|| raw(&()));
    };
    let joined: Vec<_> = group.iter().map(|result| join(result, results)).collect();
    raw(&joined)
}

/// The body of the chord: the second argument.
///
/// # Errors
/// When there is none.
pub(crate) fn body<T: serde::de::DeserializeOwned>(payload: &Payload) -> Result<T, String> {
    let unreadable = |error| format!("the body of the chord cannot be read: {error}");
    let args: Vec<Box<RawValue>> = serde_json::from_str(payload.args()).map_err(unreadable)?;
    let body = args.get(1).ok_or("the chord has no body")?;
    serde_json::from_str(body.get()).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kwargs: &Value) -> Result<Unlock, String> {
        let envelope = Envelope::new("u1".parse().expect("valid"), "a.b".parse().expect("valid"));
        let args = r#"["g1", {"task": "tasks.xsum"}]"#;
        let payload = Payload::new(args, &kwargs.to_string()).expect("valid");
        Unlock::read(&envelope, &payload, "u2".parse().expect("valid"))
    }

    /// What waits for `t1`, and a group of `t2` and `t3`: the form is that of a captured message.
    fn header() -> Value {
        json!([
            [["t1", null], null],
            [
                ["g2", null],
                [[["t2", null], null], [["t3", ["t0", null]], null]]
            ],
        ])
    }

    #[test]
    fn what_is_waited_for_is_told_in_the_order_of_the_results() {
        let kwargs =
            json!({"interval": null, "result": header(), "_chord_unlock_exchange_type": "topic"});
        let Unlock::Wait(chord) = read(&kwargs).expect("read") else {
            panic!("nothing is known yet");
        };
        let members: Vec<_> = chord.members.iter().map(TaskId::as_str).collect();
        assert_eq!(members, ["t1", "t2", "t3"]);
        assert_eq!((chord.id.as_str(), chord.parent_id.as_str()), ("u2", "u1"));
        assert_eq!(chord.args.get(), r#"["g1", {"task": "tasks.xsum"}]"#);
    }

    #[test]
    fn it_is_waited_as_long_as_celery_would_try_again() {
        for (times, interval, within) in [
            (json!(null), json!(2.5), Some(None)),
            (json!(4), json!(null), Some(Some(4.0))),
            (json!(4), json!(2.5), Some(Some(10.0))),
            (json!(-1), json!(1), Some(Some(0.0))),
            (json!("often"), json!(1), None),
        ] {
            let kwargs = json!({"interval": interval, "max_retries": times, "result": header()});
            let found = read(&kwargs).ok().map(|read| match read {
                Unlock::Wait(chord) => chord.within_s,
                Unlock::Call(_) | Unlock::Fail { .. } => panic!("nothing is known yet"),
            });
            assert_eq!(found, within, "{kwargs}");
        }
    }

    #[test]
    fn results_of_a_group_in_the_header_are_a_list() {
        let kwargs = json!({"result": header(), "counterfoil": {"results": [1, {"b": 2}, null]}});
        let Unlock::Call(results) = read(&kwargs).expect("read") else {
            panic!("all is known");
        };
        assert_eq!(results.get(), r#"[1,[{"b":2},null]]"#);
        let Unlock::Call(nothing) = read(&json!({"result": []})).expect("read") else {
            panic!("there is nothing to wait for");
        };
        assert_eq!(nothing.get(), "[]");
    }

    #[test]
    fn a_member_that_failed_is_named_as_celery_names_it() {
        let raised =
            json!({"exc_type": "ValueError", "exc_message": ["nope"], "exc_module": "builtins"});
        for (failed, why) in [
            (
                json!({"id": "t2", "exception": raised, "message": "x"}),
                "Dependency t2 raised ValueError('nope')",
            ),
            (
                json!({"id": "t2", "message": "it was lost"}),
                "Dependency t2 raised it was lost",
            ),
            (json!({"message": "too much"}), "too much"),
            (
                json!({"message": "x".repeat(1_000_000)}),
                &"x".repeat(8 * 1024),
            ),
        ] {
            let kwargs = json!({"result": header(), "counterfoil": {"failed": failed}});
            let Unlock::Fail { error, cause } = read(&kwargs).expect("read") else {
                panic!("it failed");
            };
            assert_eq!(error.to_string(), format!("ChordError: {why}"));
            assert_eq!(cause.is_some(), why.contains("ValueError"));
        }
    }

    #[test]
    fn what_nobody_wrote_so_is_refused() {
        for kwargs in [
            json!({}),
            json!({"result": [7]}),
            json!({"result": header(), "counterfoil": {"results": [1]}}),
            json!({"result": header(), "counterfoil": 7}),
        ] {
            assert!(read(&kwargs).is_err(), "{kwargs}");
        }
    }
}
