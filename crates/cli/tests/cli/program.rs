//! Runs the binary in an empty folder, with nothing of this process's environment.

use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// Part of every password in these tests: nothing that is printed may hold it.
pub(crate) const CANARY: &str = "canary7f3a";

/// The binary, with a folder and an environment of its own.
pub(crate) struct Program {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// What one run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Program {
    pub(crate) fn new() -> Self {
        let mut program = Self {
            folder: tempfile::tempdir().expect("the system has room for a folder"),
            env: Vec::new(),
        };
        // A bigger stack is not what is tested here, and saves the second start.
        program.set("RUST_MIN_STACK", "268435456");
        program
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.folder().join(name), text).expect("the folder is ours");
        self
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command
            .args(args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let started = Instant::now();
        let ended = self.command(args).output().await;
        Ran::new(ended.expect("the binary was built"), started.elapsed())
    }
}

impl Ran {
    fn new(output: Output, took: Duration) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("only UTF-8 is printed");
        let ran = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            took,
        };
        assert!(!format!("{ran:?}").contains(CANARY), "{ran:?}");
        // Not a terminal: no colours, no bars.
        assert!(
            !format!("{}{}", ran.stdout, ran.stderr).contains('\u{1b}'),
            "{ran:?}"
        );
        ran
    }

    /// Fails the test unless it ended with this code.
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Standard output as one JSON document per line.
    pub(crate) fn documents(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Standard output as the only JSON document.
    pub(crate) fn document(&self) -> Value {
        let mut documents = self.documents();
        assert_eq!(documents.len(), 1, "{self:#?}");
        documents.remove(0)
    }
}
