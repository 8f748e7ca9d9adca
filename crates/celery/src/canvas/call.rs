//! Calling a signature: the messages that this takes, and what its result will be.

use super::ends::in_line;
use super::message::{Parent, Place};
use super::options::Options;
use super::signature::{Kind, Signature};
use crate::outcome::Awaited;
use counterfoil_toolbox::TaskId;
use counterfoil_worker::extension::Message;

/// How deep groups and chains may be in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// Most tasks that follow after one, and most bytes of their bodies: each has the result in it.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Most steps of a chain: each group among them repeats what comes after it.
const MOST_STEPS: usize = 1000;

/// The messages of what was called so far.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    parent: Parent<'a>,
    pub(super) messages: Vec<Message>,
    depth: usize,
    bytes: usize,
}

impl<'a> Calls<'a> {
    pub(super) fn by(parent: Parent<'a>) -> Self {
        Self {
            parent,
            messages: Vec::new(),
            depth: 0,
            bytes: 0,
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
        let message = self.parent.message(signature, place, &id)?;
        if let Message::Task { publication, .. } = &message {
            self.bytes += publication.content.body.len();
        }
        self.messages.push(message);
        if self.messages.len() > MOST || self.bytes > MOST_BYTES {
            return Err(format!(
                "there are more than {MOST} tasks that follow, or more than {} MiB of them: use a session",
                MOST_BYTES >> 20
            ));
        }
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
        let mut results = Vec::new();
        for (n, member) in flat(members)?.into_iter().enumerate() {
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
        &self,
        options: &Options,
        steps: Vec<Signature>,
        place: &Place,
        path: &str,
    ) -> Result<(Vec<Signature>, Awaited), String> {
        let steps = with_chords(spliced(steps, MAX_DEPTH)?)?;
        let errbacks = options.signatures("link_error")?;
        let count = steps.len();
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

/// The members of a group, those of groups within it among them.
pub(super) fn flat(members: Vec<Signature>) -> Result<Vec<Signature>, String> {
    let mut all = Vec::new();
    let mut left = members;
    left.reverse();
    while let Some(member) = left.pop() {
        match member.kind()? {
            Kind::Group(within) => left.extend(within.into_iter().rev()),
            Kind::Chain(steps) if steps.is_empty() => {}
            Kind::Task | Kind::Chain(_) | Kind::Chord => all.push(member),
        }
    }
    Ok(all)
}

/// The steps of a chain, those of chains within it among them.
pub(super) fn spliced(steps: Vec<Signature>, depth: usize) -> Result<Vec<Signature>, String> {
    let mut all = Vec::new();
    for step in steps {
        match step.kind()? {
            Kind::Chain(_) if depth == 0 => {
                return Err(format!(
                    "chains are more than {MAX_DEPTH} deep in each other"
                ));
            }
            Kind::Chain(within) => all.extend(spliced(within, depth - 1)?),
            Kind::Task | Kind::Group(_) | Kind::Chord => all.push(step),
        }
    }
    Ok(all)
}

/// A group with a step after it is the header of a chord, and that step its body.
/// Of one member it is that, and of none it is nothing.
fn with_chords(steps: Vec<Signature>) -> Result<Vec<Signature>, String> {
    if steps.len() > MOST_STEPS {
        return Err(format!("a chain has more than {MOST_STEPS} steps"));
    }
    let mut all: Vec<Signature> = Vec::with_capacity(steps.len());
    for step in steps.into_iter().rev() {
        match (step.kind()?, all.pop()) {
            (Kind::Group(members), Some(after)) => {
                let mut members = flat(members)?;
                match members.len() {
                    0 => all.push(after),
                    1 => all.extend([after, members.remove(0)]),
                    _ => all.push(Signature::chord_of(&step, &after)),
                }
            }
            (Kind::Task | Kind::Chain(_) | Kind::Group(_) | Kind::Chord, after) => {
                all.extend(after);
                all.push(step);
            }
        }
    }
    all.reverse();
    Ok(all)
}
