//! A thousand schedules of failures: the right worker lives through all of them, wrong ones are caught, and a
//! seed is the same again.

mod again;
mod hasty;
mod right;
mod wrong;

use counterfoil_testkit::Trial;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Tells a user something.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Tell {
    user: u64,
    /// How often it fails first.
    #[serde(default)]
    fails: u32,
}

impl Task for Tell {
    const NAME: &'static str = "mail.tell";
    type Output = u64;
}

/// Tells many users, each by a task of its own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct TellAll {
    users: Vec<u64>,
}

impl Task for TellAll {
    const NAME: &'static str = "mail.tell_all";
    type Output = ();
}

/// The same as [`Tell`], taken over from the broker before it begins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct TellSlowly {
    user: u64,
}

impl Task for TellSlowly {
    const NAME: &'static str = "mail.tell_slowly";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            ack: Ack::Early,
            max_restarts: 10,
            ..TaskOptions::default()
        }
    }
}

/// What outlives workers: how often each user was told.
#[derive(Debug, Clone, Default)]
struct Database(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Database {
    fn write(&self, user: u64) {
        *self.0.lock().expect("no panic").entry(user).or_default() += 1;
    }

    fn told(&self, user: u64) -> u32 {
        let told = self.0.lock().expect("no panic");
        told.get(&user).copied().unwrap_or(0)
    }

    fn assert_told(&self, users: impl IntoIterator<Item = u64>) {
        for user in users {
            assert!(self.told(user) > 0, "nobody told user {user}");
        }
    }
}

async fn tell(task: Tell, cx: Context) -> Result<u64, TaskError> {
    if cx.attempt() <= task.fails {
        return Err(TaskError::retry("not yet"));
    }
    cx.state::<Database>().write(task.user);
    Ok(task.user)
}

async fn tell_all(task: TellAll, cx: Context) -> Result<(), TaskError> {
    for user in task.users {
        cx.send(Tell { user, fails: 0 }).await?;
    }
    Ok(())
}

async fn tell_slowly(task: TellSlowly, cx: Context) -> Result<(), TaskError> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    cx.state::<Database>().write(task.user);
    Ok(())
}

/// The right worker.
fn right(worker: WorkerBuilder, database: &Database) -> WorkerBuilder {
    let worker = worker.state(database.clone());
    worker.handle(tell).handle(tell_all).handle(tell_slowly)
}

/// Starts the right worker in `trial`.
async fn start_right(trial: &Trial) -> anyhow::Result<Database> {
    let database = Database::default();
    let clone = database.clone();
    trial.worker(move |worker| right(worker, &clone)).await?;
    Ok(database)
}
