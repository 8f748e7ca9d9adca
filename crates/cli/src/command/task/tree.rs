//! `task tree`: who scheduled whom.

use crate::failure::Failure;
use crate::output::Output;
use crate::text::{plain, short};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Cursor, Store, TaskFilter, family_status};
use counterfoil_toolbox::{TaskId, TaskState};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Generations that are set apart by their indent; further ones would run off every screen.
const INDENTED: usize = 30;

#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(super) id: super::Id,
    /// Show at most so many tasks
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

pub(super) async fn run(
    args: &TreeArgs,
    task: &TaskRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let root = task.root_id.as_deref().unwrap_or(task.task_id.as_str());
    let tasks = family(store, root).await?;
    let mut walk = Walk::new(root, &tasks);
    if !walk.has_root && !output.is_json() {
        output.line(format_args!("{} (not mirrored)", plain(root)))?;
    }
    let mut shown = 0;
    while shown < args.limit {
        let Some(place) = walk.next() else { break };
        match output.is_json() {
            true => output.document(&place.document())?,
            false => output.line(place.line(&walk.is_last))?,
        }
        shown += 1;
    }
    match tasks.len() - shown {
        0 => {}
        more if output.is_json() => output.document(&json!({ "not_shown": more }))?,
        more => output.line(format_args!("… {more} more are not shown: see --limit"))?,
    }
    whole(root, &tasks, store, output).await
}

/// What holds of the family as a whole: its state, how many are in which, its results.
async fn whole(
    root: &str,
    tasks: &[Member],
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let status = family_status(tasks.iter().map(|member| member.state));
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for member in tasks {
        *states.entry(member.state.as_str()).or_default() += 1;
    }
    let results = match TaskId::new(root) {
        Ok(root) => store.family_results(&root).await?,
        // Anybody may claim any root.
        Err(_) => Vec::new(),
    };
    if output.is_json() {
        let family = json!({ "status": status, "states": states, "results": results });
        return output.document(&json!({ "family": family }));
    }
    if let Some(status) = status {
        let states = states
            .iter()
            .map(|(state, count)| format!("{count} {state}"));
        let states: Vec<String> = states.collect();
        output.line(format_args!("family: {status} ({})", states.join(", ")))?;
    }
    for result in results {
        let value = result
            .result
            .map_or("-".to_owned(), |value| short(value.get()));
        output.line(format_args!(
            "result of {}: {} {value}",
            result.task_id, result.status
        ))?;
    }
    Ok(())
}

/// What is shown of a task: families can be large, so nothing else of them is kept.
#[derive(Debug, Serialize)]
struct Member {
    id: String,
    task_id: String,
    #[serde(rename = "type")]
    name: String,
    state: TaskState,
    parent_id: Option<String>,
    error_message: Option<String>,
}

impl From<TaskRow> for Member {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id.to_string(),
            name: row.name,
            state: row.state,
            parent_id: row.parent_id,
            error_message: row.error_message,
        }
    }
}

/// All tasks with this root, oldest first.
async fn family(store: &dyn Store, root: &str) -> Result<Vec<Member>, Failure> {
    let mut filter = TaskFilter {
        root: Some(root.to_owned()),
        limit: PAGE,
        ..TaskFilter::default()
    };
    let mut members = Vec::new();
    loop {
        let page = store.tasks(&filter).await?;
        filter.after = page.last().map(Cursor::after);
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        members.extend(page.into_iter().map(Member::from));
        if is_last {
            members.reverse();
            return Ok(members);
        }
    }
}

/// Goes through a family, parents before their children, without recursion: a chain of tasks may
/// have any length.
struct Walk<'a> {
    members: std::slice::Iter<'a, Member>,
    children: HashMap<&'a str, Vec<&'a Member>>,
    /// Ids are made by anybody: a family may claim to be a circle.
    seen: HashSet<&'a str>,
    /// Those still to come, the next one last, with their generations.
    ahead: Vec<(usize, &'a Member)>,
    /// For each generation above the current task, whether its last child was reached.
    is_last: Vec<bool>,
    /// Whether the root is among the tasks.
    has_root: bool,
}

/// One task at its place.
struct Place<'a> {
    member: &'a Member,
    generation: usize,
}

impl<'a> Walk<'a> {
    fn new(root: &'a str, members: &'a [Member]) -> Self {
        let known: HashSet<_> = members.iter().map(|m| m.task_id.as_str()).collect();
        let mut children: HashMap<&str, Vec<&Member>> = HashMap::new();
        for member in members.iter().filter(|m| m.task_id != root) {
            match member.parent_id.as_deref() {
                Some(parent) if known.contains(parent) => {
                    children.entry(parent).or_default().push(member);
                }
                // Its parent was not mirrored, or is gone: the root is the next that is known.
                _ => children.entry(root).or_default().push(member),
            }
        }
        let own = members.iter().find(|m| m.task_id == root);
        let mut walk = Self {
            members: members.iter(),
            children,
            seen: HashSet::from([root]),
            ahead: own.map(|own| (0, own)).into_iter().collect(),
            is_last: Vec::new(),
            has_root: own.is_some(),
        };
        if own.is_none() {
            walk.descend(root, 1);
        }
        walk
    }

