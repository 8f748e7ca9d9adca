//! What follows after a task that succeeded, or failed.

use super::budget::Budget;
use super::call::Calls;
use super::embed::Embed;
use super::message::{Parent, Place};
use super::signature::{Kind, Signature};
use super::steps::flat;
use crate::json::raw;
use crate::outcome::Awaited;
use counterfoil_toolbox::event::SkippedStep;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::message::json::inspect;
use counterfoil_toolbox::{TaskId, TaskName};
use counterfoil_worker::extension::Message;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Messages of tasks that follow, and what they are waited for by.
#[derive(Debug, Default)]
pub(crate) struct Follows {
    pub(crate) messages: Vec<Message>,
    pub(crate) children: Vec<Awaited>,
}

/// A step that will never be taken, because one before it failed.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) step: SkippedStep,
    pub(crate) reply_to: Option<String>,
}

/// Longest arguments of a step that is not taken that the platform is told, and how deep they may be.
const MOST_TOLD: usize = 16 * 1024;
const DEEPEST_TOLD: usize = 32;

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
            calls.budget.copy(result.get().len())?;
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

/// The body of a chord gets the results of its header.
///
/// # Errors
/// Why it cannot be called.
pub(crate) fn chord_body(
    parent: Parent<'_>,
    body: &Signature,
    results: Box<RawValue>,
) -> Result<Follows, String> {
    let mut calls = Calls::by(parent);
    let place = Place {
        args: vec![results],
        ..Place::default()
    };
    let called = calls.call(body, place, "body")?;
    Ok(Follows {
        messages: calls.messages,
        children: vec![called],
    })
}

/// The errbacks of a body that will never be called, which get its id, and all that will never be called with it. Of a
/// group each task is told of by itself, and the errbacks of the group get the id of each.
///
/// # Errors
/// Why an errback cannot be called.
pub(crate) fn chord_failed(
    parent: Parent<'_>,
    body: Signature,
) -> Result<(Vec<Message>, Vec<Skipped>), String> {
    let options = body.options()?;
    let errbacks = options.signatures("link_error")?;
    let mut never = options.signatures("chain")?;
    let messages = match body.kind()? {
        Kind::Group(members) => {
            let mut calls = Calls::by(parent);
            let members = flat(members, &mut calls.budget)?;
            for (n, member) in members.iter().enumerate() {
                let (id, own) = result_of(member.clone(), &mut calls.budget)?;
                // Each is told of by itself, and all that is called is counted together.
                let called = errbacks_of(&own, &errbacks, &mut calls.budget)?;
                calls.for_a_task_never_called(id, &called, &format!("members.{n}.errbacks"))?;
            }
            calls.messages
        }
        Kind::Chain(mut steps) => {
            // The last one is told of as the chain.
            steps.pop();
            never.extend(steps);
            in_the_name_of(parent, options.text("task_id"), errbacks)?
        }
        Kind::Task | Kind::Chord => in_the_name_of(parent, options.text("task_id"), errbacks)?,
    };
    never.push(body);
    Ok((messages, never_taken(never)?))
}

/// The id under which somebody waits for a signature, and its errbacks: of a chord those of its body, too.
fn result_of(
    mut signature: Signature,
    budget: &mut Budget,
) -> Result<(Option<String>, Vec<Signature>), String> {
    let mut errbacks = Vec::new();
    loop {
        budget.copy(signature.size())?;
        let options = signature.options()?;
        errbacks.extend(options.signatures("link_error")?);
        match (signature.kind()?, signature.body()?) {
            (Kind::Chord, Some(body)) => signature = body,
            (Kind::Task | Kind::Chain(_) | Kind::Group(_) | Kind::Chord, _) => {
                return Ok((options.text("task_id"), errbacks));
            }
        }
    }
}

/// Errbacks of a member and those of its group, each once.
fn errbacks_of<'a>(
    own: &'a [Signature],
    of_group: &'a [Signature],
    budget: &mut Budget,
) -> Result<Vec<&'a Signature>, String> {
    // Each is compared with each.
    let size = |all: &[Signature]| all.iter().map(Signature::size).sum::<usize>();
    budget.copy(size(own).saturating_mul(of_group.len().max(1)))?;
    budget.copy(size(of_group).saturating_mul(own.len().max(1)))?;
    let others = of_group.iter().filter(|errback| !own.contains(errback));
    Ok(own.iter().chain(others).collect())
}

/// Calls the errbacks of a task that is never called itself.
fn in_the_name_of(
    parent: Parent<'_>,
    id: Option<String>,
    errbacks: Vec<Signature>,
) -> Result<Vec<Message>, String> {
    let mut calls = Calls::by(parent);
    let errbacks: Vec<_> = errbacks.iter().collect();
    calls.for_a_task_never_called(id, &errbacks, "errbacks")?;
    Ok(calls.messages)
}

