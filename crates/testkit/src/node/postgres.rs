//! A private PostgreSQL, with data, socket and port of its own.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection};

use super::account::Account;
use super::guard::Guard;
use super::ports::free_ports;
use super::process::{Launch, ServerProcess};
use super::programs::PostgresPrograms;
use super::{START_ATTEMPTS, port_was_taken};
use crate::wait::{eventually, patience};

/// How long the server may take to come up, recovery after a crash included.
const START: Duration = Duration::from_secs(60);

/// How long an immediate stop may take.
const STOP: Duration = Duration::from_secs(30);

/// What the server says while processes of its predecessor are still there.
const STILL_IN_USE: &str = "pre-existing shared memory block";

/// How a private PostgreSQL differs from one that is started without options.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Whether a commit waits for the disk. Only a test that crashes the machine needs it: what is
    /// committed survives `kill -9` without. Default: false.
    pub fsync: bool,
    /// Further settings, as in `postgresql.conf`: name and value. Default: none.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server of this process alone, on the loopback address and on a Unix socket.
///
/// Starting takes about 2 seconds. The only user is `postgres`, without a password. Dropping the node
/// ends the server and removes its data; the same happens when this process ends in any way.
///
/// ```no_run
/// use counterfoil_testkit::{Database, PostgresNode};
///
/// # async fn example() -> anyhow::Result<()> {
/// let mut node = PostgresNode::start().await?;
/// let database = Database::of(&node).await?;
/// node.kill9()?;
/// node.restart().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct PostgresNode {
    // First, so that it is dropped first: it ends the process below.
    guard: Guard,
    server: Option<ServerProcess>,
    port: u16,
    account: Option<Account>,
    options: PostgresOptions,
    programs: PostgresPrograms,
}

impl PostgresNode {
    /// Starts a node with default options and returns once it answers queries.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not come up; the error carries the end of its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(PostgresOptions::default()).await
    }

    /// Starts a node with `options` and returns once it answers queries.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not come up; the error carries the end of its log.
    pub async fn start_with(options: PostgresOptions) -> anyhow::Result<Self> {
        let mut node = Self::initialised(options)?;
        for _ in 1..START_ATTEMPTS {
            match node.launch().await {
                Err(error) if port_was_taken(&error) => [node.port] = free_ports()?,
                result => return result.map(|()| node),
            }
        }
        node.launch().await?;
        Ok(node)
    }

    fn initialised(options: PostgresOptions) -> anyhow::Result<Self> {
        let programs = PostgresPrograms::find()?;
        let guard = Guard::start("postgres")?;
        // PostgreSQL refuses to run as root.
        let account = if guard.is_root()? {
            Some(Account::for_postgres()?)
        } else {
            None
        };
        let data = guard.folder().join("data");
        fs::DirBuilder::new().mode(0o700).create(&data)?;
        if let Some(account) = account {
            guard.open_to(account)?;
            chown(&data, Some(account.uid), Some(account.gid))?;
        }
        let [port] = free_ports()?;
        let node = Self {
            guard,
            server: None,
            port,
            account,
            options,
            programs,
        };
        node.initdb()?;
        Ok(node)
    }

    fn initdb(&self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.initdb);
        command
            // --no-sync: nothing here has to survive a power cut.
            .args(["--no-sync", "--auth=trust", "--username=postgres"])
            .args(["--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(self.data())
            .current_dir(self.guard.folder())
            .stdin(Stdio::null());
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        let output = command
            .output()
            .with_context(|| format!("could not run {}", self.programs.initdb.display()))?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let server = ServerProcess::start(
            &self.guard,
            Launch {
                name: "postgres",
                // Immediate shutdown: the server ends its own children and frees its shared memory.
                last_signal: "QUIT",
                program: &self.programs.server,
                args: self.args(),
                env: Vec::new(),
                run_as: self.account,
            },
        )?;
        let url = self.url("postgres");
        self.server
            .insert(server)
            .wait_until_up(START, async || answers(&url).await)
            .await
    }

    fn args(&self) -> Vec<String> {
        let durable = if self.options.fsync { "on" } else { "off" };
        let mut settings = vec![
            ("port".to_owned(), self.port.to_string()),
            ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
            (
                "unix_socket_directories".to_owned(),
                self.data().display().to_string(),
            ),
            ("fsync".to_owned(), durable.to_owned()),
            ("full_page_writes".to_owned(), durable.to_owned()),
            ("shared_buffers".to_owned(), "64MB".to_owned()),
            // Every test process has pools of its own.
            ("max_connections".to_owned(), "300".to_owned()),
            // Files in the data folder instead of /dev/shm, where kill -9 would leave them.
            ("dynamic_shared_memory_type".to_owned(), "mmap".to_owned()),
        ];
        settings.extend(self.options.settings.iter().cloned());
        let mut args = vec!["-D".to_owned(), self.data().display().to_string()];
        args.extend(
            settings
                .into_iter()
                .flat_map(|(k, v)| ["-c".to_owned(), format!("{k}={v}")]),
        );
        args
    }

    /// The URL of a database, over TCP.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a database, over the Unix socket.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        let socket = crate::broker::encoded(&self.data().display().to_string());
        format!("postgresql://postgres@{socket}:{}/{database}", self.port)
    }

    /// The port of the server, for a proxy in front of it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server as `kill -9` does. Its data stay for [`restart`](Self::restart).
    ///
    /// # Errors
    /// When the server is not running.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        self.server
            .take()
            .context("the database server is down already")?
            .kill9()
    }

    /// Stops the server at once, as `pg_ctl stop -m immediate` does: sessions are cut off, the next
    /// start recovers from the log. Its data stay for [`restart`](Self::restart).
    ///
    /// # Errors
    /// When the server is not running.
    pub async fn stop_immediate(&mut self) -> anyhow::Result<()> {
        let server = self
            .server
            .take()
            .context("the database server is down already")?;
        server.stop("QUIT", patience(STOP)).await
    }

    /// Starts the server again on the same port and data, after stopping it if it runs.
    ///
    /// # Errors
    /// When the server does not come up; the error carries the end of its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.server.is_some() {
            self.stop_immediate().await?;
        }
        // After kill -9 the sessions' processes live on for a moment, and the new server refuses to
        // share the data with them.
        eventually(
            "the old server's sessions to end",
            START,
            async || match self.launch().await {
                Err(error) if format!("{error:#}").contains(STILL_IN_USE) => Ok(None),
                result => result.map(Some),
            },
        )
        .await
    }

    /// Where its configuration, data and logs are, until it is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.guard.folder()
    }

    /// Id of the server's first process.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.server.iter().map(ServerProcess::id).collect()
    }

    fn data(&self) -> PathBuf {
        self.guard.folder().join("data")
    }
}

async fn answers(url: &str) -> bool {
    PgConnection::connect(url).await.is_ok()
}
