//! What `tests/run` does to the machine is undone, however it ends.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use tempfile::TempDir;

/// A folder in the place of `/usr/sbin`.
struct Machine(TempDir);

impl Machine {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn policy(&self) -> PathBuf {
        self.0.path().join("policy-rc.d")
    }

    fn run(&self, command: &[&str]) -> anyhow::Result<ExitStatus> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("without-services");
        let mut run = Command::new(script);
        run.args(command).env("POLICY_RC_D", self.policy());
        Ok(run.status()?)
    }

    /// Runs a command that ends its own parent as `kill -9` does.
    fn run_killed(&self) -> anyhow::Result<()> {
        let status = self.run(&["sh", "-c", "kill -9 $PPID"])?;
        anyhow::ensure!(status.signal() == Some(9), "{status}");
        Ok(())
    }

    /// Names and contents of all files.
    fn files(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.0.path())? {
            let entry = entry?;
            files.push((
                entry.file_name().to_string_lossy().into_owned(),
                std::fs::read_to_string(entry.path())?,
            ));
        }
        Ok(files)
    }
}

#[test]
fn no_server_is_started_while_a_command_runs_and_its_outcome_is_kept() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    let policy = machine.policy().display().to_string();
    let forbids = format!("{policy}; [ $? = 101 ]");
    assert!(machine.run(&["sh", "-c", &forbids])?.success());
    assert_eq!(machine.run(&["sh", "-c", "exit 7"])?.code(), Some(7));
    assert_eq!(machine.files()?, []);
    Ok(())
}

#[test]
fn a_run_that_was_killed_leaves_nothing_behind_after_the_next() -> anyhow::Result<()> {
    let own = ("policy-rc.d".to_owned(), "#!/bin/sh\nexit 0\n".to_owned());
    for before in [vec![], vec![own]] {
        for next in [&[][..], &["true"]] {
            let machine = Machine::new()?;
            if let Some((_, text)) = before.first() {
                std::fs::write(machine.policy(), text)?;
            }
            machine.run_killed()?;
            assert_ne!(machine.files()?, before);
            // Once more: what was set aside must not be taken for the machine's own.
            machine.run_killed()?;
            assert!(machine.run(next)?.success());
            assert_eq!(machine.files()?, before, "{next:?}");
        }
    }
    Ok(())
}
