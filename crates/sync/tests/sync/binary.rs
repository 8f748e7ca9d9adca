//! The process `counterfoil-sync`: how it starts, what it says, how it ends.

use crate::support::{SOON, World, task};
use anyhow::Context;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use tempfile::{NamedTempFile, TempDir};

/// A daemon that does not outlive its test.
struct Process {
    child: Child,
    /// What it says. A pipe would stop it once nobody reads.
    log: NamedTempFile,
}

/// How a daemon ended, and what it had said.
struct End {
    code: Option<i32>,
    said: String,
}

impl Process {
    /// Starts one with nothing in its environment but what the test gives it.
    fn start(environment: &[(&'static str, String)]) -> anyhow::Result<Self> {
        let log = NamedTempFile::new()?;
        let child = Command::new(env!("CARGO_BIN_EXE_counterfoil-sync"))
            .env_clear()
            .envs(environment.iter().cloned())
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen()?)
            .spawn()?;
        Ok(Self { child, log })
    }

    fn terminate(&self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status()?;
        anyhow::ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<End> {
        let status = eventually("the daemon to end", SOON, async || {
            Ok(self.child.try_wait()?)
        })
        .await?;
        let said = std::fs::read(self.log.path())?;
        Ok(End {
            code: status.code(),
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is no trouble.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hears what a daemon tells systemd.
struct Systemd {
    socket: UnixDatagram,
    told: String,
    folder: TempDir,
}

impl Systemd {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            told: String::new(),
            folder,
        })
    }

    /// What leads a daemon to it.
    fn variable(&self) -> (&'static str, String) {
        let path = self.folder.path().join("notify");
        ("NOTIFY_SOCKET", path.display().to_string())
    }

    async fn hears(&mut self, word: &str) -> anyhow::Result<()> {
        self.hears_often(word, 1).await
    }

    async fn hears_often(&mut self, word: &str, times: usize) -> anyhow::Result<()> {
        eventually(word, SOON, async || {
            let mut buffer = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                self.told
                    .push_str(&String::from_utf8_lossy(&buffer[..length]));
                self.told.push('\n');
            }
            Ok((self.told.matches(word).count() >= times).then_some(()))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_mirrors_tells_systemd_and_drains_on_a_signal() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let mut systemd = Systemd::start()?;
    let mut environment = world.environment();
    environment.push(systemd.variable());
    environment.push(("WATCHDOG_USEC", "1000000".to_owned()));
    let daemon = Process::start(&environment)?;
    systemd.hears("READY=1").await?;
    systemd.hears("STATUS=").await?;
    systemd.hears_often("WATCHDOG=1", 3).await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    daemon.terminate()?;
    let end = daemon.end().await?;
    assert_eq!(end.code, Some(0), "{}", end.said);
    systemd.hears("STOPPING=1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_nested_deep_enough_to_overflow_a_small_stack_do_not_end_it() -> anyhow::Result<()>
{
    let world = World::on_servers().await?;
    let daemon = Process::start(&world.environment())?;
    world.publish_nested(&world.names.tasks, "demo.add", 5_000)?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let parked = world.parked(1).await?.remove(0);
    assert_eq!(parked.queue, world.names.tracking_queue.as_str());
    daemon.terminate()?;
    let end = daemon.end().await?;
    assert_eq!(end.code, Some(0), "{}", end.said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_ends_the_start_and_is_never_printed() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let mut environment = world.environment();
    for (name, value) in &mut environment {
        if *name == "COUNTERFOIL_BROKER__URL" {
            let (_, server) = value.split_once('@').context("a URL with a user")?;
            *value = format!("amqp://guest:canary-password@{server}");
        }
    }
    environment.push(("RUST_LOG", "trace".to_owned()));
    let end = Process::start(&environment)?.end().await?;
    assert_eq!(end.code, Some(69), "{}", end.said);
    assert!(end.said.contains("refused"), "{}", end.said);
    assert!(!end.said.contains("canary-password"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_exist_ends_the_start() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let mut environment = world.environment();
    for (name, value) in &mut environment {
        if *name == "COUNTERFOIL_DATABASE__URL" {
            let (server, _) = value.rsplit_once('/').context("a URL with a database")?;
            *value = format!("{server}/nowhere");
        }
    }
    let end = Process::start(&environment)?.end().await?;
    assert_eq!(end.code, Some(69), "{}", end.said);
    assert!(end.said.contains("nowhere"), "{}", end.said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_configured_is_named_all_at_once() -> anyhow::Result<()> {
    let production = [("COUNTERFOIL_PROFILE", "production".to_owned())];
    let end = Process::start(&production)?.end().await?;
    assert_eq!(end.code, Some(78), "{}", end.said);
    for field in ["broker.url", "database.url", "database.id_secret"] {
        assert!(end.said.contains(field), "{}", end.said);
    }
    Ok(())
}

mod own_nodes {
    use super::*;
    use counterfoil_testkit::{Database, PostgresNode};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_signal_ends_it_while_it_waits_for_the_database() -> anyhow::Result<()> {
        let mut server = PostgresNode::start().await?;
        let database = Database::of(&server).await?;
        let world = World::on_servers_with(database).await?;
        let mut systemd = Systemd::start()?;
        let mut environment = world.environment();
        environment.push(systemd.variable());
        let daemon = Process::start(&environment)?;
        world
            .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
            .await?;
        world.row_in("t1", TaskState::Pending).await?;
        server.stop_immediate().await?;
        for n in 2..10 {
            let message = task(&format!("t{n}"), "demo.add");
            world
                .publish(&world.names.tasks, "demo.add", message)
                .await?;
        }
        systemd.hears("STATUS=database: ").await?;
        daemon.terminate()?;
        systemd.hears("STOPPING=1").await?;
        daemon.terminate()?;
        let end = daemon.end().await?;
        assert_eq!(end.code, Some(130), "{}", end.said);
        Ok(())
    }
}

#[tokio::test]
async fn a_daemon_that_comes_before_init_says_so_and_makes_no_file() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("not-yet.db");
    let url = format!("sqlite://{}", file.display());
    let process = Process::start(&[("COUNTERFOIL_DATABASE__URL", url)])?;
    let end = process.end().await?;
    assert_eq!(end.code, Some(78), "{}", end.said);
    assert!(
        end.said.contains("run `counterfoil init` first"),
        "{}",
        end.said
    );
    assert!(!file.exists());
    Ok(())
}
