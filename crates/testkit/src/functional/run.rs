//! The worker runs a task of the suite.

use super::Suite;
use crate::tasks::TestWorker;
use crate::wait::patience;
use anyhow::Context as _;
use counterfoil_toolbox::doctor::Check;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::producer::{RawHandle, RawTask, SendOptions};
use counterfoil_toolbox::{Producer, ServiceName, Task, TaskName};
use counterfoil_worker::{Context, Exit, TaskError, Worker, WorkerBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Name of its checks.
const NAME: &str = "task";

/// Longest until the result of a task is back.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a row of the suite is kept: the shortest time that there is.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// A task that returns what it was sent with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Echo {
    value: String,
}

impl Task for Echo {
    /// Sent under names of services: see [`name`].
    const NAME: &'static str = "counterfoil.functional-suite";
    type Output = String;
}

/// How often each task was begun.
#[derive(Debug, Clone, Default)]
struct Begun(Arc<Mutex<HashMap<String, u32>>>);

impl Begun {
    fn add(&self, value: &str) {
        let mut begun = self.0.lock().expect("nobody panics while counting");
        *begun.entry(value.to_owned()).or_default() += 1;
    }

    fn times(&self, value: &str) -> u32 {
        let begun = self.0.lock().expect("nobody panics while counting");
        begun.get(value).copied().unwrap_or(0)
    }
}

fn name(service: &ServiceName) -> String {
    format!("{service}.functional-suite")
}

/// Starts the worker, sends it a task for each of its services, and lets it drain.
pub(super) async fn tried(
    suite: &Suite<'_>,
    register: &impl Fn(WorkerBuilder) -> WorkerBuilder,
) -> anyhow::Result<Vec<Check>> {
    let begun = Begun::default();
    let (transport, config) = (suite.transport.clone(), suite.config);
    let mut settings = config.worker.clone();
    // Those of its own tasks, whatever this suite adds.
    settings.queues.clone_from(&suite.queues);
    let worker = Worker::builder(transport.clone(), suite.names.clone(), settings);
    let mut worker = register(worker.broker(&config.broker));
    for service in &suite.services {
        let begun = begun.clone();
        worker = worker.handle_as(&name(service), move |task: Echo, _: Context| {
            begun.add(&task.value);
            std::future::ready(Ok::<_, TaskError>(task.value))
        });
    }
    let worker = TestWorker::run(worker.build()?);
    let first = suite.services.first().map_or("suite", ServiceName::as_str);
    let listening = Producer::listening(transport, suite.names.clone(), first).await;
    let producer = match listening {
        Ok(producer) => producer,
        Err(error) => {
            let remedy = format!(
                "let the user declare and read its own queue for results: add {first}\\.reply\\..* to what it may \
                 configure, write and read, and {} to what it may read",
                suite.names.events
            );
            return Ok(vec![Check::fail(NAME, error.to_string(), &remedy)]);
        }
    };
    let mut checks = Vec::new();
    for service in &suite.services {
        checks.push(came_back(suite, &producer, service, &begun).await?);
    }
    checks.push(drained(worker.drain().await?));
    Ok(checks)
}

/// Sends one task and waits for its result.
async fn came_back(
    suite: &Suite<'_>,
    producer: &Producer,
    service: &ServiceName,
    begun: &Begun,
) -> anyhow::Result<Check> {
    let value = TaskId::random().to_string();
    let task = RawTask {
        name: TaskName::new(&name(service)).context("the name of a service and a word")?,
        args: "[]".to_owned(),
        kwargs: serde_json::to_string(&Echo {
            value: value.clone(),
        })?,
    };
    let sent = producer
        .send_raw_awaited(task, SendOptions::new().retention(KEPT))
        .await;
    let mut handle: RawHandle = match sent {
        Ok(handle) => handle,
        Err(error) => {
            let what = format!("no task can be sent to {service}: {error}");
            return Ok(Check::fail(NAME, what, "see what failed above"));
        }
    };
    let result = match handle.result(patience(PATIENCE)).await {
        Ok(result) => serde_json::from_str::<String>(result.get()).ok(),
        Err(error) => {
            let what = format!("a task of {service} did not come back: {error}");
            let remedy = "see the worker's log: run the test with RUST_LOG=debug and a subscriber";
            return Ok(Check::fail(NAME, what, remedy));
        }
    };
    let times = begun.times(&value);
    if times != 1 || result.as_ref() != Some(&value) {
        let what = format!("a task of {service} was run {times} times and came back as {result:?}");
        let remedy = "look for a layer that runs handlers again or changes what they return";
        return Ok(Check::fail(NAME, what, remedy));
    }
    recorded(suite, service, handle.id()).await
}

fn drained(exit: Exit) -> Check {
    if let Exit::Drained = exit {
        return Check::ok("drain", "the worker drained");
    }
    Check::fail(
        "drain",
        format!("the worker ended otherwise: {exit}"),
        "see the message, and the worker's log",
    )
}

/// Whether the result is in the database, where the configuration names one.
#[cfg(feature = "servers")]
async fn recorded(suite: &Suite<'_>, service: &ServiceName, id: &TaskId) -> anyhow::Result<Check> {
    use counterfoil_store::{Store, StoreOptions};
    use counterfoil_toolbox::TaskState;
    // In development there is always one configured: a file that nobody has made is nobody's database.
    let database = suite.config.database.as_ref();
    let Some(database) = database.filter(|it| it.missing_file().is_none()) else {
        return Ok(by_the_broker(service));
    };
    let options = StoreOptions::new(database.url.clone()).id_secret(database.id_secret.clone());
    let store: Arc<dyn Store> = match counterfoil_store::connect(&options).await {
        Ok(store) => store,
        Err(error) => {
            let what = counterfoil_toolbox::error::ErrorChain(&error).to_string();
            return Ok(Check::fail(
                "database",
                what,
                "start the database, or mend database.url",
            ));
        }
    };
    let what = format!("the row of {id}");
    let row = crate::eventually(&what, PATIENCE, async || {
        let row = store.task(id.as_str()).await?;
        Ok(row.filter(|row| row.state == TaskState::Success))
    });
    let row = row.await;
    store.close().await;
    Ok(match row {
        Ok(_) => Check::ok(
            NAME,
            format!("a task of {service} was run once, and its result is in the database"),
        ),
        Err(error) => Check::fail(
            NAME,
            format!("the result of a task of {service} is not in the database: {error:#}"),
            "start counterfoil-sync with the same broker.url and database.url, or run `counterfoil init`",
        ),
    })
}

#[cfg(not(feature = "servers"))]
#[allow(clippy::unused_async, reason = "with a database, it asks that")]
async fn recorded(_: &Suite<'_>, service: &ServiceName, _: &TaskId) -> anyhow::Result<Check> {
    Ok(by_the_broker(service))
}

fn by_the_broker(service: &ServiceName) -> Check {
    let what = format!("a task of {service} was run once, and its result came back");
    Check::ok(NAME, what)
}
