//! A systemd of our own, which runs the units of `deploy/systemd` as a machine would.

use super::Unit;
use crate::platform::{PATIENCE, binary};
use anyhow::Context as _;
use counterfoil_testkit::eventually;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Whether this machine lets us have one: root, with namespaces, and systemd is installed.
pub(super) fn can_be_had() -> bool {
    let programs = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
    let mut tried = Command::new("unshare");
    tried.args(["--pid", "--fork", "--mount", "--cgroup", "--mount-proc"]);
    tried.args(["mount", "-t", "tmpfs", "tmpfs", "/run"]);
    let may = tried.stderr(Stdio::null()).status();
    programs.iter().any(|program| Path::new(program).exists())
        && may.is_ok_and(|status| status.success())
}

/// What is installed before it starts.
pub(super) struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A machine with nothing on it.
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("bin"))?;
        Ok(Self { folder })
    }

    /// Installs a unit of `deploy/`. `here`: settings of its service that are others on a test's machine.
    pub(super) fn service(&self, path: &str, here: &str) -> anyhow::Result<()> {
        let name = Path::new(path).file_name().context("a name")?;
        let unit = format!("systemd/system/{}", name.to_string_lossy());
        self.write(&unit, &Unit::read(path)?.text)?;
        let log = self.folder.path().join("log");
        let log = log.display();
        let settings =
            format!("[Service]\nStandardOutput=append:{log}\nStandardError=append:{log}\n{here}");
        self.write(&format!("{unit}.d/test.conf"), &settings)
    }

    /// Writes a file below `/etc`.
    pub(super) fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join("etc").join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Puts a program of the workspace into `/usr/local/bin`.
    pub(super) fn install(&self, program: &str) -> anyhow::Result<()> {
        let link = self.folder.path().join("bin").join(program);
        Ok(symlink(binary(program)?, link)?)
    }

    /// Starts systemd, which starts these services.
    pub(super) async fn boot(self, services: &[&str]) -> anyhow::Result<Systemd> {
        let wants = services.join(" ");
        let target = format!("[Unit]\nDefaultDependencies=no\nWants={wants}\n");
        self.write("systemd/system/counterfoil.target", &target)?;
        for target in ["sysinit", "basic", "shutdown", "network-online"] {
            self.write(
                &format!("systemd/system/{target}.target"),
                "[Unit]\nDefaultDependencies=no\n",
            )?;
        }
        let name = format!("counterfoil-test-{}", std::process::id());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/systemd/manager.sh");
        let console = fs::File::create(self.folder.path().join("console"))?;
        let child = Command::new(script)
            .arg(self.folder.path())
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()?;
        let systemd = Systemd {
            child,
            name,
            machine: self,
        };
        eventually("systemd to answer", PATIENCE, async || {
            Ok(systemd.control(&["show", "--property=Version"]).ok())
        })
        .await
        .with_context(|| systemd.said())?;
        Ok(systemd)
    }
}

/// It runs until it is dropped, and nothing of it is left then.
pub(super) struct Systemd {
    child: Child,
    name: String,
    machine: Machine,
}

impl Systemd {
    /// Runs `systemctl` and returns what it prints.
    pub(super) fn control(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let first = children
            .split_whitespace()
            .next()
            .context("no process yet")?;
        let ran = Command::new("nsenter")
            .args(["--target", first, "--mount", "--pid", "systemctl"])
            .args(arguments)
            .output()?;
        let said = String::from_utf8_lossy(&ran.stderr);
        anyhow::ensure!(ran.status.success(), "systemctl {arguments:?}: {said}");
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    }

    /// A property of a service, as `systemctl show` prints it.
    pub(super) fn shows(&self, service: &str, property: &str) -> anyhow::Result<String> {
        self.control(&[
            "show",
            service,
            "--value",
            &format!("--property={property}"),
        ])
    }

    /// Waits until systemd has started a service anew so many times, and it is ready.
    pub(super) async fn is_ready(&self, service: &str, restarts: u32) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        let wanted = ["active".to_owned(), restarts.to_string()];
        let what = format!("{service} to be {wanted:?}");
        let waited = eventually(&what, PATIENCE, async || {
            seen = vec![
                self.shows(service, "ActiveState")?,
                self.shows(service, "NRestarts")?,
            ];
            Ok((seen == wanted).then_some(()))
        });
        waited
            .await
            .with_context(|| format!("{seen:?}\n{}", self.said()))
    }

    /// Sends a signal to a service's main process.
    pub(super) fn signal(&self, service: &str, signal: &str) -> anyhow::Result<()> {
        let signal = format!("--signal={signal}");
        self.control(&["kill", "--kill-who=main", &signal, service])
            .map(drop)
    }

    /// What the programs and systemd have said.
    pub(super) fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.machine.folder.path().join(name));
        let (console, log) = (read("console"), read("log"));
        format!(
            "{}\n{}",
            console.unwrap_or_default(),
            log.unwrap_or_default()
        )
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // All of its processes end with their first.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for groups in ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"] {
            let of_it = Path::new(groups).join(&self.name);
            let emptied = Command::new("find")
                .arg(of_it)
                .args(["-depth", "-type", "d", "-delete"])
                .stderr(Stdio::null())
                .status();
            drop(emptied);
        }
    }
}
