//! `parked`: messages that the platform could not read.

use crate::args::Global;
use crate::each::{Each, Mode, Outcome, Subject, Words};
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use crate::text::{beginning, block, short};
use crate::when::shown;
use counterfoil_store::record::ParkedRow;
use counterfoil_store::{Batch, ParkedFilter, Store};
use counterfoil_sync::read_again;
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
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
            let names = open::names(&config.broker)?;
            let names = Box::new((names, config.sync.celery_services.clone()));
            unpark.run(What::Redrive(names), &*store, output).await
        }
        ParkedCommand::Discard(unpark) => unpark.run(What::Discard, &*store, output).await,
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

/// What is done with parked messages.
enum What {
    /// With the names of the broker's settings, and the services that Celery's workers run.
    Redrive(Box<(Names, Vec<ServiceName>)>),
    Discard,
}

impl What {
    const fn words(&self) -> Words {
        Words {
            things: ["parked message", "parked messages"],
            done: match self {
                Self::Redrive(_) => "read again",
                Self::Discard => "discarded",
            },
        }
    }

    async fn apply(&self, row: &ParkedRow, store: &dyn Store) -> Result<Outcome, Failure> {
        let (names, celery) = match self {
            Self::Redrive(known) => &**known,
            Self::Discard => {
                let mut batch = Batch::new();
                batch.unpark(row.id);
                store.apply(&batch).await?;
                return Ok(Outcome::Done(None));
            }
        };
        let read = read_again(store, names, celery, row).await?;
        Ok(read.map_or_else(Outcome::Failed, |()| Outcome::Done(None)))
    }
}

impl Unpark {
    async fn run(self, what: What, store: &dyn Store, output: &mut Output) -> Result<(), Failure> {
        let (rows, unknown) = self.find(store).await?;
        let count = self.ids.is_empty().then_some(rows.len());
        let mut each = Each::begin(output, what.words(), Mode::of(self.dry_run), count);
        each.nobodys(&unknown, "nothing is parked under this id");
        let done = self.deal(&rows, &what, store, &mut each).await;
        each.end_after(done)
    }

    async fn deal(
        &self,
        rows: &[ParkedRow],
        what: &What,
        store: &dyn Store,
        each: &mut Each<'_>,
    ) -> Result<(), Failure> {
        for row in rows {
            let id = row.id.to_string();
            let subject = Subject {
                id: &id,
                task_id: row.task_id.as_deref(),
                name: row.name.as_deref(),
            };
            let outcome = match Mode::of(self.dry_run) {
                Mode::DryRun => Outcome::Done(None),
                Mode::Do => what.apply(row, store).await?,
            };
            each.tell(subject, &outcome);
        }
        Ok(())
    }

    async fn find(&self, store: &dyn Store) -> Result<(Vec<ParkedRow>, Vec<String>), Failure> {
        let filter = |id: Option<&String>| ParkedFilter {
            queue: self.queue.clone(),
            id: id.cloned(),
            limit: self.limit,
            ..ParkedFilter::default()
        };
        if self.ids.is_empty() {
            return Ok((store.parked(&filter(None)).await?, Vec::new()));
        }
        let (mut rows, mut unknown) = (Vec::new(), Vec::new());
        for id in &self.ids {
            let found = store.parked(&filter(Some(id))).await?;
            if found.is_empty() {
                unknown.push(id.clone());
            }
            rows.extend(found);
        }
        Ok((rows, unknown))
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
