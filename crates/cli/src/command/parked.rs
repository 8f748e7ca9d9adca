//! `parked`: messages that the platform could not read.

use crate::args::Global;
use crate::each::{Each, mode};
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use crate::text::{beginning, block, short};
use crate::when::shown;
use counterfoil_operations::parked::{Fate, Reading, find, subject};
use counterfoil_operations::{Mode, Outcome, Told};
use counterfoil_store::record::ParkedRow;
use counterfoil_store::{ParkedFilter, Store};
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
    /// Let the platform read them once more, with the exchange and key that they came by
    ///
    /// For messages that a newer version can read, or whose fault was mended elsewhere. What still
    /// cannot be read stays parked.
    Redrive(Unpark),
    /// Throw them away
    Discard(Unpark),
    /// Show one, body and headers included
    Show {
        /// Id of the record, or of its task
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Unpark {
    /// Ids of records, or of their tasks; or choose by queue
    #[arg(value_name = "ID", required_unless_present = "queue")]
    ids: Vec<String>,
    /// Read from this queue
    #[arg(long)]
    queue: Option<String>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only say which and how many
    #[arg(long)]
    dry_run: bool,
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
    let store = open::database(&config).await?;
    let done = match command {
        ParkedCommand::List { queue, limit } => list(queue, limit, &*store, output).await,
        ParkedCommand::Show { id } => show_all(id, &*store, output).await,
        ParkedCommand::Redrive(unpark) => {
            open::tell_python(&*store, &config).await?;
            let reading = Reading {
                names: open::names(&config.broker)?,
                celery_services: config.sync.celery_services.clone(),
            };
            let fate = Fate::Redrive(Box::new(reading));
            unpark.run(fate, &*store, output).await
        }
        ParkedCommand::Discard(unpark) => unpark.run(Fate::Discard, &*store, output).await,
    };
    store.close().await;
    done
}

async fn show_all(id: String, store: &dyn Store, output: &mut Output) -> Result<(), Failure> {
    let filter = ParkedFilter {
        id: Some(id.clone()),
        ..ParkedFilter::default()
    };
    let parked = store.parked(&filter).await?;
    if parked.is_empty() {
        return Err(
            Failure::failed(format!("nothing is parked under the id {id:?}"))
                .remedy("see `counterfoil parked list`"),
        );
    }
    parked.iter().try_for_each(|row| show(row, output))
}

impl Unpark {
    async fn run(self, fate: Fate, store: &dyn Store, output: &mut Output) -> Result<(), Failure> {
        let found = find(store, &self.ids, self.queue.as_deref(), self.limit).await?;
        let count = self.ids.is_empty().then_some(found.rows.len());
        let mut each = Each::begin(output, fate.words(), mode(self.dry_run), count);
        each.nobodys(&found.unknown, "nothing is parked under this id");
        let done = self.deal(&found.rows, &fate, store, &mut each).await;
        each.end_after(done)
    }

    async fn deal(
        &self,
        rows: &[ParkedRow],
        fate: &Fate,
        store: &dyn Store,
        each: &mut Each<'_>,
    ) -> Result<(), Failure> {
        for row in rows {
            let outcome = match mode(self.dry_run) {
                Mode::DryRun => Outcome::Done(None),
                Mode::Do => fate.apply(row, store).await?,
            };
            let subject = subject(row);
            each.tell(&Told { subject, outcome });
        }
        Ok(())
    }
}

async fn list(
    queue: Option<String>,
    limit: u32,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let filter = ParkedFilter {
        queue,
        // One more than is shown tells that there are more.
        limit: limit + 1,
        ..ParkedFilter::default()
    };
    let parked = store.parked(&filter).await?;
    let columns = [
        words("PARKED"),
        words("ID"),
        words("QUEUE"),
        words("TASK ID"),
        numbers("BYTES"),
        numbers("TIMES"),
        words("REASON"),
    ];
    output.beginning(&parked, limit, &columns, |row| {
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
        output.fact(name, value)?;
    }
    output.line(format_args!(
        "body\n{}",
        block(&beginning(&body, MAX_SHOWN))
    ))
}
