//! A whole platform made of real processes: broker, database, daemon, workers.

mod process;

pub(crate) use process::{Process, binary};

use anyhow::Context as _;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Store, StoreOptions, TaskFilter};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::topology::{self, ItemState};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, ServiceName, TaskState};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take that a platform does within a second or two when it has a machine for
/// itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Services of `counterfoil-demo-worker`.
pub(crate) const SERVICES: &str = "demo,export,harvest";

/// Declares the platform's topology and that of `services`.
pub(crate) async fn apply(broker: &BrokerSettings, services: &[ServiceName]) -> anyhow::Result<()> {
    let (transport, names) = (AmqpTransport::new(broker)?, broker.names()?);
    let mut items = topology::platform(&names, broker.queue_settings);
    for service in services {
        items.extend(topology::service(&names, service, &broker.service(service)));
    }
    for finding in topology::apply(&*transport, items).await? {
        anyhow::ensure!(
            finding.state == ItemState::Applied,
            "{}: {:?}",
            finding.item,
            finding.state
        );
    }
    Ok(())
}

/// A broker and a database with everything in place, and the processes that a test started on them.
pub(crate) struct Platform {
    amqp_url: String,
    database_url: String,
    folder: tempfile::TempDir,
    started: usize,
    env: Vec<(&'static str, PathBuf)>,
}

impl Platform {
    /// Migrates the database and applies the topology, with `counterfoil init`.
    pub(crate) fn init(amqp_url: &str, database_url: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let platform = Self {
            amqp_url: amqp_url.to_owned(),
            database_url: database_url.to_owned(),
            folder,
            started: 0,
            env: Vec::new(),
        };
        let output = platform.cli(&["init"])?;
        anyhow::ensure!(
            output.status.success(),
            "init: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(platform)
    }

    /// Runs `counterfoil` with the platform's configuration, and waits for it.
    pub(crate) fn cli(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command("counterfoil")?
            .args(arguments)
            .output()
            .context("counterfoil could not be run")
    }

    /// What the command says; it must succeed.
    pub(crate) fn said(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.cli(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts the daemon.
    pub(crate) fn daemon(&mut self) -> anyhow::Result<Process> {
        self.launch("counterfoil-sync", &[], &[])
    }

    /// Starts a daemon with settings of its own.
    pub(crate) fn daemon_with(&mut self, env: &[(&str, &str)]) -> anyhow::Result<Process> {
        self.launch("counterfoil-sync", &[], env)
    }

    /// Starts a demo worker.
    pub(crate) fn worker(&mut self) -> anyhow::Result<Process> {
        self.launch("counterfoil-demo-worker", &[], &[])
    }

    /// Starts a demo worker with settings of its own.
    pub(crate) fn worker_with(&mut self, env: &[(&str, &str)]) -> anyhow::Result<Process> {
        self.launch("counterfoil-demo-worker", &[], env)
    }

    /// Starts an application that opens a session: `arguments` of `counterfoil-demo-producer`.
    pub(crate) fn producer_with(
        &mut self,
        arguments: &[&str],
        env: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        self.launch("counterfoil-demo-producer", arguments, env)
    }

    pub(crate) fn launch(
        &mut self,
        program: &str,
        arguments: &[&str],
        env: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        self.started += 1;
        let log = self
            .folder
            .path()
            .join(format!("{program}-{}.log", self.started));
        let mut command = self.command(program)?;
        command.args(arguments).envs(env.iter().copied());
        Process::start(command, log)
    }

    /// A program of the workspace, configured through its environment alone.
    pub(crate) fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(binary(program)?);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUNTERFOIL_")) {
            command.env_remove(name);
        }
        command
            .current_dir(self.folder.path())
            .env("COUNTERFOIL_BROKER__URL", &self.amqp_url)
            .env("COUNTERFOIL_BROKER__SERVICES", SERVICES)
            .env("COUNTERFOIL_DATABASE__URL", &self.database_url)
            .env("COUNTERFOIL_DEMO_LEDGER", self.ledger())
            .env("COUNTERFOIL_EXPORT_DIR", self.folder.path())
            .stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        Ok(command)
    }

    /// Where its programs run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable of the programs that are started from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: PathBuf) {
        self.env.push((name, value));
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    /// How often the execution of each task started.
    pub(crate) fn starts(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        self.count_steps("start")
    }

    /// How often the execution of each task ended.
    pub(crate) fn ends(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        self.count_steps("end")
    }

    fn count_steps(&self, step: &str) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for noted in self.steps()?.into_iter().filter(|noted| noted.step == step) {
            *counts.entry(noted.task_id).or_default() += 1;
        }
        Ok(counts)
    }