impl Calls<'_> {
    /// Calls errbacks with the id of a task that is never called; without one, with that of the task that says so.
    fn for_a_task_never_called(
        &mut self,
        id: Option<String>,
        errbacks: &[&Signature],
        path: &str,
    ) -> Result<(), String> {
        let id = id.map(|id| TaskId::new(&id).map_err(|error| error.to_string()));
        let id = id.transpose()?;
        let id = id.as_ref().or(self.parent().task.map(|task| &task.id));
        let place = Place {
            args: id.map(raw).into_iter().collect(),
            ..Place::default()
        };
        together(self, errbacks, &place, path).map(drop)
    }
}

/// Errbacks get the id of the task.
///
/// # Errors
/// Why one of them cannot be called.
pub(crate) fn after_failure(
    parent: Parent<'_>,
    embed: &Embed,
    new_style: Option<&NewStyle<'_>>,
) -> Result<Vec<Message>, String> {
    let mut calls = Calls::by(parent);
    let (told, others): (Vec<_>, Vec<_>) = embed
        .errbacks
        .iter()
        .partition(|errback| new_style.is_some_and(|new_style| new_style.has(errback)));
    for (n, errback) in told.into_iter().enumerate() {
        let place = Place {
            args: new_style.map_or_else(Vec::new, |new_style| (new_style.raised)()),
            ..Place::default()
        };
        calls.call(errback, place, &format!("errbacks.told.{n}"))?;
    }
    let place = Place {
        args: parent.task.map(|task| raw(&task.id)).into_iter().collect(),
        ..Place::default()
    };
    together(&mut calls, &others, &place, "errbacks")?;
    Ok(calls.messages)
}

/// Errbacks that get more than the id of the task.
pub(crate) struct NewStyle<'a> {
    /// Their types.
    pub(crate) names: &'a BTreeSet<TaskName>,
    /// What they get.
    pub(crate) raised: &'a dyn Fn() -> Vec<Box<RawValue>>,
}

impl NewStyle<'_> {
    fn has(&self, errback: &Signature) -> bool {
        let is_task = matches!(errback.kind(), Ok(Kind::Task));
        is_task && errback.name().is_ok_and(|name| self.names.contains(&name))
    }
}

/// The steps that are left of the chain of a task that failed.
pub(crate) fn skipped(embed: &Embed) -> Result<Vec<Skipped>, String> {
    never_taken(embed.chain.clone())
}

/// Steps that are told of, the next ones: each is told with the exception, and a message has room for many.
const MOST_SKIPPED: usize = 1000;

/// These steps, the last one first, and all that somebody may wait for with them: the bodies of chords, the tasks of groups,
/// the last steps of chains.
fn never_taken(mut left: Vec<Signature>) -> Result<Vec<Skipped>, String> {
    let mut skipped = Vec::new();
    while let Some(step) = left.pop().filter(|_| skipped.len() < MOST_SKIPPED) {
        let options = step.options()?;
        let id = options.text("task_id");
        match step.kind()? {
            Kind::Task => {}
            Kind::Chord => left.extend(step.body()?),
            Kind::Group(members) => left.extend(members),
            Kind::Chain(mut steps) => {
                let last = steps.pop().map(|mut last| {
                    if let Some(id) = &id {
                        last.change(|options| options.set("task_id", id));
                    }
                    last
                });
                left.extend(last);
                continue;
            }
        }
        if let Some(id) = id {
            let id = TaskId::new(&id).map_err(|error| error.to_string())?;
            skipped.push(Skipped {
                step: SkippedStep {
                    args: told(raw(&step.args()?)),
                    kwargs: told(raw(&step.kwargs()?)),
                    ..SkippedStep::new(id, step.name()?)
                },
                reply_to: options.text("reply_to"),
            });
        }
    }
    Ok(skipped)
}

/// What is told of arguments: nothing, where they are too much.
fn told(json: Box<RawValue>) -> Option<Box<RawValue>> {
    let is_small = json.get().len() <= MOST_TOLD && inspect(json.get()).depth <= DEEPEST_TOLD;
    is_small.then_some(json)
}

/// What others may wait for, as the platform is told of it.
pub(crate) fn children(children: &[Awaited]) -> Option<Box<RawValue>> {
    let children: Vec<_> = children.iter().map(Awaited::to_json).collect();
    let json = (!children.is_empty()).then(|| raw(&children))?;
    (inspect(json.get()).depth <= DEEPEST_TOLD).then_some(json)
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
    let mut task = Envelope::new(skipped.step.id.clone(), parent.name.clone());
    task.root_id = parent.root_id.clone();
    task
}
