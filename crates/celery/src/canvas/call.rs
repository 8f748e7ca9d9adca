//! Calling a signature: the messages that this takes, and what its result will be.

use super::budget::{Budget, fits};
use super::ends::in_line;
use super::message::{Parent, Place};
use super::options::Options;
use super::signature::{Kind, Signature};
use super::steps::{flat, in_order};
use crate::outcome::Awaited;
use counterfoil_toolbox::TaskId;
use counterfoil_worker::extension::Message;

/// How deep groups and chains may be in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// The messages of what was called so far.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    parent: Parent<'a>,
    pub(super) messages: Vec<Message>,
    depth: usize,
    pub(super) budget: Budget,
}

impl<'a> Calls<'a> {
    pub(super) fn by(parent: Parent<'a>) -> Self {
        Self {
            parent,
            messages: Vec::new(),
            depth: 0,
            budget: Budget::default(),
        }
    }

    /// Calls a signature that stands at `path` after the task.
    ///
    /// # Errors
    /// Why it cannot be called.
    pub(super) fn call(
        &mut self,
        signature: &Signature,
        place: Place,
        path: &str,
    ) -> Result<Awaited, String> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        self.budget.copy(signature.size())?;
        let called = match signature.kind()? {
            Kind::Task => self.task(signature, &place, path),
            Kind::Group(members) => self.group(signature, members, &place, path),
            Kind::Chain(steps) => self.chain(signature, steps, place, path),
            Kind::Chord => self.chord(signature, place, path),
        };
        self.depth -= 1;
        called
    }

    fn task(
        &mut self,
        signature: &Signature,
        place: &Place,
        path: &str,
    ) -> Result<Awaited, String> {
        let id = self.id_of(&signature.options()?, path)?;
        let args = match signature.is_immutable()? {
            true => 0,
            false => place.size_of_args(),
        };
        self.budget
            .task(signature.size() + args + place.size_of_rest())?;
        let message = self.parent.message(signature, place, &id)?;
        if let Message::Task { publication, .. } = &message {
            self.budget.headers(&publication.content.headers)?;
        }
        self.messages.push(message);
        Ok(Awaited::task(id))
    }

    /// All at once. Groups within are part of it.
    fn group(
        &mut self,
        signature: &Signature,
        members: Vec<Signature>,
        place: &Place,
        path: &str,
    ) -> Result<Awaited, String> {
        let options = signature.options()?;
        let id = self.id_of(&options, path)?;
        let chord = place
            .chord
            .clone()
            .or_else(|| options.get("chord").map(ToOwned::to_owned));
        let errbacks = options.signatures("link_error")?;
        let of_members = options.of_members().under(&place.options);
        let for_each = errbacks.iter().map(Signature::size).sum::<usize>()
            + chord.as_ref().map_or(0, |chord| chord.get().len())
            + of_members.size()
            + place.size();
        let members = flat(members, &mut self.budget)?;
        self.budget.copy(members.len().saturating_mul(for_each))?;
        let mut results = Vec::new();
        for (n, member) in members.into_iter().enumerate() {
            self.budget.copy(member.size())?;
            let mut own = member.options()?;
            own.link("link_error", &errbacks)?;
            let place = Place {
                args: place.args.clone(),
                chain: place.chain.clone(),
                group: Some((id.clone(), n)),
                chord: chord.clone(),
                options: of_members.clone(),
            };
            let path = format!("{path}.{n}");
            results.push(self.call(&member.with_options(&own), place, &path)?);
        }
        Ok(Awaited::Group(id, results))
    }

    /// The first step, which brings the others along.
    fn chain(
        &mut self,
        signature: &Signature,
        steps: Vec<Signature>,
        place: Place,
        path: &str,
    ) -> Result<Awaited, String> {
        let options = signature.options()?;
        let (mut steps, last) = self.frozen(&options, steps, &place, path)?;
        let in_line = in_line(&steps, last)?;
        let first = steps.remove(0);
        steps.reverse();
        let outer = match place.chain {
            Some(chain) => chain,
            None => options.signatures("chain")?,
        };
        let only = steps.is_empty();
        let place = Place {
            args: place.args,
            chain: Some([outer, steps].concat()),
            options: options.of_members().under(&place.options),
            ..if only {
                place_of_last(&place.group, &place.chord)
            } else {
                Place::default()
            }
        };
        let awaited = self.call(&first, place, &format!("{path}.0"))?;
        Ok(if only { awaited } else { in_line })
    }

    /// The steps of a chain, chains within it spliced in, each with an id: others may wait for any of them. And the result
    /// of the last one.
    fn frozen(
        &mut self,
        options: &Options,
        steps: Vec<Signature>,
        place: &Place,
        path: &str,
    ) -> Result<(Vec<Signature>, Awaited), String> {
        let steps = in_order(steps, &mut self.budget)?;
        let errbacks = options.signatures("link_error")?;
        let count = steps.len();
        // All but the first travel in one message.
        let size: usize = steps.iter().skip(1).map(Signature::size).sum();
        let errbacks_size: usize = errbacks.iter().map(Signature::size).sum();
        let size = errbacks_size
            .saturating_mul(count)
            .saturating_add(size + place.size());
        fits(size - place.size_of_args())?;
        self.budget.copy(size)?;
        let mut frozen = Vec::with_capacity(count);
        for (n, step) in steps.into_iter().enumerate() {
            let is_last = n + 1 == count;
            let mut own = step.options()?;
            own.link("link_error", &errbacks)?;
            if is_last {
                own.link("link", &options.signatures("link")?)?;
                if let Some(id) = options.text("task_id") {
                    own.set("task_id", &id);
                }
                if let Some((group, index)) = &place.group {
                    own.set("group_id", group);
                    own.set("group_index", index);
                }
                if let Some(chord) = &place.chord {
                    own.set("chord", chord);
                }
            }
            if own.text("task_id").is_none() {
                own.set("task_id", &self.parent.id_at(&format!("{path}.{n}")));
            }
            frozen.push(step.with_options(&own));
        }
        let last = frozen.pop();
        let last = last.ok_or("a chain without a step cannot be called")?;
        let (last, result) = self.with_ends(last, &format!("{path}.{}", frozen.len()))?;
        frozen.push(last);
        Ok((frozen, result))
    }

    pub(super) fn parent(&self) -> &Parent<'a> {
        &self.parent
    }

    pub(super) fn id_of(&self, options: &Options, path: &str) -> Result<TaskId, String> {
        match options.text("task_id") {
            Some(id) => TaskId::new(&id).map_err(|error| error.to_string()),
            None => Ok(self.parent.id_at(path)),
        }
    }
}

pub(super) fn too_deep() -> String {
    format!("groups and chains are more than {MAX_DEPTH} deep in each other")
}

/// What a chain's only step has of the place of the chain.
fn place_of_last(
    group: &Option<(TaskId, usize)>,
    chord: &Option<Box<serde_json::value::RawValue>>,
) -> Place {
    Place {
        group: group.clone(),
        chord: chord.clone(),
        ..Place::default()
    }
}
