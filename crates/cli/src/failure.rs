//! Why a command failed: its exit code, the chain of causes, and what to do about it.

use crate::text::plain;
use counterfoil_operations::OperationError;
use counterfoil_store::StoreError;
use counterfoil_sync::schedule::InvalidSchedule;
use counterfoil_toolbox::config::ConfigError;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::producer::SendError;
use counterfoil_toolbox::text::InvalidText;
use counterfoil_toolbox::transport::{DeclareError, PublishError, TransportError};
use std::fmt;
use std::process::ExitCode;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    error: anyhow::Error,
    remedy: Option<String>,
}

/// What scripts can tell failures apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Whoever read the output has seen enough.
    Unread = 0,
    Failed = 1,
    Usage = 2,
    Unavailable = 69,
    Configuration = 78,
    Interrupted = 130,
}

impl Failure {
    pub(crate) fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
            remedy: None,
        }
    }

    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Code::Failed, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Code::Usage, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The broker takes nothing that is sent again.
    fn publishing(error: PublishError) -> Self {
        if matches!(error, PublishError::Refused { .. }) {
            return Self::new(Code::Configuration, error)
                .remedy("run `counterfoil init`, or give the user permission to write");
        }
        Self::new(Code::Unavailable, error)
            .remedy("repeat the command once the broker is well: nothing is lost")
    }

    /// Says in front of it what was being done.
    pub(crate) fn context(mut self, what: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(what);
        self
    }

    /// What went wrong.
    pub(crate) fn error(&self) -> &(dyn std::error::Error + 'static) {
        self.error.as_ref()
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Prints it and turns it into the exit code of the process.
    pub(crate) fn report(&self) -> ExitCode {
        if self.code != Code::Unread {
            eprint!("{self}");
        }
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Brokers and databases put in their words: they must not steer the terminal.
        let chain = ErrorChain(self.error.as_ref()).to_string();
        let lines: Vec<_> = chain.lines().map(plain).collect();
        writeln!(f, "error: {}", lines.join("\n"))?;
        match &self.remedy {
            Some(remedy) => writeln!(f, "remedy: {}", plain(remedy)),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Code::Configuration, error)
    }
}

