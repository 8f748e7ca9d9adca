//! Programs that tests start.

use super::PATIENCE;
use anyhow::Context as _;
use counterfoil_testkit::eventually;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A process that ends with its test.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, which writes whatever it says to `log`.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let (out, err) = (
            File::create(&log)?,
            File::options().append(true).open(&log)?,
        );
        let child = command.stdout(out).stderr(err).spawn();
        let program = command.get_program().to_string_lossy();
        Ok(Self {
            child: child.with_context(|| format!("{program} could not be started"))?,
            log,
        })
    }

    /// Its number on this machine.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill9(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it in the middle of whatever it does, until it is [thawed](Self::thaw).
    pub(crate) fn freeze(&self) -> anyhow::Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        self.signal("-CONT")
    }

    /// Asks it to stop, waits, and returns its exit code.
    pub(crate) async fn terminate(self) -> anyhow::Result<i32> {
        self.ask_to_stop()?;
        self.end().await
    }

    /// Sends SIGTERM.
    pub(crate) fn ask_to_stop(&self) -> anyhow::Result<()> {
        self.signal("-TERM")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status()?;
        anyhow::ensure!(sent.success(), "the process is gone already");
        Ok(())
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end, and returns its exit code.
    pub(crate) async fn end(mut self) -> anyhow::Result<i32> {
        let code = eventually("the process to end", PATIENCE, async || {
            Ok(self.child.try_wait()?)
        })
        .await?;
        code.code().context("it ended by a signal")
    }

    /// Fails, with the end of its log, when the process has ended by itself.
    pub(crate) fn assert_running(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        anyhow::bail!("it ended with {status}: {}", self.log_tail())
    }

    /// The last lines that it wrote.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        format!("{}:\n{tail}", self.log.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tests lie in `target/<profile>/deps`, programs one folder above, unless `COUNTERFOIL_TEST_PROGRAMS` names another.
pub(crate) fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("COUNTERFOIL_TEST_PROGRAMS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let tests = std::env::current_exe()?;
            let folder = tests.parent().and_then(Path::parent);
            folder.context("the folder of programs")?.to_owned()
        }
    };
    let path = folder.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is not built: use tests/run, or cargo build --workspace --bins",
        path.display()
    );
    Ok(path)
}
