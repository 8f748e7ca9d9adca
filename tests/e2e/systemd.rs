//! The units of `deploy/systemd` and of a new worker: systemd takes them, they hold a whole configuration, and they
//! restart what shall be restarted.

mod alive;
mod manager;

use crate::secrets;
use anyhow::Context as _;
use counterfoil_toolbox::config::{Config, LoadOptions, Role, SyncSettings, WorkerSettings};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What a program needs for its last words beside what its handlers get.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Highest exposure, of 100, that `systemd-analyze security` may find: about what its manual calls OK.
const EXPOSURE: &str = "--threshold=20";

const SYNC: &str = "deploy/systemd/counterfoil-sync.service";
const DASHBOARD: &str = "deploy/systemd/counterfoil-dashboard.service";
const WORKER: &str = "deploy/systemd/counterfoil-worker@.service";
const TEMPLATE: &str = "worker-template/deploy/abacus-worker.service";

/// Settings of a unit, in order.
struct Unit {
    text: String,
}

impl Unit {
    fn read(path: &str) -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join(path)).context(path.to_owned())?;
        Ok(Self { text })
    }

    /// Every value of a setting.
    fn all(&self, setting: &str) -> Vec<&str> {
        let settings = self.text.lines().filter_map(|line| line.split_once('='));
        let of_it = settings.filter(|(name, _)| *name == setting);
        of_it.map(|(_, value)| value).collect()
    }

    fn one(&self, setting: &str) -> anyhow::Result<&str> {
        match self.all(setting)[..] {
            [value] => Ok(value),
            ref values => anyhow::bail!("{setting}: {values:?}"),
        }
    }

    fn seconds(&self, setting: &str) -> anyhow::Result<Duration> {
        let seconds = self.one(setting)?.strip_suffix('s').context("seconds")?;
        Ok(Duration::from_secs(seconds.parse()?))
    }

    /// What keeps the program from doing harm: all behind its last comment.
    fn hardening(&self) -> Option<&str> {
        let (_, behind) = self.text.rsplit_once("\n#")?;
        behind.split_once('\n').map(|(_, settings)| settings)
    }
}

/// The unit as it would be if its program were installed: systemd looks whether it can be run.
fn installed(path: &str, folder: &TempDir) -> anyhow::Result<PathBuf> {
    let unit = Unit::read(path)?;
    let program = unit.one("ExecStart")?;
    let name = Path::new(path).file_name().context("a name")?;
    let copy = folder.path().join(name);
    std::fs::write(&copy, unit.text.replace(program, "/bin/true"))?;
    Ok(copy)
}

#[test]
fn systemd_takes_every_unit_and_finds_it_well_shut_off() -> anyhow::Result<()> {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("not tried: there is no systemd-analyze on this machine");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for path in [SYNC, WORKER, TEMPLATE, DASHBOARD] {
        let unit = installed(path, &folder)?;
        let verified = Command::new("systemd-analyze")
            .arg("verify")
            .arg(&unit)
            .output()?;
        let said = String::from_utf8_lossy(&verified.stderr);
        anyhow::ensure!(
            verified.status.success() && said.is_empty(),
            "{path}: {said}"
        );
        let mut looked = Command::new("systemd-analyze");
        let looked = looked
            .args(["security", "--offline=true", EXPOSURE])
            .arg(&unit);
        let looked = looked.output()?;
        let said = String::from_utf8_lossy(&looked.stdout);
        anyhow::ensure!(looked.status.success(), "{path}: {said}");
    }
    Ok(())
}

#[test]
fn the_variables_of_each_unit_are_all_that_its_program_needs_in_production() -> anyhow::Result<()> {
    let folder = secrets::in_files()?;
    let credentials = folder.path().display().to_string();
    for (path, role) in [
        (SYNC, Role::Daemon),
        (WORKER, Role::Worker),
        (TEMPLATE, Role::Worker),
        (DASHBOARD, Role::Dashboard),
    ] {
        let unit = Unit::read(path)?;
        let variables = unit.all("Environment");
        let variables = variables.iter().filter_map(|line| line.split_once('='));
        let variables = variables.map(|(name, value)| (name, value.replace("%d", &credentials)));
        let config = Config::load(LoadOptions::new(role).env(variables)).context(path)?;
        assert_eq!(config.broker.urls.len(), 1, "{path}");
        // Whoever reads a credential has it loaded, under that name, and nobody has more than that.
        let loaded = unit.all("LoadCredential");
        let loaded: Vec<_> = loaded
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        let read = unit.all("Environment");
        let read: Vec<_> = read
            .iter()
            .filter_map(|line| Some(line.split_once("%d/")?.1))
            .collect();
        assert_eq!(loaded, read, "{path}");
        assert!(
            unit.all("Environment")
                .contains(&"RUST_MIN_STACK=268435456"),
            "{path}"
        );
    }
    Ok(())
}

#[test]
fn what_people_have_to_mend_is_not_restarted_and_all_else_that_fails_is() -> anyhow::Result<()> {
    for path in [SYNC, WORKER, TEMPLATE, DASHBOARD] {
        let unit = Unit::read(path)?;
        assert_eq!(unit.one("Restart")?, "on-failure", "{path}");
        assert_eq!(unit.one("RestartPreventExitStatus")?, "2 78", "{path}");
        assert_eq!(unit.one("SuccessExitStatus")?, "130", "{path}");
        assert_eq!(unit.one("StartLimitIntervalSec")?, "0", "{path}");
        // Three tries a minute of a wrong password.
        assert!(
            unit.seconds("RestartSec")? >= Duration::from_secs(20),
            "{path}"
        );
    }
    Ok(())
}

#[test]
fn a_program_that_drains_is_not_killed_before_its_patience_is_over() -> anyhow::Result<()> {
    let drains = WorkerSettings::default().drain_timeout + LAST_WORDS;
    for path in [WORKER, TEMPLATE] {
        assert!(
            Unit::read(path)?.seconds("TimeoutStopSec")? > drains,
            "{path}"
        );
    }
    let sync = Unit::read(SYNC)?;
    let batch = SyncSettings::default().batch_wait + LAST_WORDS;
    assert!(sync.seconds("TimeoutStopSec")? > batch);
    Ok(())
}

#[test]
fn systemd_hears_how_every_program_is_and_ends_one_that_falls_silent() -> anyhow::Result<()> {
    for path in [SYNC, WORKER, TEMPLATE] {
        let unit = Unit::read(path)?;
        // It speaks at least every five seconds, or twice in this time.
        assert_eq!(unit.one("Type")?, "notify", "{path}");
        let silence = unit.seconds("WatchdogSec")?;
        assert!(silence >= Duration::from_secs(10), "{path}: {silence:?}");
        // While it waits for a server it asks for 30 s more, every five.
        assert!(
            unit.seconds("TimeoutStartSec")? > Duration::from_secs(35),
            "{path}"
        );
    }
    Ok(())
}

#[test]
fn a_new_worker_is_shut_off_as_every_worker_is() -> anyhow::Result<()> {
    let (ours, theirs) = (Unit::read(WORKER)?, Unit::read(TEMPLATE)?);
    let hardening = ours.hardening().context("it has some")?;
    assert!(hardening.contains("\nNoNewPrivileges=yes\n"), "{hardening}");
    assert_eq!(Some(hardening), theirs.hardening());
    Ok(())
}
