//! `task tree`: who scheduled whom.

use crate::failure::Failure;
use crate::output::Output;
use crate::text::plain;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::ids::TaskId;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

pub(super) async fn run(
    task: &TaskRow,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let root = match &task.root_id {
        Some(root) => TaskId::new(root)?,
        None => task.task_id.clone(),
    };
    let rows = store.family(&root).await?;
    let family = Family::new(&rows);
    if output.is_json() {
        return output.document(&family.document(root.as_str()));
    }
    family
        .lines(root.as_str())
        .iter()
        .try_for_each(|line| output.line(line))
}

/// The tasks of a family, by parent.
struct Family<'a> {
    by_id: HashMap<&'a str, &'a TaskRow>,
    children: HashMap<&'a str, Vec<&'a TaskRow>>,
    /// Tasks whose parent is not among them: it was not mirrored, or is gone.
    strays: Vec<&'a TaskRow>,
}

impl<'a> Family<'a> {
    fn new(rows: &'a [TaskRow]) -> Self {
        let by_id: HashMap<_, _> = rows.iter().map(|row| (row.task_id.as_str(), row)).collect();
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        let mut strays = Vec::new();
        for row in rows {
            match row.parent_id.as_deref() {
                Some(parent) if by_id.contains_key(parent) => {
                    children.entry(parent).or_default().push(row);
                }
                _ => strays.push(row),
            }
        }
        Self {
            by_id,
            children,
            strays,
        }
    }

    fn children(&self, id: &str) -> &[&'a TaskRow] {
        self.children.get(id).map_or(&[], Vec::as_slice)
    }

    /// Strays of the tree of `root`; the root itself has no parent here either.
    fn strays<'s>(&'s self, root: &'s str) -> impl Iterator<Item = &'a TaskRow> + use<'a, 's> {
        let strays = self.strays.iter().copied();
        strays.filter(move |row| row.task_id.as_str() != root)
    }

    /// The tree as text, one line per task.
    fn lines(&self, root: &str) -> Vec<String> {
        let mut lines = Vec::new();
        // Ids are made by anybody: a family may claim to be a circle.
        let mut seen = HashSet::new();
        match self.by_id.get(root) {
            Some(row) => lines.push(label(row)),
            None => lines.push(format!("{} (not mirrored)", plain(root))),
        }
        seen.insert(root);
        let top: Vec<_> = self
            .children(root)
            .iter()
            .copied()
            .chain(self.strays(root))
            .collect();
        self.branches(&top, "", &mut seen, &mut lines);
        lines
    }

    fn branches(
        &self,
        rows: &[&'a TaskRow],
        indent: &str,
        seen: &mut HashSet<&'a str>,
        lines: &mut Vec<String>,
    ) {
        let fresh: Vec<_> = rows
            .iter()
            .filter(|row| seen.insert(row.task_id.as_str()))
            .collect();
        for (index, row) in fresh.iter().enumerate() {
            let (branch, below) = match index + 1 == fresh.len() {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            lines.push(format!("{indent}{branch}{}", label(row)));
            let children = self.children(row.task_id.as_str());
            self.branches(children, &format!("{indent}{below}"), seen, lines);
        }
    }

    /// The tree as nested documents.
    fn document(&self, root: &str) -> Value {
        let mut seen = HashSet::from([root]);
        let top: Vec<_> = self
            .children(root)
            .iter()
            .copied()
            .chain(self.strays(root))
            .collect();
        let children = self.documents(&top, &mut seen);
        let mut document = match self.by_id.get(root) {
            Some(row) => facts(row),
            None => json!({"id": null, "task_id": root, "type": null, "state": null}),
        };
        document["children"] = children;
        document
    }

    fn documents<'s>(&'s self, rows: &[&'s TaskRow], seen: &mut HashSet<&'s str>) -> Value {
        let mut documents = Vec::new();
        for row in rows {
            if seen.insert(row.task_id.as_str()) {
                let mut document = facts(row);
                document["children"] = self.documents(self.children(row.task_id.as_str()), seen);
                documents.push(document);
            }
        }
        documents.into()
    }
}

fn facts(row: &TaskRow) -> Value {
    json!({"id": row.id, "task_id": row.task_id, "type": row.name, "state": row.state})
}

fn label(row: &TaskRow) -> String {
    let error = row
        .error_message
        .as_ref()
        .map_or(String::new(), |e| format!("  {}", plain(e)));
    format!("{}  {}  {}{error}", plain(&row.name), row.state, row.id)
}
