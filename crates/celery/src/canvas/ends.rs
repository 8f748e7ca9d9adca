//! Where a signature ends: the tasks whose results are its own. They get their ids before anything is called, since who
//! waits for them may not be whoever calls them.

use super::call::{Calls, MAX_DEPTH, too_deep};
use super::signature::{Kind, Signature};
use super::steps::{flat, spliced};
use crate::outcome::Awaited;
use counterfoil_toolbox::TaskId;

/// Steps of a chain that are told of with its result, the last ones: each is within the next, and readers of JSON go
/// only so deep.
const MOST_IN_LINE: usize = 16;

impl Calls<'_> {
    /// The signature with ids for all that it ends with, and its result. It stands at `path`.
    ///
    /// # Errors
    /// Why it cannot be called.
    pub(super) fn with_ends(
        &mut self,
        signature: Signature,
        path: &str,
    ) -> Result<(Signature, Awaited), String> {
        self.ends(signature, path, MAX_DEPTH)
    }

    fn ends(
        &mut self,
        mut signature: Signature,
        path: &str,
        depth: usize,
    ) -> Result<(Signature, Awaited), String> {
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        self.budget.copy(signature.size())?;
        match signature.kind()? {
            Kind::Task => {
                let id = self.named(&mut signature, path)?;
                Ok((signature, Awaited::task(id)))
            }
            Kind::Group(members) => {
                let id = self.named(&mut signature, path)?;
                let (mut ended, mut results) = (Vec::new(), Vec::new());
                for (n, member) in flat(members, &mut self.budget)?.into_iter().enumerate() {
                    let (member, result) = self.ends(member, &format!("{path}.{n}"), depth)?;
                    ended.push(member);
                    results.push(result);
                }
                signature.set_kwarg("tasks", &ended)?;
                Ok((signature, Awaited::Group(id, results)))
            }
            Kind::Chain(steps) => {
                let mut steps = spliced(steps, &mut self.budget)?;
                let mut last = steps.pop().ok_or("a chain has no step")?;
                if let Some(id) = signature.options()?.text("task_id") {
                    last.change(|options| options.set("task_id", &id));
                }
                let (last, result) = self.ends(last, &format!("{path}.{}", steps.len()), depth)?;
                steps.push(last);
                signature.set_kwarg("tasks", &steps)?;
                signature.change(|options| options.set("task_id", result.id()));
                Ok((signature, result))
            }
            Kind::Chord => {
                let mut body = signature.body()?.ok_or("a chord has no body")?;
                let own = signature.options()?.text("task_id");
                if let (Some(id), None) = (own, body.options()?.text("task_id")) {
                    body.change(|options| options.set("task_id", &id));
                }
                let (body, result) = self.ends(body, &format!("{path}.body"), depth)?;
                signature.set_kwarg("body", &body)?;
                Ok((signature, result))
            }
        }
    }

    /// Gives it an id, unless it has one.
    fn named(&self, signature: &mut Signature, path: &str) -> Result<TaskId, String> {
        let id = self.id_of(&signature.options()?, path)?;
        signature.change(|options| options.set("task_id", &id));
        Ok(id)
    }
}

/// The result of the last of these steps, which come one after the other.
pub(super) fn in_line(steps: &[Signature], last: Awaited) -> Result<Awaited, String> {
    let Awaited::Task { id, .. } = last else {
        return Ok(last);
    };
    let before = &steps[..steps.len().saturating_sub(1)];
    let mut parent = None;
    for step in before
        .iter()
        .skip((before.len() + 1).saturating_sub(MOST_IN_LINE))
    {
        // That of a chord is that of its body.
        let own = match step.kind()? {
            Kind::Chord => step.body()?.map(|body| body.options()).transpose()?,
            Kind::Task | Kind::Group(_) | Kind::Chain(_) => None,
        };
        let id = own.and_then(|own| own.text("task_id"));
        let Some(id) = id.or(step.options()?.text("task_id")) else {
            continue;
        };
        parent = Some(Box::new(Awaited::Task {
            id: TaskId::new(&id).map_err(|error| error.to_string())?,
            parent,
        }));
    }
    Ok(Awaited::Task { id, parent })
}
