//! Which tasks a command is about, by what they have in common.

use crate::failure::Failure;
use crate::when::ago;
use chrono::{DateTime, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Cursor, Store, TaskFilter};
use counterfoil_toolbox::TaskState;

/// Rows that are read at a time.
const PAGE: u32 = 500;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FilterArgs {
    /// In this state, for example FAILURE
    #[arg(long, value_parser = state)]
    state: Option<TaskState>,
    /// Of this type, for example export.project
    #[arg(long, alias = "type")]
    name: Option<String>,
    /// Owned by this service
    #[arg(long)]
    service: Option<String>,
    /// Wanted by this user
    #[arg(long)]
    creator: Option<String>,
    /// With this identifier, which is unique among the living tasks of one type
    #[arg(long, value_name = "I", requires = "name")]
    identifier: Option<String>,
    /// About this object
    #[arg(long, value_name = "TYPE:ID", value_parser = crate::command::send::related)]
    related: Option<(String, String)>,
    /// In the family of this task
    #[arg(long, value_name = "ID")]
    root: Option<String>,
    /// Sent since this time (or so long ago: 2h)
    #[arg(long, value_name = "T", value_parser = ago)]
    since: Option<DateTime<Utc>>,
}

impl FilterArgs {
    /// Whether all tasks match.
    pub(crate) fn is_empty(&self) -> bool {
        let filter = self.filter();
        filter
            == TaskFilter {
                limit: filter.limit,
                ..TaskFilter::default()
            }
    }

    fn filter(&self) -> TaskFilter {
        TaskFilter {
            state: self.state,
            name: self.name.clone(),
            service: self.service.clone(),
            creator: self.creator.clone(),
            identifier: self.identifier.clone(),
            related: self.related.clone(),
            root: self.root.clone(),
            since: self.since,
            limit: PAGE,
            ..TaskFilter::default()
        }
    }

    /// Goes through all tasks that match, newest first, until `each` has seen enough.
    pub(crate) async fn walk(
        &self,
        store: &dyn Store,
        each: impl FnMut(TaskRow) -> Enough,
    ) -> Result<(), Failure> {
        let mut filter = self.filter();
        if let Some(id) = &mut filter.root
            && let Some(member) = store.task(id).await?
        {
            *id = member.root_id.unwrap_or_else(|| member.task_id.to_string());
        }
        walk(store, filter, each).await
    }
}

/// Goes through all tasks that match, newest first, until `each` has seen enough.
pub(super) async fn walk(
    store: &dyn Store,
    mut filter: TaskFilter,
    mut each: impl FnMut(TaskRow) -> Enough,
) -> Result<(), Failure> {
    filter.limit = PAGE;
    loop {
        let page = store.tasks(&filter).await?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        filter.after = page.last().map(Cursor::after);
        for row in page {
            if each(row) == Enough::Yes {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Whether a walk is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    Yes,
    No,
}

fn state(text: &str) -> Result<TaskState, String> {
    let known = TaskState::ALL.map(TaskState::as_str).join(", ");
    text.parse()
        .map_err(|error| format!("{error}; those known are {known}"))
}
