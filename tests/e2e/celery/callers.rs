//! Callers in Python get from a worker of ours what a Python worker answers: the same calls, to both, and to both in
//! turn.

use super::{celery_command, python};
use crate::platform::{self, PATIENCE, Process};
use anyhow::{Context as _, ensure};
use counterfoil_celery::{Celery, Signature, chain, replace};
use counterfoil_testkit::{Broker, Permissions, Vhost};
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{ServiceName, Task, TaskOptions};
use counterfoil_worker::{Context, Exit, Stopper, TaskError, Worker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A task of `calc.py`, and its handler.
macro_rules! tasks {
    ($($name:literal $type:ident { $($field:ident: $of:ty),* } -> $output:ty, $handler:expr;)+) => {
        $(
            #[derive(Debug, Serialize, Deserialize, JsonSchema)]
            struct $type { $($field: $of),* }

            impl Task for $type {
                const NAME: &'static str = concat!("calc.", $name);
                type Output = $output;
                fn options() -> TaskOptions {
                    TaskOptions { max_retries: 5, ..TaskOptions::default() }
                }
            }
        )+

        /// A worker of the same tasks.
        pub(super) fn worker(broker: &BrokerSettings, celery: Celery) -> anyhow::Result<Worker> {
            let transport = AmqpTransport::new(broker)?;
            let settings = WorkerSettings { concurrency: 2, prefetch: Some(8), ..WorkerSettings::default() };
            let builder = Worker::builder(transport, broker.names()?, settings);
            let builder = builder.broker(broker).extension(celery);
            $(let builder = builder.handle(|task: $type, cx: Context| async move { $handler(task, cx).await });)+
            Ok(builder.build()?)
        }
    };
}

tasks! {
    "add" Add { x: i64, y: i64 } -> i64, add;
    "total" Total { numbers: Vec<i64> } -> i64, total;
    "fail" Fail { kind: String, message: String } -> (), fail;
    "detour" Detour { kind: String, message: String } -> (), detour;
    "flaky" Flaky { times: u32 } -> u32, flaky;
    "count" Count { total: i64, file: String } -> i64, count;
    "note" Note { value: Value, file: String } -> Value, note;
}

async fn add(task: Add, _: Context) -> Result<i64, TaskError> {
    Ok(task.x + task.y)
}

async fn total(task: Total, _: Context) -> Result<i64, TaskError> {
    Ok(task.numbers.iter().sum())
}

/// Goes on until there is a file.
async fn count(task: Count, cx: Context) -> Result<i64, TaskError> {
    cx.progress(1, task.total, "begun");
    while !std::fs::exists(&task.file)? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(task.total)
}

async fn fail(task: Fail, _: Context) -> Result<(), TaskError> {
    if task.kind == "Reject" {
        return Err(TaskError::reject(task.message));
    }
    let module = match &*task.kind {
        "ValueError" => "builtins",
        _ => "calc",
    };
    Err(TaskError::fail(
        Exception::new(&task.kind, [task.message]).of_module(module),
    ))
}

async fn detour(task: Detour, cx: Context) -> Result<(), TaskError> {
    let failing = Signature::task("calc.fail")
        .arg(task.kind)
        .arg(task.message);
    Err(replace(
        &cx,
        &chain![failing, Signature::task("calc.add").arg(1)],
    ))
}

async fn flaky(task: Flaky, cx: Context) -> Result<u32, TaskError> {
    let retries = cx.attempt() - 1;
    if retries < task.times {
        let again = Exception::new("ValueError", ["again"]).of_module("builtins");
        return Err(TaskError::retry_after(again, Duration::from_secs(1)));
    }
    Ok(retries)
}

async fn note(task: Note, _: Context) -> Result<Value, TaskError> {
    let text = task.value.as_str().map(str::to_owned);
    let text = text.unwrap_or_else(|| task.value.to_string());
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.append(true).create(true).open(task.file)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    Ok(task.value)
}

/// A broker with both workers on it, each with a service of its own.
pub(super) struct Both {
    pub(super) vhost: Vhost,
    pub(super) folder: tempfile::TempDir,
    pub(super) python: Process,
    env: Vec<(String, String)>,
    ours: JoinHandle<Exit>,
    stopper: Stopper,
}

fn broker_of(vhost: &Vhost) -> BrokerSettings {
    BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    }
}

impl Both {
    pub(super) fn broker(&self) -> BrokerSettings {
        broker_of(&self.vhost)
    }

