//! A private RabbitMQ, with data, ports and an Erlang port mapper of its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::guard::Guard;
use super::ports::free_ports;
use super::process::{Launch, ServerProcess};
use super::programs::RabbitPrograms;
use super::rabbit_settings::{NODE_NAME, RabbitOptions, RabbitPlace};
use super::{START_ATTEMPTS, port_was_taken};
use crate::wait::patience;

/// How long the broker may take to come up: 4 to 5 seconds on an idle machine.
const START: Duration = Duration::from_secs(90);

/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(60);

/// How long the broker may take to kill itself: 1 second on an idle machine.
const DYING: Duration = Duration::from_secs(20);

/// Erlang: waits for each quorum queue until it has chosen its leader, and lists those that found
/// none. The broker takes connections about 1 second earlier, and until then the queue's figures are 0.
///
/// A queue whose declaration was cut short waits for ever for somebody to ask it for an election.
const QUEUES_WITHOUT_LEADER: &str = "
    HasLeader = fun(Server, Timeout) -> element(1, ra:members(Server, Timeout)) =:= ok end,
    [amqqueue:get_name(Queue) || Queue <- rabbit_amqqueue:list(),
        amqqueue:get_type(Queue) =:= rabbit_quorum_queue,
        Server <- [amqqueue:get_pid(Queue)],
        not HasLeader(Server, 5000),
        ok =/= ra:trigger_election(Server) orelse not HasLeader(Server, 60000)].";