    /// What demo workers noted, in order.
    pub(crate) fn steps(&self) -> anyhow::Result<Vec<Step>> {
        let text = std::fs::read_to_string(self.ledger()).unwrap_or_default();
        // A line that is being written is for the next look.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Step::read).collect()
    }

    /// A producer on the platform's broker.
    pub(crate) fn producer(&self) -> anyhow::Result<Producer> {
        let broker = self.broker();
        Ok(Producer::new(AmqpTransport::new(&broker)?, broker.names()?))
    }

    /// How to reach the broker.
    pub(crate) fn broker(&self) -> BrokerSettings {
        BrokerSettings {
            urls: self.amqp_url.split(',').map(Into::into).collect(),
            ..BrokerSettings::default()
        }
    }

    /// The database, for looking at.
    pub(crate) async fn store(&self) -> anyhow::Result<Arc<dyn Store>> {
        let options =
            StoreOptions::new(self.database_url.clone()).id_secret("development".to_owned());
        Ok(counterfoil_store::connect(&options).await?)
    }
}

/// Waits until exactly `wanted` tasks are in `state`, in the whole database.
pub(crate) async fn wait_for_count(
    store: &dyn Store,
    state: TaskState,
    wanted: i64,
    within: Duration,
) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    let what = format!("{wanted} × {state}");
    let waited = eventually(&what, within, async || {
        // A database that is being restarted answers later.
        let Ok(counts) = store.counts_by_state(None).await else {
            return Ok(None);
        };
        let there = counts
            .iter()
            .find(|count| count.state == state)
            .map_or(0, |count| count.tasks);
        seen = counts;
        Ok((there == wanted).then_some(()))
    });
    waited.await.with_context(|| format!("{seen:?}"))
}

/// Waits until the task has a row in `state`.
pub(crate) async fn wait_for_state(
    store: &dyn Store,
    id: &str,
    state: TaskState,
    within: Duration,
) -> anyhow::Result<TaskRow> {
    let mut seen = None;
    let what = format!("{id} to be {state}");
    let waited = eventually(&what, within, async || {
        let row = store.task(id).await?;
        seen = row
            .as_ref()
            .map(|row| (row.state, row.error_message.clone()));
        Ok(row.filter(|row| row.state == state))
    });
    waited.await.with_context(|| format!("{seen:?}"))
}

/// All rows, whatever they are.
pub(crate) async fn all_rows(store: &dyn Store) -> anyhow::Result<Vec<TaskRow>> {
    Ok(store
        .tasks(&TaskFilter {
            limit: 10_000,
            ..TaskFilter::default()
        })
        .await?)
}

/// One line of a demo worker's ledger.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// `start` or `end`.
    pub(crate) step: String,
    pub(crate) task_id: String,
    /// As people see it.
    pub(crate) attempt: String,
    /// The worker's process.
    pub(crate) pid: u32,
}

impl Step {
    fn read(line: &str) -> anyhow::Result<Self> {
        let mut words = line.split(' ');
        let mut next = || words.next().context("a shorter line than expected");
        Ok(Self {
            at: next()?.parse()?,
            step: next()?.to_owned(),
            task_id: next()?.to_owned(),
            attempt: next()?.to_owned(),
            pid: next()?.parse()?,
        })
    }
}