    /// Where files may be written.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[], |celery| celery).await
    }

    /// With these arguments for the Python worker, and ours with this extension.
    pub(super) async fn start_with(
        arguments: &[&str],
        extension: impl FnOnce(Celery) -> Celery,
    ) -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let url = vhost.amqp_url();
        Self::set_up((vhost, &url), &[], arguments, extension).await
    }

    /// With these variables for what is in Python.
    pub(super) async fn on(vhost: Vhost, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let url = vhost.amqp_url();
        Self::set_up((vhost, &url), env, &[], |celery| celery).await
    }

    /// With a worker of ours whose user may do no more than this.
    pub(super) async fn limited(
        permissions: Permissions<'_>,
        extension: impl FnOnce(Celery) -> Celery,
    ) -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let user = vhost.user(permissions).await?;
        // How far a task is might come to a caller behind its result, by another daemon: it is not told.
        let env = [("WITHOUT_PROGRESS", "1")];
        Self::set_up((vhost, &user.amqp_url), &env, &[], extension).await
    }

    async fn set_up(
        (vhost, of_ours): (Vhost, &str),
        env: &[(&str, &str)],
        arguments: &[&str],
        extension: impl FnOnce(Celery) -> Celery,
    ) -> anyhow::Result<Self> {
        let broker = broker_of(&vhost);
        let services = [ServiceName::new("calc")?, ServiceName::new("pycalc")?];
        platform::apply(&broker, &services).await?;
        let folder = tempfile::tempdir()?;
        let mut command = celery_command("calc", &vhost.amqp_url())?;
        command.args(arguments).envs(env.iter().copied());
        let python = Process::start(command, folder.path().join("celery.log"))?;
        let ours = BrokerSettings {
            urls: vec![of_ours.to_owned().into()],
            ..broker.clone()
        };
        let worker = worker(&ours, extension(Celery::new(&broker.names()?)))?;
        let stopper = worker.stopper();
        Ok(Self {
            ours: tokio::spawn(worker.run_until(std::future::pending())),
            vhost,
            folder,
            python,
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            stopper,
        })
    }

    /// What comes of every call of `calls.py`, by its name.
    pub(super) async fn call(&self, services: &[&str]) -> anyhow::Result<Value> {
        self.run("calls.py", services).await
    }

    /// What one of the programs prints.
    pub(super) async fn run(&self, program: &str, services: &[&str]) -> anyhow::Result<Value> {
        let notes = self
            .folder
            .path()
            .join(format!("{program}-{}", services.join("-")));
        std::fs::create_dir(&notes)?;
        let mut command = python(&self.vhost.amqp_url())?;
        command.arg(program).arg(services[0]).arg(&notes);
        command.args(&services[1..]).envs(self.env.iter().cloned());
        let mut command = tokio::process::Command::from(command);
        let called = tokio::time::timeout(PATIENCE * 2, command.kill_on_drop(true).output());
        let called = called.await.context("the calls take too long")??;
        let said = String::from_utf8_lossy(&called.stderr);
        ensure!(
            called.status.success(),
            "{said}\n{}",
            self.python.log_tail()
        );
        // Names of services are part of what is told of unknown tasks.
        let text = String::from_utf8(called.stdout)?.replace("pycalc.", "calc.");
        Ok(serde_json::from_str(&text)?)
    }

    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.python.terminate().await?;
        self.stopper.drain();
        ensure!(self.ours.await? == Exit::Drained);
        self.vhost.close().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_in_python_gets_from_our_worker_what_a_python_worker_answers() -> anyhow::Result<()>
{
    let both = Both::start().await?;
    let theirs = both.call(&["pycalc"]).await?;
    assert_eq!(theirs["chain"]["value"], 14, "{theirs:#}");
    let ours = both.call(&["calc"]).await?;
    compare(&theirs, &ours);
    both.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn canvas_of_python_and_rust_tasks_in_turn_answers_as_one_of_either() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let theirs = both.call(&["pycalc"]).await?;
    for services in [["pycalc", "calc"], ["calc", "pycalc"]] {
        compare(&theirs, &both.call(&services).await?);
    }
    both.end().await
}

/// Case by case: all that differs is told at once.
pub(super) fn compare(theirs: &Value, ours: &Value) {
    let theirs = theirs.as_object().expect("cases by their names");
    let differ = theirs
        .iter()
        .filter(|(name, found)| ours[name.as_str()] != **found);
    let differ: Vec<_> = differ
        .map(|(name, found)| {
            format!(
                "{name}:\n  Python: {found}\n  ours:   {}",
                ours[name.as_str()]
            )
        })
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
