//! `dead`: tasks that will not run again by themselves.

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, words};
use crate::text::short;
use crate::when::shown;
use counterfoil_store::DeadFilter;
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::names::ServiceName;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum DeadCommand {
    /// List the dead of a service, newest first
    List {
        service: ServiceName,
        /// Of this task, or the record with this id
        #[arg(long)]
        id: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
}

pub(crate) async fn run(
    command: DeadCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let DeadCommand::List { service, id, limit } = command;
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    let filter = DeadFilter {
        service: Some(service.to_string()),
        id,
        limit,
    };
    let dead = store.dead(&filter).await?;
    if dead.is_empty() {
        let known = store.services().await?;
        if !known.iter().any(|known| *known == *service.as_str()) {
            let known = match known.is_empty() {
                true => "no task of any was mirrored yet".to_owned(),
                false => format!("those known are {}", known.join(", ")),
            };
            eprintln!("no task of a service {service} was ever mirrored; {known}");
        }
    }
    store.close().await;
    let columns = [
        words("DIED"),
        words("TASK ID"),
        words("NAME"),
        words("ATTEMPT"),
        words("REASON"),
        words("WHY"),
    ];
    output.list(&dead, &columns, |row| {
        vec![
            shown(row.died_at),
            row.task_id.clone().unwrap_or_default(),
            row.name.clone().unwrap_or_default(),
            row.attempt.clone(),
            row.reason.clone(),
            row.reason_text.as_deref().map_or(String::new(), short),
        ]
    })
}
