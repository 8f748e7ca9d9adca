//! What a chain or group consists of, once those within it are taken apart.

use super::budget::{Budget, MOST};
use super::call::MAX_DEPTH;
use super::signature::{Kind, Signature};

/// Most steps of a chain: each group among them repeats what comes after it.
const MOST_STEPS: usize = 1000;

/// The members of a group, those of groups within it among them.
pub(super) fn flat(members: Vec<Signature>, budget: &mut Budget) -> Result<Vec<Signature>, String> {
    let mut all = Vec::new();
    let mut left = members;
    left.reverse();
    while let Some(member) = left.pop() {
        budget.copy(member.size())?;
        match member.kind()? {
            Kind::Group(within) => left.extend(within.into_iter().rev()),
            Kind::Chain(steps) if steps.is_empty() => {}
            Kind::Task | Kind::Chain(_) | Kind::Chord => all.push(member),
        }
        if all.len() > MOST {
            return Err(format!(
                "a group has more than {MOST} tasks that follow: use a session"
            ));
        }
    }
    Ok(all)
}

/// The steps of a chain, chains within it spliced in. A group with a step after it is the header of a chord, and that
/// step its body.
pub(super) fn in_order(
    steps: Vec<Signature>,
    budget: &mut Budget,
) -> Result<Vec<Signature>, String> {
    with_chords(spliced(steps, budget)?, budget)
}

/// The steps of a chain, those of chains within it among them.
pub(super) fn spliced(
    steps: Vec<Signature>,
    budget: &mut Budget,
) -> Result<Vec<Signature>, String> {
    let mut all = Vec::new();
    splice(steps, MAX_DEPTH, &mut all, budget)?;
    Ok(all)
}

fn splice(
    steps: Vec<Signature>,
    depth: usize,
    all: &mut Vec<Signature>,
    budget: &mut Budget,
) -> Result<(), String> {
    for step in steps {
        budget.copy(step.size())?;
        match step.kind()? {
            Kind::Chain(_) if depth == 0 => {
                return Err(format!(
                    "chains are more than {MAX_DEPTH} deep in each other"
                ));
            }
            Kind::Chain(within) => splice(within, depth - 1, all, budget)?,
            Kind::Task | Kind::Group(_) | Kind::Chord => all.push(step),
        }
        if all.len() > MOST_STEPS {
            return Err(format!("a chain has more than {MOST_STEPS} steps"));
        }
    }
    Ok(())
}

/// Of a group of one member with a step after it there is that member, and of none there is nothing.
fn with_chords(steps: Vec<Signature>, budget: &mut Budget) -> Result<Vec<Signature>, String> {
    let mut all: Vec<Signature> = Vec::with_capacity(steps.len());
    for step in steps.into_iter().rev() {
        budget.copy(step.size())?;
        match (step.kind()?, all.pop()) {
            (Kind::Group(members), Some(after)) => {
                let mut members = flat(members, budget)?;
                match members.len() {
                    0 => all.push(after),
                    1 => all.extend([after, members.remove(0)]),
                    _ => {
                        budget.copy(step.size() + after.size())?;
                        all.push(Signature::chord_of(&step, &after));
                    }
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
