//! The family of a task, as a tree: what a task sent stands under it.

use crate::app::App;
use crate::page::overview::counted;
use crate::page::tasks::Row;
use crate::trouble::Trouble;
use counterfoil_store::TaskFilter;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::TaskId;
use std::collections::{HashMap, HashSet};

/// Members that are shown, the first ones.
const SHOWN: u32 = 200;

/// Generations that are set apart by their indent: further ones would run off narrow screens, and say which they are.
const INDENTED: usize = 8;

/// What is shown of a family.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Public id of the task that sent the one of the page, once there is a row of it.
    pub(super) parent: Option<String>,
    /// Nobody where the task is alone.
    pub(super) members: Vec<Member>,
    /// How many there are, where not all are shown.
    pub(super) of: Option<String>,
}

/// A task in the tree, in the order of a walk that goes down first.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) row: Row,
    /// Whether it is the one that the page is about.
    pub(super) is_this: bool,
    /// Whether another task sent it that is not shown.
    pub(super) is_apart: bool,
    /// Which generation it is, where its indent does not tell.
    pub(super) generation: Option<usize>,
    /// Whether those that it sent follow.
    pub(super) opens: bool,
    /// How many lists end after it.
    pub(super) closes: Vec<()>,
}

impl Family {
    /// The family of `task`: its first members, the task and the one that sent it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn of(app: &App, task: &TaskRow) -> Result<Self, Trouble> {
        let root = task.root_id.as_deref().unwrap_or(task.task_id.as_str());
        // Anybody may claim any root, and any parent.
        let Ok(root) = TaskId::new(root) else {
            return Ok(Self::default());
        };
        let part = app.store.first_of_family(&root, SHOWN).await?;
        let mut rows = part.rows;
        let parent = task.parent_id.as_deref();
        let parent = parent.and_then(|id| TaskId::new(id).ok());
        let is_shown = |rows: &[TaskRow], id: &TaskId| rows.iter().any(|row| row.task_id == *id);
        if let Some(parent) = parent.as_ref().filter(|id| !is_shown(&rows, id)) {
            let found = app.store.tasks_with_ids(std::slice::from_ref(parent));
            rows.extend(found.await?);
        }
        if !is_shown(&rows, &task.task_id) {
            rows.push(task.clone());
        }
        let of_parent = rows
            .iter()
            .find(|row| Some(&row.task_id) == parent.as_ref());
        let parent = of_parent.map(|row| row.id.clone());
        let of = match part.has_more {
            true => {
                let all = TaskFilter {
                    root: Some(root.to_string()),
                    ..TaskFilter::default()
                };
                Some(counted(app.store.count_tasks(&all).await?))
            }
            false => None,
        };
        let members = match rows.len() {
            ..2 => Vec::new(),
            2.. => members(&rows, app, task),
        };
        Ok(Self {
            parent,
            members,
            of,
        })
    }

    /// How many are shown.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

fn members(rows: &[TaskRow], app: &App, task: &TaskRow) -> Vec<Member> {
    let parents: Vec<_> = rows
        .iter()
        .map(|row| (row.task_id.as_str(), row.parent_id.as_deref()))
        .collect();
    let walk = walk(&parents);
    let mut members = Vec::with_capacity(walk.len());
    for (step, &(place, depth)) in walk.iter().enumerate() {
        let next = walk.get(step + 1).map_or(0, |(_, depth)| *depth);
        let row = &rows[place];
        members.push(Member {
            row: Row::of(row, &app.mask),
            is_this: row.id == task.id,
            is_apart: depth == 0 && row.parent_id.is_some(),
            generation: (depth > INDENTED).then_some(depth + 1),
            opens: next > depth,
            closes: vec![(); depth.saturating_sub(next)],
        });
    }
    members
}

/// Places of tasks, and how many others each stands under: whoever was sent by another follows it. Each task is told by
/// its id and that of its parent. Pure.
fn walk(tasks: &[(&str, Option<&str>)]) -> Vec<(usize, usize)> {
    let places: HashMap<&str, usize> = tasks
        .iter()
        .enumerate()
        .map(|(place, (id, _))| (*id, place))
        .collect();
    let parent = |place: usize| places.get(tasks[place].1?).copied();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    for place in 0..tasks.len() {
        if let Some(parent) = parent(place) {
            children.entry(parent).or_default().push(place);
        }
    }
    let (mut walk, mut seen) = (Vec::with_capacity(tasks.len()), HashSet::new());
    let tops = (0..tasks.len()).filter(|place| parent(*place).is_none());
    // Where tasks claim to have sent each other, nobody is at the top: whichever comes first is.
    for top in tops.chain(0..tasks.len()) {
        let mut next = vec![(top, 0)];
        while let Some((place, depth)) = next.pop() {
            if !seen.insert(place) {
                continue;
            }
            walk.push((place, depth));
            let below = children.get(&place).into_iter().flatten().rev();
            next.extend(below.map(|child| (*child, depth + 1)));
        }
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_sent_by_another_stands_under_it_in_the_order_of_sending() {
        let tasks = [
            ("root", None),
            ("a", Some("root")),
            ("b", Some("root")),
            ("a1", Some("a")),
            ("stray", Some("unknown")),
            ("a2", Some("a")),
        ];
        let expected = [(0, 0), (1, 1), (3, 2), (5, 2), (2, 1), (4, 0)];
        assert_eq!(walk(&tasks), expected);
    }

    #[test]
    fn tasks_that_claim_to_have_sent_each_other_are_shown_once() {
        let tasks = [
            ("a", Some("b")),
            ("b", Some("a")),
            ("self", Some("self")),
            ("under", Some("a")),
        ];
        assert_eq!(walk(&tasks), [(0, 0), (1, 1), (3, 1), (2, 0)]);
    }

    #[test]
    fn a_long_line_of_tasks_needs_no_stack() {
        let ids: Vec<String> = (0..50_000).map(|n: u32| n.to_string()).collect();
        let ids = ids.iter().map(String::as_str);
        let parents = std::iter::once(None).chain(ids.clone().map(Some));
        let tasks: Vec<_> = ids.zip(parents).collect();
        assert_eq!(walk(&tasks).last(), Some(&(49_999, 49_999)));
    }
}
