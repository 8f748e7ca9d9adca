//! The folder of a private node, and the watchdog that ends the node when its owner is gone.
//!
//! `Drop` alone is not enough: it does not run for statics, nor after Ctrl-C, nor when a test runner
//! kills a test that hangs. So each node has a small shell process beside it that does nothing but
//! read a pipe. The pipe ends when this process drops the [`Guard`] or dies, and then the shell kills
//! the servers and removes the folder. Dropping uses the same path, so every test exercises it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use super::account::Account;

const SCRIPT: &str = include_str!("guard.sh");

/// A temporary folder whose servers end, and which is removed, when this value or its process is gone.
#[derive(Debug)]
pub(super) struct Guard {
    folder: PathBuf,
    watchdog: Child,
}

impl Guard {
    /// Makes a folder named after `kind` and starts its watchdog.
    pub(super) fn start(kind: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("counterfoil-{kind}-"))
            .tempdir()
            .context("could not make a temporary folder for a private node")?;
        fs::create_dir(folder.path().join("pids"))?;
        let watchdog = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "counterfoil-guard"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to the whole group; the watchdog has to outlive it.
            .process_group(0)
            .spawn()
            .context("could not start the watchdog of a private node")?;
        // From here on the watchdog removes the folder.
        Ok(Self {
            folder: folder.keep(),
            watchdog,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the process id of a server is written, so that the watchdog finds it.
    pub(super) fn pid_file(&self, server: &str, last_signal: &str) -> PathBuf {
        self.folder
            .join("pids")
            .join(format!("{server}.{last_signal}"))
    }

    /// Whether this process runs as root, told from the owner of what it has just made.
    pub(super) fn is_root(&self) -> anyhow::Result<bool> {
        Ok(fs::metadata(&self.folder)?.uid() == 0)
    }

    /// Lets `account` pass through the folder and write process ids.
    pub(super) fn open_to(&self, account: Account) -> anyhow::Result<()> {
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o711))?;
        chown(
            self.folder.join("pids"),
            Some(account.uid),
            Some(account.gid),
        )?;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // An error means that somebody else has waited for it: then it is gone, which is what counts.
        let _ = self.watchdog.wait();
    }
}
