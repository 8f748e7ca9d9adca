//! `session list`

use crate::failure::Failure;
use crate::output::{Output, numbers, words};
use crate::text::plain;
use crate::when::{ago, shown};
use chrono::{DateTime, Utc};
use counterfoil_store::{SessionFilter, SessionRow, Store};
use counterfoil_toolbox::session::SessionStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// With this status, for example TIMED_OUT
    #[arg(long, value_parser = status)]
    status: Option<SessionStatus>,
    /// For this action
    #[arg(long)]
    action: Option<String>,
    /// Only those that are not over
    #[arg(long)]
    open: bool,
    /// Opened since this time (or so long ago: 2h)
    #[arg(long, value_name = "T", value_parser = ago)]
    since: Option<DateTime<Utc>>,
    /// At most so many, up to 10,000
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

fn status(text: &str) -> Result<SessionStatus, String> {
    text.parse().map_err(|_| {
        let names = SessionStatus::ALL.map(SessionStatus::as_str);
        format!("no status has this name; there are {}", names.join(", "))
    })
}

pub(super) async fn run(
    args: ListArgs,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let limit = args.limit.max(1);
    let filter = SessionFilter {
        status: args.status,
        action: args.action,
        open: args.open,
        since: args.since,
        limit: limit.saturating_add(1),
        ..SessionFilter::default()
    };
    let rows = store.sessions(&filter).await?;
    let columns = [
        words("STARTED"),
        words("ID"),
        words("ACTION"),
        words("STATUS"),
        numbers("PROGRESS"),
        numbers("TOTAL"),
        numbers("SUCCEEDED"),
        numbers("FAILED"),
        numbers("REVOKED"),
        numbers("SKIPPED"),
        numbers("RETRIED"),
        words("ABORTED BY"),
    ];
    output.beginning(&rows, limit, &columns, row)
}

fn row(session: &SessionRow) -> Vec<String> {
    vec![
        shown(session.started_at),
        session.id.to_string(),
        session.action.clone(),
        session.status.to_string(),
        format!("{} %", session.progress()),
        session.total.to_string(),
        session.succeeded.to_string(),
        session.failed.to_string(),
        session.revoked.to_string(),
        session.skipped.to_string(),
        (session.retried_counted + session.retried_uncounted).to_string(),
        plain(session.aborted_by.as_deref().unwrap_or_default()),
    ]
}
