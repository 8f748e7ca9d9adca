//! Where a process runs, and what it is for: both decide what must be configured.

use super::fault::{ConfigError, Fault};
use super::load::Config;
use super::sections::DatabaseSettings;

/// Where a process runs. `profile`, or `COUNTERFOIL_PROFILE`. Default: development.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Needs, Profile, Role};
///
/// let config = Config::load(LoadOptions::new(Role::Cli(Needs::NOTHING)))?;
/// assert_eq!(config.profile, Profile::Development); // unless it is said
/// # Ok::<(), counterfoil_toolbox::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// On somebody's machine: broker and database have defaults.
    #[default]
    Development,
    /// For others to rely on: what a process needs must be said.
    Production,
}

impl Profile {
    pub(super) const ALL: [(&'static str, Self); 2] = [
        ("development", Self::Development),
        ("production", Self::Production),
    ];

    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// What a process is for.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
///
/// let env = [("COUNTERFOIL_PROFILE", "production"), ("COUNTERFOIL_BROKER__URL", "amqp://broker")];
/// let load = |role| Config::load(LoadOptions::new(role).env(env));
/// assert!(load(Role::Worker).is_ok());
/// let error = load(Role::Daemon).unwrap_err(); // it needs a database too
/// assert_eq!(error.faults[0].field, "database.url");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends tasks.
    Producer,
    /// Runs tasks. It needs no database.
    Worker,
    /// Mirrors tasks into the database.
    Daemon,
    /// Shows in browsers what is in the database.
    Dashboard,
    /// A command of the command line, which needs what it says.
    Cli(Needs),
}

/// What must be configured where there are no defaults.
///
/// ```
/// use counterfoil_toolbox::config::{Needs, Role};
///
/// assert_eq!(Role::Daemon.needs(), Needs::BOTH);
/// assert_eq!(Role::Cli(Needs::DATABASE).needs(), Needs { database: true, ..Needs::NOTHING });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// `broker.url`.
    pub broker: bool,
    /// `database.url` and `database.id_secret`.
    pub database: bool,
    /// Somebody who may sign in to the dashboard, where others can reach it.
    pub people: bool,
}

impl Needs {
    /// Neither broker nor database.
    pub const NOTHING: Self = Self {
        broker: false,
        database: false,
        people: false,
    };
    /// The broker alone.
    pub const BROKER: Self = Self {
        broker: true,
        ..Self::NOTHING
    };
    /// The database alone.
    pub const DATABASE: Self = Self {
        database: true,
        ..Self::NOTHING
    };
    /// Both.
    pub const BOTH: Self = Self {
        broker: true,
        database: true,
        ..Self::NOTHING
    };
}

impl Role {
    /// What this role needs.
    #[must_use]
    pub const fn needs(self) -> Needs {
        match self {
            Self::Producer | Self::Worker => Needs::BROKER,
            Self::Daemon => Needs::BOTH,
            Self::Dashboard => Needs {
                people: true,
                ..Needs::BOTH
            },
            Self::Cli(needs) => needs,
        }
    }
}

impl Config {
    /// The database; it is there whenever the role needs it, and always in development.
    ///
    /// ```
    /// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
    ///
    /// let config = Config::load(LoadOptions::new(Role::Daemon))?; // in development
    /// assert_eq!(config.require_database()?.pool, 8);
    /// # Ok::<(), counterfoil_toolbox::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] when none is configured.
    pub fn require_database(&self) -> Result<&DatabaseSettings, ConfigError> {
        self.database
            .as_ref()
            .ok_or_else(|| ConfigError::new(vec![Fault::missing("database.url", "a database")]))
    }
}
