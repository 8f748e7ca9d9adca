//! What `celery inspect` and `celery control` get from a worker of ours is what they get from a Python worker beside it.

mod alone;
mod control;
mod inspect;

use super::callers::worker;
use super::python;
use crate::platform::{self, PATIENCE, Process};
use anyhow::{Context as _, ensure};
use counterfoil_celery::Celery;
use counterfoil_testkit::{Broker, Vhost, eventually};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::ids::hostname;
use counterfoil_toolbox::{ServiceName, TaskId};
use counterfoil_worker::{Exit, Stopper};
use serde_json::Value;
use std::process::Output;
use tokio::task::JoinHandle;

/// Prints what all nodes answer to a command that only a program can send: method, arguments as JSON.
const BROADCAST: &str = "
import json, sys
from calc import app
method, arguments = sys.argv[1], json.loads(sys.argv[2])
told = app.control.broadcast(method, arguments=arguments, reply=True, timeout=5, limit=2)
print(json.dumps({name: answer for one in told for name, answer in one.items()}))
";

/// Sends a task by its name and arguments as JSON, and prints its id.
const SEND: &str = "
import json, sys
from calc import app
name, args, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
print(app.send_task(name, args, **options).id)
";

/// `celery control` tells a list of answers.
fn by_node(told: Value) -> Value {
    let Some(answers) = told.as_array() else {
        return told;
    };
    let answers = answers.iter().filter_map(Value::as_object).flatten();
    answers
        .map(|(node, answer)| (node.clone(), answer.clone()))
        .collect()
}

/// The full name of a node.
fn node(name: &str) -> String {
    format!("{name}@{}", hostname())
}

/// What both nodes answered: a Python worker, and ours.
#[derive(Debug)]
struct Answers {
    theirs: Value,
    ours: Value,
}

impl Answers {
    fn are_equal(&self) -> anyhow::Result<()> {
        let Self { theirs, ours } = self;
        ensure!(theirs == ours, "Python: {theirs:#}\nours: {ours:#}");
        Ok(())
    }
}

/// A broker with both workers on it, each with a service of its own and two tasks at a time.
struct Nodes {
    vhost: Vhost,
    folder: tempfile::TempDir,
    python: Process,
    ours: JoinHandle<Exit>,
    stopper: Stopper,
}

impl Nodes {
    async fn start() -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let broker = BrokerSettings {
            urls: vec![vhost.amqp_url().into()],
            ..BrokerSettings::default()
        };
        let services = [ServiceName::new("calc")?, ServiceName::new("pycalc")?];
        platform::apply(&broker, &services).await?;
        let folder = tempfile::tempdir()?;
        let mut command = python(&vhost.amqp_url())?;
        command
            .args(["-m", "celery", "-A", "calc", "worker"])
            .args([
                "--pool",
                "prefork",
                "--concurrency",
                "2",
                "--hostname",
                "py@%h",
            ])
            .args(["--without-gossip", "--without-mingle"])
            // As ours: who begins with events of tasks cannot switch them off again.
            .env("WITHOUT_TASK_EVENTS", "1");
        let python = Process::start(command, folder.path().join("celery.log"))?;
        let celery = Celery::new(&broker.names()?).node_name("rs@%h");
        let worker = worker(&broker, celery)?;
        let stopper = worker.stopper();
        let nodes = Self {
            ours: tokio::spawn(worker.run_until(std::future::pending())),
            vhost,
            folder,
            python,
            stopper,
        };
        eventually("both nodes to answer", PATIENCE, async || {
            let told = nodes.celery("inspect", &["ping"]).await?;
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            Ok((told.contains("py@") && told.contains("rs@")).then_some(()))
        })
        .await
        .with_context(|| nodes.python.log_tail())?;
        Ok(nodes)
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = python(&self.vhost.amqp_url())?;
        command.args(arguments);
        let mut command = tokio::process::Command::from(command);
        let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output());
        output
            .await
            .context("it takes too long")?
            .context("it could not be run")
    }

    /// Runs `celery inspect` or `celery control` for both nodes: it ends when both have answered.
    async fn celery(&self, what: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let both = format!("{},{}", node("py"), node("rs"));
        let mut all = vec![
            "-m",
            "celery",
            "-A",
            "calc",
            what,
            "--json",
            "--timeout",
            "3",
            "--destination",
            &both,
        ];
        all.extend(arguments);
        self.run(&all).await
    }

    /// What both nodes tell by `celery inspect` or `celery control`.
    async fn ask(&self, what: &str, arguments: &[&str]) -> anyhow::Result<Answers> {
        let output = self.celery(what, arguments).await?;
        self.answers(&output)
            .with_context(|| format!("{what} {arguments:?}"))
    }

    async fn inspect(&self, arguments: &[&str]) -> anyhow::Result<Answers> {
        self.ask("inspect", arguments).await
    }

    /// What both nodes tell a program.
    async fn broadcast(&self, method: &str, arguments: &Value) -> anyhow::Result<Answers> {
        let output = self
            .run(&["-c", BROADCAST, method, &arguments.to_string()])
            .await?;
        self.answers(&output)
            .with_context(|| format!("{method} {arguments}"))
    }

    /// Names of nodes, services and so on are the same to both.
    fn answers(&self, output: &Output) -> anyhow::Result<Answers> {
        let (said, told) = (
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout),
        );
        let told = told.replace("pycalc", "calc");
        let told: Value = serde_json::from_str(&told)
            .with_context(|| format!("{told}{said}\n{}", self.python.log_tail()))?;
        let told = by_node(told);
        let of = |name: &str| -> anyhow::Result<Value> {
            let node = node(name);
            let answer = told
                .get(&node)
                .with_context(|| format!("no {node} in {told:#}"))?;
            let answer = answer.to_string().replace(&node, "node");
            Ok(serde_json::from_str(&answer)?)
        };
        Ok(Answers {
            theirs: of("py")?,
            ours: of("rs")?,
        })
    }

    /// Sends a task to a service, and returns its id.
    async fn send(&self, name: &str, args: &Value, options: &Value) -> anyhow::Result<TaskId> {
        let (args, options) = (args.to_string(), options.to_string());
        let output = self.run(&["-c", SEND, name, &args, &options]).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    /// A file that is not there: whoever waits for it waits for long.
    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn end(self) -> anyhow::Result<()> {
        self.python.terminate().await?;
        self.stopper.drain();
        let exit = tokio::time::timeout(PATIENCE, self.ours).await??;
        ensure!(exit == Exit::Drained, "{exit}");
        self.vhost.close().await
    }
}