impl From<InvalidText> for Failure {
    fn from(error: InvalidText) -> Self {
        Self::new(Code::Usage, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let code = match error.kind() == std::io::ErrorKind::BrokenPipe {
            true => Code::Unread,
            false => Code::Failed,
        };
        Self::new(
            code,
            anyhow::Error::new(error).context("could not write the answer"),
        )
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        if matches!(error, TransportError::NoQueue { .. }) {
            return Self::new(Code::Configuration, error).remedy("run `counterfoil init`");
        }
        let remedy = match error.is_transient() {
            true => "start the broker, or set broker.url to where it is",
            false => "mend user, password or virtual host in broker.url, or the user's permissions",
        };
        Self::new(Code::Unavailable, error).remedy(remedy)
    }
}

impl From<DeclareError> for Failure {
    fn from(error: DeclareError) -> Self {
        if let DeclareError::Transport(error) = error {
            return error.into();
        }
        Self::new(Code::Configuration, error).remedy("see `counterfoil topology plan`")
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        if let SendError::Levels(error) = error {
            return error.into();
        }
        if let SendError::Results(error) = error {
            return error.into();
        }
        let refused = matches!(
            error,
            SendError::Refused {
                source: PublishError::Refused { .. },
                ..
            }
        );
        if refused {
            return Self::new(Code::Configuration, error)
                .remedy("run `counterfoil init`, or give the user permission to write");
        }
        let is_away = matches!(
            error,
            SendError::Unknown { .. }
                | SendError::BrokerUnavailable { .. }
                | SendError::Refused {
                    source: PublishError::Blocked { .. }
                        | PublishError::NotSent { .. }
                        | PublishError::Closed,
                    ..
                }
        );
        let code = if is_away {
            Code::Unavailable
        } else if matches!(
            error,
            SendError::Name(_) | SendError::Delay(_) | SendError::NoTime { .. }
        ) {
            Code::Usage
        } else {
            Code::Failed
        };
        Self::new(code, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        // No such table; SQLite has no code of its own for it.
        let no_schema = error.code() == Some("42P01") || chain(&error).contains("no such table");
        if no_schema {
            return Self::new(Code::Configuration, error).remedy("run `counterfoil init`");
        }
        if matches!(
            error,
            StoreError::BadUrl { .. } | StoreError::NoIdSecret { .. }
        ) {
            return Self::new(Code::Configuration, error);
        }
        // SQLITE_CANTOPEN, and the lock file beside the database.
        if error.code() == Some("14") || matches!(error, StoreError::LockFile { .. }) {
            return Self::new(Code::Unavailable, error)
                .remedy("make the folder, let this user write there, or mend database.url");
        }
        if error.is_bad_data() {
            return Self::new(Code::Failed, error);
        }
        if let Some(remedy) = database_remedy(&error) {
            return Self::new(Code::Unavailable, error).remedy(remedy);
        }
        Self::new(Code::Unavailable, error)
            .remedy("start the database, or mend database.url and the user's permissions")
    }
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Store(error) => error.into(),
            OperationError::Transport(error) => error.into(),
            OperationError::Publish(error) => Self::publishing(error),
            OperationError::RunsNotRecorded(error) => Self::from(error).context(
                "the last tasks were sent again, but could not be recorded; repeated, the command sends the same runs once more",
            ),
            OperationError::LettersNotRecorded(error) => Self::from(error).context(
                "the last messages could not be recorded and are still in the dead queue; repeated, the command does the same with them once more",
            ),
            OperationError::InvalidId(error) => error.into(),
            OperationError::InvalidSchedule(error) => error.into(),
            OperationError::AtWork { queue } => {
                Self::failed(format!("another command is at work on {queue}"))
                    .remedy("wait until it is done")
            }
            OperationError::ManyWorkers { ref first, .. } => {
                let remedy = format!("write more of the id, for example {first}; see `counterfoil workers`");
                Self::new(Code::Failed, error).remedy(remedy)
            }
            OperationError::NoWorker { .. } | OperationError::WorkerGone { .. } => {
                Self::new(Code::Failed, error).remedy("see `counterfoil workers`")
            }
            OperationError::NoSession { .. } => Self::new(Code::Failed, error).remedy(
                "see `counterfoil session list`; the daemon must run for sessions to be known",
            ),
            OperationError::NoSchedule { .. } => Self::new(Code::Failed, error)
                .remedy("`counterfoil schedule list` shows those that there are"),
            OperationError::SessionOver { .. } => Self::new(Code::Failed, error),
            // It says itself what to do.
            OperationError::OnlyAsks { .. } => Self::new(Code::Unavailable, error),
            _ => Self::new(Code::Failed, error),
        }
    }
}

impl From<InvalidSchedule> for Failure {
    fn from(error: InvalidSchedule) -> Self {
        Self::new(Code::Usage, error)
    }
}

/// What to do where waiting for the database does not help.
fn database_remedy(error: &StoreError) -> Option<&'static str> {
    // insufficient_privilege
    if matches!(error, StoreError::Migrate { .. }) && error.code() == Some("42501") {
        return Some(
            "migrate as the owner of the schema; where deploy/postgres/roles.sql is used, run it again: it tells a \
             database that was restored or made anew where the tables are",
        );
    }
    if matches!(error, StoreError::Migrate { .. }) && !error.is_transient() {
        return Some("use the version of counterfoil that migrated this database, or a newer one");
    }
    match error.code()? {
        // invalid_authorization_specification, invalid_password
        "28000" | "28P01" => Some(
            "mend user and password in database.url, or make the role: `createuser --pwprompt NAME`; \
             deploy/postgres/roles.sql makes those with the least rights",
        ),
        // invalid_catalog_name
        "3D000" => Some(
            "mend the name in database.url; restore the database if it was there before (docs/operate.md, Restore); \
             a first one: `createdb NAME`, then `counterfoil init`",
        ),
        _ => None,
    }
}

fn chain(error: &StoreError) -> String {
    ErrorChain(error).to_string()
}
