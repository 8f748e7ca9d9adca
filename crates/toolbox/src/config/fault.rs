//! What is wrong with a configuration, all of it, field by field.

use std::fmt;

/// The prefix of variables that are configuration.
pub(super) const ENV_PREFIX: &str = "COUNTERFOIL";

/// From this likeness on (1 = equal), a known name is worth suggesting.
pub(super) const NEAR: f64 = 0.6;

/// A configuration that cannot be used, with every fault in it. Holds no secrets.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
///
/// let env = [("COUNTERFOIL_WORKER__CONCURRENCY", "many"), ("COUNTERFOIL_WORKER__CONCURENCY", "8")];
/// let error = Config::load(LoadOptions::new(Role::Worker).env(env)).unwrap_err();
/// let fields: Vec<_> = error.faults.iter().map(|fault| &*fault.field).collect();
/// assert_eq!(fields, ["worker.concurrency", "worker.concurency"]); // both of them, at once
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, in the order of sections; never empty.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong. [`ConfigError`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Full name of the field (`broker.heartbeat`), of its variable, or of the file.
    pub field: String,
    /// What is wrong with it and how to mend it.
    pub problem: String,
}

impl ConfigError {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { faults }
    }
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// `field` is not set, and has no default where this process runs.
    pub(super) fn missing(field: &str, what: &str) -> Self {
        Self::new(
            field,
            format!(
                "missing: {what} is needed, and profile \"production\" has no default; set it in the file, \
                 as {}, or name a file that holds it in {field}_file",
                variable(field)
            ),
        )
    }
}

/// The variable that sets `field`.
pub(super) fn variable(field: &str) -> String {
    let name = field.replace('.', "__").to_uppercase();
    format!("{ENV_PREFIX}_{name}")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.faults[..] {
            [only] => write!(f, "the configuration is not usable: {only}"),
            faults => {
                write!(f, "the configuration has {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
