//! `task list`

use crate::failure::Failure;
use crate::output::{Output, words};
use crate::text::short;
use crate::when::{ago, shown};
use chrono::{DateTime, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Cursor, Store, TaskFilter};
use counterfoil_toolbox::TaskState;

/// Rows that are read at a time.
const PAGE: u32 = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// In this state, for example FAILURE
    #[arg(long, value_parser = state)]
    state: Option<TaskState>,
    /// Of this type, for example export.project
    #[arg(long)]
    name: Option<String>,
    /// Owned by this service
    #[arg(long)]
    service: Option<String>,
    /// Wanted by this user
    #[arg(long)]
    creator: Option<String>,
    /// About this object
    #[arg(long, value_name = "TYPE:ID", value_parser = crate::command::send::related)]
    related: Option<(String, String)>,
    /// In the family of this task (task id)
    #[arg(long, value_name = "ID")]
    root: Option<String>,
    /// Sent since this time (or so long ago: 2h)
    #[arg(long, value_name = "T", value_parser = ago)]
    since: Option<DateTime<Utc>>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(super) async fn run(
    args: ListArgs,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut filter = TaskFilter {
        state: args.state,
        name: args.name,
        service: args.service,
        creator: args.creator,
        related: args.related,
        root: args.root,
        since: args.since,
        after: None,
        limit: PAGE,
    };
    let mut rows: Vec<TaskRow> = Vec::new();
    let mut left = args.limit;
    while left > 0 {
        filter.limit = left.min(PAGE);
        let page = store.tasks(&filter).await?;
        let read = u32::try_from(page.len()).unwrap_or(u32::MAX);
        filter.after = page.last().map(Cursor::after);
        rows.extend(page);
        left = match read < filter.limit {
            true => 0,
            false => left.saturating_sub(read),
        };
    }
    let columns = [
        words("CREATED"),
        words("ID"),
        words("NAME"),
        words("STATE"),
        words("ATTEMPT"),
        words("CREATOR"),
        words("ABOUT"),
        words("ERROR"),
    ];
    output.list(&rows, &columns, row)
}

fn state(text: &str) -> Result<TaskState, String> {
    let known = TaskState::ALL.map(TaskState::as_str).join(", ");
    text.parse()
        .map_err(|error| format!("{error}; those known are {known}"))
}

fn row(task: &TaskRow) -> Vec<String> {
    let about = match (&task.related_content_type, &task.related_object_id) {
        (Some(kind), Some(id)) => format!("{kind}:{id}"),
        _ => String::new(),
    };
    vec![
        shown(task.created_date),
        task.id.clone(),
        task.name.clone(),
        task.state.to_string(),
        task.attempt().to_string(),
        task.creator_id.clone().unwrap_or_default(),
        about,
        task.error_message.as_deref().map_or(String::new(), short),
    ]
}