    /// Puts the children of `parent` next.
    fn descend(&mut self, parent: &str, generation: usize) {
        let children = self.children.remove(parent).unwrap_or_default();
        for child in children.into_iter().rev() {
            if self.seen.insert(&child.task_id) {
                self.ahead.push((generation, child));
            }
        }
    }

    fn next(&mut self) -> Option<Place<'a>> {
        let (generation, member) = self.ahead.pop().or_else(|| self.stray())?;
        let is_last = self.ahead.last().is_none_or(|(next, _)| *next < generation);
        self.is_last.truncate(generation.saturating_sub(1));
        if generation > 0 {
            self.is_last.push(is_last);
        }
        self.descend(&member.task_id, generation + 1);
        Some(Place { member, generation })
    }

    /// One that no way leads to from the root: it claims to be its own ancestor.
    fn stray(&mut self) -> Option<(usize, &'a Member)> {
        let stray = self.members.find(|m| self.seen.insert(&m.task_id))?;
        Some((1, stray))
    }
}

impl Place<'_> {
    /// One line, behind branches that lead to it.
    fn line(&self, is_last: &[bool]) -> String {
        let mut line = String::new();
        let (own, above) = match is_last.split_last() {
            Some((own, above)) => (Some(own), above),
            None => (None, is_last),
        };
        for above in above.iter().take(INDENTED) {
            line.push_str(if *above { "   " } else { "│  " });
        }
        if above.len() > INDENTED {
            line.push_str(&format!("… {}: ", self.generation));
        }
        line.push_str(match own {
            Some(true) => "└─ ",
            Some(false) => "├─ ",
            None => "",
        });
        let Member {
            id, name, state, ..
        } = self.member;
        line.push_str(&format!("{}  {state}  {id}", plain(name)));
        if let Some(error) = &self.member.error_message {
            line.push_str(&format!("  {}", plain(error)));
        }
        line
    }

    fn document(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            member: &'a Member,
            generation: usize,
        }
        Document {
            member: self.member,
            generation: self.generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, parent: Option<&str>) -> Member {
        Member {
            id: id.to_owned(),
            task_id: id.to_owned(),
            name: "demo.tree".to_owned(),
            state: TaskState::Success,
            parent_id: parent.map(str::to_owned),
            error_message: None,
        }
    }

    fn drawn(root: &str, members: &[Member]) -> Vec<String> {
        let mut walk = Walk::new(root, members);
        let lines = std::iter::from_fn(|| {
            let place = walk.next()?;
            Some(
                place
                    .line(&walk.is_last)
                    .replace("demo.tree  SUCCESS  ", ""),
            )
        });
        lines.collect()
    }

    #[test]
    fn children_are_drawn_below_their_parents_and_strays_below_the_root() {
        let family = [
            member("root", None),
            member("a", Some("root")),
            member("b", Some("root")),
            member("c", Some("gone")),
            member("a1", Some("a")),
            member("a2", Some("a")),
            member("b1", Some("b")),
        ];
        let wanted = [
            "root",
            "├─ a",
            "│  ├─ a1",
            "│  └─ a2",
            "├─ b",
            "│  └─ b1",
            "└─ c",
        ];
        assert_eq!(drawn("root", &family), wanted);
        // The root was not mirrored.
        let wanted: Vec<_> = wanted[1..].to_vec();
        assert_eq!(drawn("root", &family[1..]), wanted);
    }

    #[test]
    fn a_circle_is_shown_once() {
        let family = [
            member("root", Some("root")),
            member("a", Some("b")),
            member("b", Some("a")),
            member("c", Some("c")),
        ];
        let mut lines = drawn("root", &family);
        assert_eq!(lines.len(), 4, "{lines:?}");
        lines.truncate(3);
        assert_eq!(lines, ["root", "└─ a", "   └─ b"]);
    }

    #[test]
    fn ten_thousand_generations_need_no_more_stack_and_no_wider_lines_than_fifty() {
        let id = |n: usize| format!("t{n}");
        let chain = (0..10_000).map(|n| member(&id(n), (n > 0).then(|| id(n - 1)).as_deref()));
        let chain: Vec<_> = chain.collect();
        let lines = drawn("t0", &chain);
        assert_eq!(lines.len(), 10_000);
        assert!(
            lines[9_999].ends_with("… 9999: └─ t9999"),
            "{}",
            lines[9_999]
        );
        assert!(lines.iter().all(|line| line.chars().count() < 120));
    }
}
