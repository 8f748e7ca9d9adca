//! Nothing is left running, however the owner of a node ends.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use counterfoil_testkit::{AMQP_URL, DATABASE_URL, PostgresNode, RabbitNode, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

#[tokio::test]
async fn dropping_the_nodes_ends_even_frozen_processes_and_removes_the_data() -> anyhow::Result<()>
{
    let rabbit = RabbitNode::start().await?;
    let postgres = PostgresNode::start().await?;
    let ids = [rabbit.process_ids(), postgres.process_ids()].concat();
    let folders = [rabbit.folder().to_owned(), postgres.folder().to_owned()];
    assert_eq!(ids.len(), 3, "broker, port mapper and database server");
    assert!(ids.iter().all(|id| is_running(*id)));

    rabbit.pause()?;
    drop(rabbit);
    drop(postgres);

    // At once: who drops a node may start another in its place.
    assert_eq!(ids.into_iter().filter(|id| is_running(*id)).count(), 0);
    assert!(folders.iter().all(|folder| !folder.exists()));
    Ok(())
}

#[tokio::test]
async fn the_exit_code_of_the_command_is_passed_on_and_the_servers_end() -> anyhow::Result<()> {
    let mut run = Run::start("exit 42").await?;
    assert_eq!(run.with_nodes.wait().await?.code(), Some(42));
    assert_eq!(run.open_ports().await, 0);
    Ok(())
}

#[tokio::test]
async fn sigterm_reaches_the_command_and_ends_the_servers() -> anyhow::Result<()> {
    // Before it says that it runs.
    let mut run = Run::begin("trap 'exit 7' TERM", "while :; do sleep 0.05; done").await?;
    assert_eq!(run.open_ports().await, 2);
    run.signal("TERM").await?;
    assert_eq!(run.with_nodes.wait().await?.code(), Some(7));
    assert_eq!(run.open_ports().await, 0);
    Ok(())
}

#[tokio::test]
async fn servers_end_when_their_owner_is_killed() -> anyhow::Result<()> {
    let run = Run::start("while kill -0 $PPID; do sleep 0.05; done").await?;
    run.signal("KILL").await?;
    eventually("both servers to end", Duration::from_secs(20), async || {
        Ok((run.open_ports().await == 0).then_some(()))
    })
    .await
}

/// A run of `counterfoil-with-nodes`.
struct Run {
    with_nodes: Child,
    amqp: u16,
    database: u16,
}

impl Run {
    /// Runs a shell script beside two servers and returns once both are up and the script runs.
    async fn start(script: &str) -> anyhow::Result<Self> {
        Self::begin(":", script).await
    }

    /// The same, and `first` has been done by then.
    async fn begin(first: &str, script: &str) -> anyhow::Result<Self> {
        let announce = format!(r#"{first}; echo "${AMQP_URL}"; echo "${DATABASE_URL}"; {script}"#);
        let mut with_nodes = Command::new(env!("CARGO_BIN_EXE_counterfoil-with-nodes"))
            .args(["--", "/bin/sh", "-c", &announce])
            .env_remove(AMQP_URL)
            .env_remove(DATABASE_URL)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = with_nodes.stdout.take().context("it was asked for")?;
        let mut lines = BufReader::new(output).lines();
        let mut port = async || -> anyhow::Result<u16> {
            let url = lines
                .next_line()
                .await?
                .context("the command did not run")?;
            let number = url
                .rsplit(':')
                .next()
                .and_then(|rest| rest.split('/').next());
            Ok(number.context("a URL has a port")?.parse()?)
        };
        let (amqp, database) = (port().await?, port().await?);
        Ok(Self {
            with_nodes,
            amqp,
            database,
        })
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let id = self
            .with_nodes
            .id()
            .context("it has ended already")?
            .to_string();
        Command::new("/bin/sh")
            .args(["-c", r#"kill -s "$0" "$1""#, signal, &id])
            .status()
            .await?;
        Ok(())
    }

    /// How many of the two servers take connections.
    async fn open_ports(&self) -> usize {
        let amqp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.amqp)).await;
        let database = TcpStream::connect((Ipv4Addr::LOCALHOST, self.database)).await;
        [amqp, database]
            .iter()
            .filter(|attempt| attempt.is_ok())
            .count()
    }
}

fn is_running(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}
