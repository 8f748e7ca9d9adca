//! What follows after a task that succeeded, or failed.

use super::call::Calls;
use super::embed::Embed;
use super::message::{Parent, Place};
use super::signature::{Kind, Signature};
use crate::json::raw;
use crate::outcome::Awaited;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_worker::extension::Message;
use serde_json::value::RawValue;

/// Messages of tasks that follow, and what they are waited for by.
#[derive(Debug, Default)]
pub(crate) struct Follows {
    pub(crate) messages: Vec<Message>,
    pub(crate) children: Vec<Awaited>,
}

/// A step that will never be taken, because one before it failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) id: TaskId,
    pub(crate) reply_to: Option<String>,
}

/// Callbacks get the result, and so does the next step of a chain.
///
/// # Errors
/// Why something that is to follow cannot be called.
pub(crate) fn after_success(
    parent: Parent<'_>,
    embed: &Embed,
    result: Option<&RawValue>,
) -> Result<Follows, String> {
    let mut calls = Calls::by(parent);
    let mut children = Vec::new();
    let result = result.map_or_else(|| raw(&()), ToOwned::to_owned);
    let with = |chain| Place {
        args: vec![result.clone()],
        chain,
        ..Place::default()
    };
    if let [only] = &embed.callbacks[..] {
        children.push(calls.call(only, with(None), "callback")?);
    } else {
        let (groups, tasks) = apart(&embed.callbacks)?;
        for (n, group) in groups.into_iter().enumerate() {
            children.push(calls.call(group, with(None), &format!("callback.{n}"))?);
        }
        children.extend(together(&mut calls, &tasks, &with(None), "callbacks")?);
    }
    if let Some((next, rest)) = embed.chain.split_last() {
        let place = with(Some(rest.to_vec()));
        children.push(calls.call(next, place, "next")?);
    }
    Ok(Follows {
        messages: calls.messages,
        children,
    })
}

/// Errbacks get the id of the task.
///
/// # Errors
/// Why one of them cannot be called.
pub(crate) fn after_failure(parent: Parent<'_>, embed: &Embed) -> Result<Vec<Message>, String> {
    let mut calls = Calls::by(parent);
    let place = Place {
        args: parent.task.map(|task| raw(&task.id)).into_iter().collect(),
        ..Place::default()
    };
    let errbacks: Vec<_> = embed.errbacks.iter().collect();
    together(&mut calls, &errbacks, &place, "errbacks")?;
    Ok(calls.messages)
}

/// The steps that are left of the chain of a task that failed, also those that end in the body of a chord.
pub(crate) fn skipped(embed: &Embed) -> Result<Vec<Skipped>, String> {
    let mut skipped = Vec::new();
    let mut left: Vec<Signature> = embed.chain.clone();
    while let Some(step) = left.pop() {
        let options = step.options()?;
        if let Some(id) = options.text("task_id") {
            skipped.push(Skipped {
                id: TaskId::new(&id).map_err(|error| error.to_string())?,
                reply_to: options.text("reply_to"),
            });
        }
        if matches!(step.kind()?, Kind::Chord) {
            left.extend(step.body()?);
        }
    }
    Ok(skipped)
}

/// Groups, and all others.
fn apart(signatures: &[Signature]) -> Result<(Vec<&Signature>, Vec<&Signature>), String> {
    let (mut groups, mut others) = (Vec::new(), Vec::new());
    for signature in signatures {
        match signature.kind()? {
            Kind::Group(_) => groups.push(signature),
            Kind::Task | Kind::Chain(_) | Kind::Chord => others.push(signature),
        }
    }
    Ok((groups, others))
}

/// Calls several as one group, as Celery does.
fn together(
    calls: &mut Calls<'_>,
    signatures: &[&Signature],
    place: &Place,
    path: &str,
) -> Result<Option<Awaited>, String> {
    if signatures.is_empty() {
        return Ok(None);
    }
    let group = Signature::group_of(signatures);
    calls.call(&group, place.clone(), path).map(Some)
}

/// Envelope of a step that was skipped, for its answer.
pub(crate) fn as_task(skipped: &Skipped, parent: &Envelope) -> Envelope {
    let mut task = Envelope::new(skipped.id.clone(), parent.name.clone());
    task.root_id = parent.root_id.clone();
    task
}
