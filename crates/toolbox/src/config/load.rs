//! A configuration from its layers.

use super::dashboard::{self, DashboardSettings};
use super::fault::ConfigError;
use super::read::Section;
use super::role::{Profile, Role};
use super::sections::{
    BreakerSettings, BrokerSettings, DatabaseSettings, SyncSettings, TelemetrySettings,
    WorkerSettings,
};
use super::{layers, resolve};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that a process is told. Secrets are not shown by `Debug`. [`LoadOptions`] has an example.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the process runs.
    pub profile: Profile,
    /// The file that was read. `None`: none was named and there is no `counterfoil.toml`.
    pub file: Option<PathBuf>,
    /// `[broker]`. In production, and for a role that needs no broker, `urls` may be empty.
    pub broker: BrokerSettings,
    /// `[breaker]`
    pub breaker: BreakerSettings,
    /// `[database]`. `None`: in production, when none is configured and the role needs none.
    pub database: Option<DatabaseSettings>,
    /// `[worker]`
    pub worker: WorkerSettings,
    /// `[sync]`
    pub sync: SyncSettings,
    /// `[dashboard]`
    pub dashboard: DashboardSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// JSON file of the schemas of tasks, `{"export.project": {…}}`, against which arguments are
    /// checked when no worker has announced the task. `catalogue`. Default: none.
    pub catalogue: Option<PathBuf>,
}

/// Where to look for a configuration, and what it is for.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
///
/// let options = LoadOptions::from_process(Role::Producer); // what a program does
/// # let file = std::env::temp_dir().join(format!("counterfoil-{}.toml", std::process::id()));
/// # std::fs::write(&file, "[worker]\nconcurrency = 8\n")?;
/// # let options = LoadOptions::new(Role::Worker);
/// let options = options.file(Some(file.clone())); // as its `--config` says
/// let options = options.env([("COUNTERFOIL_WORKER__PREFETCH", "2")]);
/// let config = Config::load(options)?;
/// assert_eq!((config.worker.concurrency, config.worker.prefetch), (8, Some(2)));
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LoadOptions {
    role: Role,
    file: Option<PathBuf>,
    env: BTreeMap<String, String>,
}

impl LoadOptions {
    /// For `role`, with `counterfoil.toml` when it is there, and an empty environment.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            file: None,
            env: BTreeMap::new(),
        }
    }

    /// For `role`, with `counterfoil.toml` when it is there, and the environment of this process.
    #[must_use]
    pub fn from_process(role: Role) -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        };
        Self::new(role).env(std::env::vars_os().filter_map(unicode))
    }

    /// Reads `file` instead, which must be there. `None` changes nothing.
    #[must_use]
    pub fn file(mut self, file: Option<PathBuf>) -> Self {
        self.file = file;
        self
    }

    /// Adds variables; they go before those that are there.
    #[must_use]
    pub fn env<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.env
            .extend(variables.into_iter().map(|(n, v)| (n.into(), v.into())));
        self
    }
}

// The environment of a process may hold any secret.
impl std::fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions")
            .field("role", &self.role)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads all layers and checks every field.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong or missing.
    pub fn load(options: LoadOptions) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let (values, file) = layers::merge(options.file.as_deref(), &options.env, &mut faults);
        if !faults.is_empty() {
            // Without its file, a configuration would lack things that are not missing.
            return Err(ConfigError::new(faults));
        }
        let needs = options.role.needs();
        let mut root = Section::root(values, &mut faults);
        let profile = root.one_of("profile", &Profile::ALL).unwrap_or_default();
        let config = Self {
            profile,
            file,
            broker: resolve::broker(root.sub("broker"), profile, needs),
            breaker: resolve::breaker(root.sub("breaker")),
            database: resolve::database(root.sub("database"), profile, needs),
            worker: resolve::worker(root.sub("worker")),
            sync: resolve::sync(root.sub("sync")),
            dashboard: dashboard::dashboard(root.sub("dashboard"), profile, needs),
            telemetry: resolve::telemetry(root.sub("telemetry")),
            catalogue: root.path("catalogue"),
        };
        root.finish();
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::new(faults))
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
