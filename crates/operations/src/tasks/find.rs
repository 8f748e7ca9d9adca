//! Which tasks something is to be done to.

use super::action::Action;
use crate::error::OperationError;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Cursor, Store, TaskFilter};
use counterfoil_toolbox::ids::TaskId;
use std::collections::{BTreeMap, HashSet};

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Tasks that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those to which it can be done, as they were when they were looked at.
    pub ids: Vec<TaskId>,
    /// Ids that are nobody's.
    pub unknown: Vec<String>,
    /// Why it cannot be done to others that match, and to how many for each reason.
    pub left_out: BTreeMap<String, usize>,
}

impl Found {
    /// How many match to which it cannot be done.
    #[must_use]
    pub fn count_left_out(&self) -> usize {
        self.left_out.values().sum()
    }
}

/// Whether a walk is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// What was looked for is found.
    Yes,
    /// It goes on.
    No,
}

/// The tasks with these public ids or task ids, each once, whatever can be done to them.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn named(store: &dyn Store, ids: &[String]) -> Result<Found, OperationError> {
    let (mut found, mut seen) = (Found::default(), HashSet::new());
    for id in ids {
        match store.task(id).await? {
            Some(task) if seen.insert(task.task_id.clone()) => found.ids.push(task.task_id),
            Some(_) => {}
            None => found.unknown.push(id.clone()),
        }
    }
    Ok(found)
}

/// The tasks that match (see [`walk`]) and to which `action` can be done, newest first and at most `limit`, and how
/// many match to which it cannot.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn matching(
    action: &impl Action,
    store: &dyn Store,
    filter: TaskFilter,
    limit: usize,
) -> Result<Found, OperationError> {
    among(action, store, filter, (limit, usize::MAX)).await
}

/// The same of the newest `looked` that match alone: quick, however many there are.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn newest_matching(
    action: &impl Action,
    store: &dyn Store,
    filter: TaskFilter,
    looked: usize,
) -> Result<Found, OperationError> {
    among(action, store, filter, (usize::MAX, looked)).await
}

async fn among(
    action: &impl Action,
    store: &dyn Store,
    filter: TaskFilter,
    (limit, looked): (usize, usize),
) -> Result<Found, OperationError> {
    let (mut found, mut seen) = (Found::default(), 0);
    let all = walk(store, filter, |task| {
        if found.ids.len() >= limit || seen >= looked {
            return Enough::Yes;
        }
        seen += 1;
        match action.objection(&task) {
            None => found.ids.push(task.task_id),
            Some(objection) => *found.left_out.entry(objection.why).or_default() += 1,
        }
        Enough::No
    });
    all.await?;
    Ok(found)
}

/// Goes through all tasks that match, newest first, until `each` has seen enough. The filter's `root` may name any
/// member of the family that is meant, and its `limit` does not count.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn walk(
    store: &dyn Store,
    mut filter: TaskFilter,
    each: impl FnMut(TaskRow) -> Enough,
) -> Result<(), OperationError> {
    if let Some(id) = &mut filter.root
        && let Some(member) = store.task(id).await?
    {
        *id = member.root_id.unwrap_or_else(|| member.task_id.to_string());
    }
    pages(store, filter, each).await
}

/// The same, where `root` is the first task of a family.
pub(super) async fn pages(
    store: &dyn Store,
    mut filter: TaskFilter,
    mut each: impl FnMut(TaskRow) -> Enough,
) -> Result<(), OperationError> {
    let mut is_last = false;
    while !is_last {
        let page;
        (page, is_last) = next_page(store, &mut filter).await?;
        for row in page {
            if each(row) == Enough::Yes {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Some hundred tasks that match, and whether those are the last. Moves the filter behind them.
pub(super) async fn next_page(
    store: &dyn Store,
    filter: &mut TaskFilter,
) -> Result<(Vec<TaskRow>, bool), OperationError> {
    filter.limit = PAGE;
    let page = store.tasks(filter).await?;
    let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
    filter.after = page.last().map(Cursor::after);
    Ok((page, is_last))
}