/// Erlang: ends the node as `kill -9` does, after it has written which quorum queues there are.
///
/// The broker writes the name of the youngest up to a second after its declaration. One that it did not
/// write has neither messages nor a leader ever after, which says nothing about the clients of the broker.
const DIE: &str = "
    [dets:sync(Table) || Table <- dets:all()],
    os:cmd(\"kill -9 \" ++ os:getpid()).";

/// A RabbitMQ server of this process alone, with the management API, on the loopback address.
///
/// Starting takes 4 to 5 seconds and 130 MB. Dropping the node kills it and removes its data; the
/// same happens when this process ends in any way, `kill -9` included.
///
/// ```no_run
/// use counterfoil_testkit::{Broker, RabbitNode};
///
/// # async fn example() -> anyhow::Result<()> {
/// let mut node = RabbitNode::start().await?; // ends with this value
/// let vhost = Broker::of(&node)?.vhost().await?;
/// node.kill9().await?;
/// node.restart().await?; // with its messages, at the same port
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RabbitNode {
    // First, so that it is dropped first: it ends the processes below.
    guard: Guard,
    broker: Option<ServerProcess>,
    /// `None`: that of the first node of its cluster.
    port_mapper: Option<ServerProcess>,
    place: RabbitPlace,
    options: RabbitOptions,
    programs: RabbitPrograms,
}

impl RabbitNode {
    /// Starts a node with default options and returns once it takes connections.
    ///
    /// # Errors
    /// When RabbitMQ is not installed, or does not come up; the error carries the end of its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(RabbitOptions::default()).await
    }

    /// Starts a node with `options` and returns once it takes connections.
    ///
    /// # Errors
    /// When RabbitMQ is not installed, or does not come up; the error carries the end of its log.
    pub async fn start_with(options: RabbitOptions) -> anyhow::Result<Self> {
        Self::start_as(NODE_NAME, None, options).await
    }

    /// Starts another node of the cluster whose first node is `first`, and returns once it has joined and takes
    /// connections.
    pub(super) async fn join(
        first: &Self,
        name: &'static str,
        options: RabbitOptions,
    ) -> anyhow::Result<Self> {
        Self::start_as(name, Some(first.place.epmd), options).await
    }

    async fn start_as(
        name: &'static str,
        epmd: Option<u16>,
        options: RabbitOptions,
    ) -> anyhow::Result<Self> {
        let programs = RabbitPrograms::find()?;
        for _ in 1..START_ATTEMPTS {
            match Self::start_once(name, epmd, &options, &programs).await {
                Err(error) if port_was_taken(&error) => {}
                result => return result,
            }
        }
        Self::start_once(name, epmd, &options, &programs).await
    }

    async fn start_once(
        name: &'static str,
        epmd: Option<u16>,
        options: &RabbitOptions,
        programs: &RabbitPrograms,
    ) -> anyhow::Result<Self> {
        let guard = Guard::start("rabbitmq")?;
        let [amqp, management, own_epmd, distribution] = free_ports()?;
        let place = RabbitPlace {
            name,
            amqp,
            management,
            epmd: epmd.unwrap_or(own_epmd),
            distribution,
        };
        options.write(guard.folder(), place)?;
        let mut node = Self {
            guard,
            broker: None,
            port_mapper: None,
            place,
            options: options.clone(),
            programs: programs.clone(),
        };
        if epmd.is_none() {
            node.launch_port_mapper().await?;
        }
        node.launch().await?;
        Ok(node)
    }

    async fn launch_port_mapper(&mut self) -> anyhow::Result<()> {
        let epmd = self.place.epmd;
        let port_mapper = ServerProcess::start(
            &self.guard,
            Launch {
                name: "epmd",
                last_signal: "KILL",
                program: &self.programs.port_mapper,
                args: vec!["-port".to_owned(), epmd.to_string()],
                env: self.options.env(self.guard.folder(), self.place),
                run_as: None,
            },
        )?;
        // The Erlang machine looks for its port mapper once, at start.
        self.port_mapper
            .insert(port_mapper)
            .wait_until_up(START, async || is_open(epmd).await)
            .await
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let broker = ServerProcess::start(
            &self.guard,
            Launch {
                name: "rabbitmq",
                last_signal: "KILL",
                program: &self.programs.server,
                args: Vec::new(),
                env: self.options.env(self.guard.folder(), self.place),
                run_as: None,
            },
        )?;
        // RabbitMQ opens this port last, when everything else is in place.
        let amqp = self.place.amqp;
        self.broker
            .insert(broker)
            .wait_until_up(START, async || is_open(amqp).await)
            .await
    }

    /// The URL of a vhost for the user `guest`, who may do everything.
    #[must_use]
    pub fn amqp_url(&self, vhost: &str) -> String {
        format!(
            "{}/{}",
            self.amqp_server_url(),
            crate::broker::encoded(vhost)
        )
    }

    /// The URL of the server, without a vhost.
    #[must_use]
    pub fn amqp_server_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.place.amqp)
    }

    /// The URL of the management API, for the user `guest`.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.place.management)
    }

    /// The port of AMQP, for a proxy in front of it.
    #[must_use]
    pub fn amqp_port(&self) -> u16 {
        self.place.amqp
    }

    /// Kills the broker as `kill -9` does, about 1 second after it was asked to. Its data stay for
    /// [`restart`](Self::restart).
    ///
    /// Every queue that was declared before the kill is there afterwards. In production that takes up to
    /// a second: a quorum queue that is younger is lost with what is in it when its only node is killed.
    ///
    /// # Errors
    /// When the broker is not running.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        self.running()?;
        // The broker dies before it can answer. One that is paused is killed from outside.
        let dying = self.control(&["eval", DIE]);
        let _ = tokio::time::timeout(patience(DYING), dying).await;
        let broker = self.broker.take().context("the broker is down already")?;
        broker.kill9()
    }

    /// Stops the broker in an orderly way. Its data stay for [`restart`](Self::restart).
    ///
    /// # Errors
    /// When the broker is not running, or takes longer than a minute.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let broker = self.broker.take().context("the broker is down already")?;
        broker.stop("TERM", patience(STOP)).await
    }

    /// Starts the broker again on the same ports and data, after stopping it if it runs, and returns
    /// once every queue answers. Clients get through 1 to 2 seconds earlier.
    ///
    /// # Errors
    /// When the broker does not come up; the error carries the end of its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.broker.is_some() {
            self.stop().await?;
        }
        self.launch().await?;
        let leaderless = self.control(&["eval", QUEUES_WITHOUT_LEADER]).await?;
        ensure!(
            leaderless.trim() == "[]",
            "quorum queues found no leader: {leaderless}"
        );
        Ok(())
    }

    /// Freezes the broker: its sockets stay open and nobody answers.
    ///
    /// # Errors
    /// When the broker is not running.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.running()?.signal("STOP")
    }

    /// Lets a frozen broker go on.
    ///
    /// # Errors
    /// When the broker is not running.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.running()?.signal("CONT")
    }

    /// Runs `rabbitmqctl` on this node and returns what it printed. About 1 second.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn control(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.programs.control)
            .args(["-q", "-n", self.place.name])
            .args(args)
            .envs(self.options.env(self.guard.folder(), self.place))
            .output()
            .await
            .with_context(|| format!("could not run {}", self.programs.control.display()))?;
        if !output.status.success() {
            bail!(
                "rabbitmqctl {}: {}{}",
                args.join(" "),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The broker's own log, for a test that asserts on what the broker saw.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.guard
            .folder()
            .join("log")
            .join(format!("{}.log", self.place.name))
    }

    /// Where its configuration, data and logs are, until it is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.guard.folder()
    }

    /// Ids of the processes that make up this node, its own port mapper last.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.broker
            .iter()
            .chain(&self.port_mapper)
            .map(ServerProcess::id)
            .collect()
    }

    fn running(&self) -> anyhow::Result<&ServerProcess> {
        self.broker.as_ref().context("the broker is down")
    }
}

async fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_ok()
}
