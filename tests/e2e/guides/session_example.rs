use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::session::{ErrorPolicy, Session, SessionSummary, StartedSession};
use counterfoil_toolbox::{Producer, Task};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Reads one page of a catalogue: a subtask.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ReadPage {
    number: u64,
}

impl Task for ReadPage {
    const NAME: &'static str = "catalogue.read_page";
    /// How many entries it has.
    type Output = u64;
}

/// Publishes what was read: the finalizer.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Publish {
    catalogue: String,
    /// The platform fills it in.
    session: Option<SessionSummary>,
}

impl Task for Publish {
    const NAME: &'static str = "catalogue.publish";
    type Output = String;
}

async fn publish(task: Publish, _: Context) -> Result<String, TaskError> {
    let by_hand = || TaskError::fail("nobody but a session sends it");
    let session = task.session.ok_or_else(by_hand)?;
    let results = session.subtasks.iter().filter_map(|it| it.result.as_ref());
    let entries: u64 = results.filter_map(Value::as_u64).sum();
    let (status, pages, all) = (session.status, session.succeeded, session.total);
    let catalogue = task.catalogue;
    Ok(format!("{catalogue}, {status}: {entries} entries on {pages} of {all} pages"))
}

/// Reads a catalogue, and publishes it.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Import {
    catalogue: String,
    pages: u64,
}

impl Task for Import {
    const NAME: &'static str = "catalogue.import";
    /// Id of the session.
    type Output = String;
}

async fn import(task: Import, cx: Context) -> Result<String, TaskError> {
    let publish = Publish {
        catalogue: task.catalogue,
        session: None,
    };
    let session = Session::new("import", publish)?
        .estimated(Duration::from_secs(20))
        .subtasks((0..task.pages).map(|number| ReadPage { number }))?;
    let started = cx.start_session(session).await?;
    Ok(started.id.to_string())
}

async fn import_maps(producer: &Producer, pages: u64) -> anyhow::Result<StartedSession> {
    let publish = Publish {
        catalogue: "maps".to_owned(),
        session: None,
    };
    let session = Session::new("import", publish)?
        .finalizer_options(SendOptions::new().creator("user-7"))
        .policy(ErrorPolicy::Fail)
        .estimated(Duration::from_secs(20))
        .buffer(Duration::from_secs(600))
        .subtasks((0..pages).map(|number| ReadPage { number }))?;
    let started = producer.start_session(session).await?;
    for (id, error) in &started.unsent {
        eprintln!("subtask {id} may not have been sent: {error}");
    }
    Ok(started)
}

/// The ninth page cannot be read, and every other has as many entries as its number says.
async fn read_page(task: ReadPage, _: Context) -> Result<u64, TaskError> {
    match task.number {
        8 => Err(TaskError::fail("it is torn")),
        number => Ok(number),
    }
}

fn register(worker: WorkerBuilder) -> WorkerBuilder {
    worker.handle(read_page).handle(publish).handle(import)
}
