//! One server process of a private node: started, signalled and ended by its own id.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::account::Account;
use super::guard::Guard;
use crate::wait::patience;

/// Writes its own id where the watchdog looks, then becomes the server unless the watchdog is at work
/// already: there is no moment in which the server runs and the watchdog does not know of it.
const LAUNCH: &str = r#"
    echo "$$" > "$0.new" && mv "$0.new" "$0" && [ ! -e "${0%/*/*}/closed" ] && exec "$@"
"#;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(20);

/// How much of a server's output goes into an error: Erlang says why it failed, and then describes
/// a hundred lines of processes.
const LOG_LINES: usize = 200;

/// What to start, and how it ends.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// A name for the server, unique within its node.
    pub(super) name: &'a str,
    /// The signal after which nothing of the server is left: `KILL`, `QUIT`.
    pub(super) last_signal: &'a str,
    pub(super) program: &'a Path,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(&'static str, String)>,
    pub(super) run_as: Option<Account>,
}

/// A running server, or one that has ended and was not waited for yet.
#[derive(Debug)]
pub(super) struct ServerProcess {
    name: String,
    child: Child,
    pid_file: PathBuf,
    log_file: PathBuf,
}

impl ServerProcess {
    /// Starts a server in its own process group, so that Ctrl-C in a terminal does not reach it.
    pub(super) fn start(guard: &Guard, launch: Launch<'_>) -> anyhow::Result<Self> {
        let log_file = guard.folder().join(format!("{}.out", launch.name));
        let log = File::options().create(true).append(true).open(&log_file)?;
        let pid_file = guard.pid_file(launch.name, launch.last_signal);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", LAUNCH])
            .arg(&pid_file)
            .arg(launch.program)
            .args(launch.args)
            // Whoever runs the tests may have RABBITMQ_* or PG* variables for a server of their own.
            .env_clear()
            .env(
                "PATH",
                std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
            )
            .env("LANG", "C.UTF-8")
            .envs(launch.env)
            .current_dir(guard.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        if let Some(account) = launch.run_as {
            command.uid(account.uid).gid(account.gid);
        }
        let child = command
            .spawn()
            .with_context(|| format!("could not start {}", launch.program.display()))?;
        Ok(Self {
            name: launch.name.to_owned(),
            child,
            pid_file,
            log_file,
        })
    }

    /// The status it ended with, or nothing while it runs.
    pub(super) fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.forget()?;
        }
        Ok(status)
    }

    /// Asks `probe` until it says yes.
    ///
    /// # Errors
    /// When the server ends instead, or is not up in time; either way with the end of its log.
    pub(super) async fn wait_until_up(
        &mut self,
        within: Duration,
        mut probe: impl AsyncFnMut() -> bool,
    ) -> anyhow::Result<()> {
        let within = patience(within);
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.exit_status()? {
                bail!(
                    "{} ended while starting ({status}):\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if probe().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} was not up after {within:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM` or `STOP`.
    pub(super) fn signal(&self, signal: &str) -> anyhow::Result<()> {
        // By the shell's own `kill`: the workspace forbids the unsafe call, and a minimal system
        // has no program of that name.
        let status = Command::new("/bin/sh")
            .args([
                "-c",
                r#"kill -s "$0" "$1""#,
                signal,
                &self.child.id().to_string(),
            ])
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("could not send {signal} to {}: {status}", self.name);
        }
        Ok(())
    }

    /// Ends the process without giving it a chance to tidy up.
    pub(super) fn kill9(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.forget()?;
        if status.signal() != Some(9) {
            bail!(
                "{} had ended by itself before it was killed: {status}",
                self.name
            );
        }
        Ok(())
    }

    /// Sends `signal` and waits until the process has ended.
    pub(super) async fn stop(mut self, signal: &str, within: Duration) -> anyhow::Result<()> {
        self.signal(signal)?;
        let deadline = Instant::now() + within;
        while self.exit_status()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} did not end within {within:?} of {signal}", self.name);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The last lines of its output, for an error that has to explain itself.
    fn log_tail(&self) -> String {
        let text = fs::read(&self.log_file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Once waited for, the id may belong to another process: nobody may signal it any more.
    fn forget(&self) -> anyhow::Result<()> {
        match fs::remove_file(&self.pid_file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for ServerProcess {
    /// Takes the exit status, so that no zombie stays; ending the server is the guard's part, which
    /// its node drops first.
    fn drop(&mut self) {
        let _ = self.child.try_wait();
    }
}
