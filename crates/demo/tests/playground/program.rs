//! The program `counterfoil-demo-worker` on a real broker.

use anyhow::{Context, Result};
use counterfoil_demo::tasks::{Abort, Add, ApiKey, ExportProject, OutputType, Sleep};
use counterfoil_testkit::{Broker, Vhost, eventually, patience};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, Task};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(60);

/// The program, in a folder of its own.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    pub(crate) fn start(url: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil-demo-worker"));
        let inherited = std::env::vars().map(|(name, _)| name);
        for name in inherited.filter(|name| name.starts_with("COUNTERFOIL_")) {
            command.env_remove(name);
        }
        let child = command
            .current_dir(&folder)
            .env("COUNTERFOIL_BROKER__URL", url)
            .env("COUNTERFOIL_DEMO_LEDGER", folder.path().join("ledger"))
            .env("COUNTERFOIL_EXPORT_DIR", folder.path().join("exports"))
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, folder })
    }

    /// Sends SIGTERM.
    pub(crate) async fn ask_to_stop(&self) -> Result<()> {
        let pid = self.child.id().context("it runs")?.to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await?;
        anyhow::ensure!(sent.success(), "kill: {sent}");
        Ok(())
    }

    /// Waits for its end: status and what it said.
    pub(crate) async fn end(self) -> Result<(ExitStatus, String)> {
        let output = self.child.wait_with_output();
        let output = tokio::time::timeout(patience(PATIENCE), output).await??;
        Ok((output.status, String::from_utf8(output.stderr)?))
    }

    fn ledger(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("ledger"))?)
    }

    /// Waits until it has noted the start of an execution that has not ended.
    async fn is_busy(&self) -> Result<()> {
        let count = |text: &str, step| text.lines().filter(|line| line.contains(step)).count();
        eventually("an execution", PATIENCE, async || {
            let text = self.ledger()?;
            Ok((count(&text, " start ") > count(&text, " end ")).then_some(()))
        })
        .await
    }
}

/// A producer, once the program has made the queues.
pub(crate) async fn producer(vhost: &Vhost) -> Result<Producer> {
    eventually("the queues", PATIENCE, async || {
        let queues = vhost.queues().await?;
        let mut wanted = ["demo", "export", "harvest", "platform.fifo"].iter();
        Ok(wanted
            .all(|queue| queues.contains(&(*queue).to_owned()))
            .then_some(()))
    })
    .await?;
    let settings = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    let transport = AmqpTransport::new(&settings)?;
    Ok(Producer::listening(transport, settings.names()?, "test").await?)
}

async fn run<T: Task>(producer: &Producer, task: T) -> Result<T::Output> {
    Ok(producer.send(task).await?.result(PATIENCE).await?)
}

#[tokio::test]
async fn without_arguments_it_makes_its_queues_runs_tasks_and_drains_when_asked_to_stop()
-> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = Program::start(&vhost.amqp_url(), &[])?;
    let producer = producer(&vhost).await?;
    assert_eq!(run(&producer, Add { x: 2, y: 3 }).await?, 5);
    let export = ExportProject {
        org_slug: "acme".to_owned(),
        project_slug: "north".to_owned(),
        api_key: ApiKey::new("canary"),
        output_type: OutputType::Csv,
    };
    let exported = run(&producer, export).await?;
    let path = PathBuf::from(exported.path);
    assert_eq!(path.parent(), Some(&*program.folder.path().join("exports")));

    let mut sleeping = producer.send(Sleep { seconds: 1.5 }).await?;
    program.is_busy().await?;
    program.ask_to_stop().await?;
    assert_eq!(sleeping.result(PATIENCE).await?, 1.5);
    let lines = program.ledger()?.lines().count();
    let (status, said) = program.end().await?;
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(lines, 6);
    assert!(!said.contains("canary"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = Program::start(&vhost.amqp_url(), &[])?;
    let producer = producer(&vhost).await?;
    producer.send(Sleep { seconds: 600.0 }).await?;
    program.is_busy().await?;
    program.ask_to_stop().await?;
    // Signals that follow too closely become one.
    tokio::time::sleep(Duration::from_millis(200)).await;
    program.ask_to_stop().await?;
    let (status, said) = program.end().await?;
    assert_eq!(status.code(), Some(130), "{said}");
    Ok(())
}

#[tokio::test]
async fn demo_abort_takes_the_process_down() -> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = Program::start(&vhost.amqp_url(), &[])?;
    let producer = producer(&vhost).await?;
    let id = producer.send(Abort {}).await?.id().clone();
    let folder = program.folder.path().to_owned();
    program.is_busy().await?;
    let ledger = program.ledger()?;
    let (status, _) = program.end().await?;
    assert_eq!(status.signal(), Some(6), "{}", folder.display());
    assert!(ledger.contains(&format!("start {id} 0.0.0")), "{ledger}");
    assert!(!ledger.contains(" end "), "{ledger}");
    Ok(())
}

#[tokio::test]
async fn in_production_it_declares_nothing_and_names_the_missing_queues_with_the_remedy()
-> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = Program::start(&vhost.amqp_url(), &[("COUNTERFOIL_PROFILE", "production")])?;
    let (status, said) = program.end().await?;
    assert_eq!(status.code(), Some(78), "{said}");
    for queue in ["demo", "export", "harvest"] {
        let line = format!("queue {queue} does not exist: run `counterfoil topology apply`");
        assert!(said.contains(&line), "{said}");
    }
    assert_eq!(vhost.queues().await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_broker_that_refuses_the_user_ends_it_without_showing_the_password() -> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let url = vhost.amqp_url();
    let (_, place) = url.rsplit_once('@').context("a user")?;
    let program = Program::start(&format!("amqp://nobody:canary@{place}"), &[])?;
    let (status, said) = program.end().await?;
    assert_eq!(status.code(), Some(69), "{said}");
    assert!(
        said.contains("error: the broker does not let this process in"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_lacks_a_broker_ends_it_before_anything_starts() -> Result<()> {
    let program = Program::start("", &[("COUNTERFOIL_PROFILE", "production")])?;
    let (status, said) = program.end().await?;
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("broker.url"), "{said}");
    Ok(())
}
