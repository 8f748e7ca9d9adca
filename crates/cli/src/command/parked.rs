//! `parked`: messages that the platform could not read.

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use crate::text::{block, plain, short};
use crate::when::shown;
use counterfoil_store::ParkedFilter;
use counterfoil_store::record::ParkedRow;
use counterfoil_toolbox::config::Needs;
use serde::Serialize;

/// Most of a body that is shown to people.
const MAX_SHOWN: usize = 4096;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ParkedCommand {
    /// List them, newest first
    List {
        /// Read from this queue
        #[arg(long)]
        queue: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one, body and headers included
    Show {
        /// Id of the record, or of its task
        id: String,
    },
}

#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    row: &'a ParkedRow,
    exchange: &'a str,
    routing_key: &'a str,
    headers: serde_json::Value,
    /// The body as text; what is not UTF-8 is replaced.
    body: String,
}

pub(crate) async fn run(
    command: ParkedCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let filter = match &command {
        ParkedCommand::List { queue, limit } => ParkedFilter {
            queue: queue.clone(),
            id: None,
            limit: *limit,
        },
        ParkedCommand::Show { id } => ParkedFilter {
            id: Some(id.clone()),
            ..ParkedFilter::default()
        },
    };
    let store = open::database(&config).await?;
    let parked = store.parked(&filter).await?;
    store.close().await;
    if let ParkedCommand::Show { id } = command {
        if parked.is_empty() {
            return Err(
                Failure::failed(format!("nothing is parked under the id {id:?}"))
                    .remedy("see `counterfoil parked list`"),
            );
        }
        return parked.iter().try_for_each(|row| show(row, output));
    }
    let columns = [
        words("PARKED"),
        words("ID"),
        words("QUEUE"),
        words("TASK ID"),
        numbers("BYTES"),
        numbers("TIMES"),
        words("REASON"),
    ];
    output.list(&parked, &columns, |row| {
        vec![
            shown(row.parked_at),
            row.id.to_string(),
            row.queue.clone(),
            row.task_id.clone().unwrap_or_default(),
            row.body_bytes.to_string(),
            row.times.to_string(),
            short(&row.reason),
        ]
    })
}

fn show(row: &ParkedRow, output: &mut Output) -> Result<(), Failure> {
    let message = &row.message;
    let headers = message.content.headers.iter();
    let headers: serde_json::Map<_, _> = headers
        .map(|(name, value)| (name.to_owned(), value.to_json()))
        .collect();
    let body = String::from_utf8_lossy(&message.content.body);
    if output.is_json() {
        return output.document(&Whole {
            row,
            exchange: &message.exchange,
            routing_key: &message.routing_key,
            headers: headers.into(),
            body: body.into_owned(),
        });
    }
    let facts = [
        ("id", row.id.to_string()),
        ("queue", row.queue.clone()),
        ("reason", row.reason.clone()),
        ("parked", shown(row.parked_at)),
        ("times", row.times.to_string()),
        ("task id", row.task_id.clone().unwrap_or_default()),
        ("name", row.name.clone().unwrap_or_default()),
        ("exchange", message.exchange.to_string()),
        ("routing key", message.routing_key.to_string()),
        ("headers", serde_json::Value::from(headers).to_string()),
        ("bytes", row.body_bytes.to_string()),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        output.line(format_args!("{name:<12} {}", plain(value)))?;
    }
    let cut = body.chars().take(MAX_SHOWN).collect::<String>();
    output.line(format_args!("body\n{}", block(&cut)))
}
