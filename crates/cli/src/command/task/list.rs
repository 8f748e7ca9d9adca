//! `task list`

use super::filter::FilterArgs;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, words};
use crate::text::short;
use crate::when::shown;
use counterfoil_operations::tasks::{Enough, walk};
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::config::Config;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(super) async fn run(
    args: ListArgs,
    store: &dyn Store,
    config: &Config,
    output: &mut Output,
) -> Result<(), Failure> {
    // One more than is shown tells that there are more.
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let limit = limit.saturating_add(1);
    let mut rows: Vec<TaskRow> = Vec::new();
    let all = walk(store, args.filter.filter(), |row| {
        if rows.len() < limit {
            rows.push(row);
        }
        match rows.len() < limit {
            true => Enough::No,
            false => Enough::Yes,
        }
    });
    all.await?;
    if rows.is_empty() && args.filter.is_empty() {
        eprintln!(
            "no task was mirrored yet; where some were sent, `counterfoil doctor` tells whether counterfoil-sync runs"
        );
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
    output.beginning(&rows, args.limit, &columns, row)?;
    tell_if_old(store, config).await
}

/// How long the broker may take to tell whether a daemon reads.
const ASKED: Duration = Duration::from_secs(1);

/// Says so where no daemon reads what happens, or none has written for long: what happened since is not in the list.
async fn tell_if_old(store: &dyn Store, config: &Config) -> Result<(), Failure> {
    let Some(canary) = store.canaries(1).await?.pop() else {
        return Ok(());
    };
    let silent = store.clock().await? - canary.sent_at;
    // One that is late is on its way.
    let late = config.sync.canary_interval * 2;
    let is_late = silent.to_std().is_ok_and(|silent| silent > late);
    let daemons = tokio::time::timeout(ASKED, daemons(config)).await;
    if daemons == Ok(Some(0)) {
        eprintln!(
            "warning: no counterfoil-sync reads what happens, so this may be old: start it, or see `counterfoil doctor`"
        );
    } else if is_late {
        eprintln!(
            "warning: no sign of life of a counterfoil-sync since {}: where none runs, this is how it was then",
            shown(canary.sent_at)
        );
    }
    Ok(())
}

/// How many daemons read, if the broker can be asked.
async fn daemons(config: &Config) -> Option<u32> {
    if config.broker.urls.is_empty() {
        return None;
    }
    let names = config.broker.names().ok()?;
    let transport = open::broker(&config.broker).await.ok()?;
    let depth = transport.depth(&names.tracking_queue).await;
    transport.close().await;
    Some(depth.ok()??.consumers)
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
        match task.held {
            true => format!("{} paused", task.state),
            false => task.state.to_string(),
        },
        task.attempt().to_string(),
        task.creator_id.clone().unwrap_or_default(),
        about,
        task.error_message.as_deref().map_or(String::new(), short),
    ]
}
