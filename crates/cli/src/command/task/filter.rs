//! Which tasks a command is about, by what they have in common.

use crate::when::ago;
use chrono::{DateTime, Utc};
use counterfoil_store::TaskFilter;
use counterfoil_toolbox::TaskState;

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
        self.filter() == TaskFilter::default()
    }

    /// The same for the database.
    pub(super) fn filter(&self) -> TaskFilter {
        TaskFilter {
            state: self.state,
            name: self.name.clone(),
            service: self.service.clone(),
            creator: self.creator.clone(),
            identifier: self.identifier.clone(),
            related: self.related.clone(),
            root: self.root.clone(),
            since: self.since,
            ..TaskFilter::default()
        }
    }
}

fn state(text: &str) -> Result<TaskState, String> {
    let known = TaskState::ALL.map(TaskState::as_str).join(", ");
    text.parse()
        .map_err(|error| format!("{error}; those known are {known}"))
}
