//! Starting a worker: the process around it, a broker that lets it in, and its queues.

mod queues;
#[cfg(unix)]
pub mod systemd;

pub use queues::prepare_queues;

use crate::big_stack::ensure_big_stack;
use crate::config::ConfigError;
use crate::error::ErrorChain;
use crate::telemetry::{self, TelemetryError};
use crate::text::InvalidText;
use crate::transport::TransportError;
use std::future::Future;

/// The cause of a [`StartError::Setup`]: any error, or a text.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A process that cannot start: somebody has to mend something.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
/// use counterfoil_toolbox::start::StartError;
///
/// fn set_up() -> Result<(), StartError> {
///     let config = Config::load(LoadOptions::new(Role::Worker).env([("COUNTERFOIL_PROFILE", "staging")]))?;
///     std::fs::metadata("certificates").map_err(StartError::setup)?;
///     Ok(drop(config))
/// }
///
/// assert_eq!(set_up().unwrap_err().code(), 78); // somebody has to mend something: no restart helps
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong or incomplete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logs or traces cannot be set up.
    #[error(transparent)]
    Logs(#[from] TelemetryError),
    /// A configured name is not allowed.
    #[error(transparent)]
    Name(#[from] InvalidText),
    /// Something else about how the process was set up: a file, a handler, a certificate.
    #[error(transparent)]
    Setup(BoxError),
    /// The system gives no threads.
    #[error("no threads could be started")]
    Threads(#[source] std::io::Error),
    /// The broker refuses this user, or this virtual host.
    #[error("the broker does not let this process in")]
    Broker(#[source] TransportError),
    /// Queues are missing, or are not as they are declared.
    #[error("{}", problems.join("\n"))]
    Queues {
        /// One line each, with its remedy.
        problems: Vec<String>,
    },
    /// It was asked to stop before it had begun, by SIGTERM or SIGINT: nothing is wrong.
    #[error("asked to stop before it had begun")]
    AskedToStop,
}

impl StartError {
    /// An error in how the process was set up.
    #[must_use]
    pub fn setup(error: impl Into<BoxError>) -> Self {
        Self::Setup(error.into())
    }

    /// The exit code of a process that ends with this error: 0 it was asked to, 1 failed, 69 the broker refused for
    /// good, 78 configuration or topology.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::AskedToStop => 0,
            Self::Threads(_) => 1,
            Self::Broker(_) => 69,
            Self::Config(_)
            | Self::Logs(_)
            | Self::Name(_)
            | Self::Setup(_)
            | Self::Queues { .. } => 78,
        }
    }
}

/// The whole of a `main`: runs `program`, which returns the exit code, and ends the process.
///
/// Every thread gets a big stack, for which the process may replace itself by itself. An error is
/// printed, with its causes. Blocking handlers that were given up do not hold up the end.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
/// use counterfoil_toolbox::start;
///
/// fn main() {
///     start::main(|| async {
///         let config = Config::load(LoadOptions::from_process(Role::Worker))?;
///         println!("{} places", config.worker.concurrency); // a worker would run here
///         Ok(0)
///     })
/// }
/// ```
pub fn main<F>(program: impl FnOnce() -> F) -> !
where
    F: Future<Output = Result<i32, StartError>>,
{
    if let Err(error) = ensure_big_stack() {
        eprintln!("warning: hostile messages can end this process: {error}");
    }
    let runtime = tokio::runtime::Runtime::new().map_err(StartError::Threads);
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(program());
        runtime.shutdown_background();
        ended
    });
    telemetry::end();
    std::process::exit(ended.unwrap_or_else(|error| {
        let code = error.code();
        if code != 0 {
            eprintln!("error: {}", ErrorChain(&error));
        }
        code
    }))
}

/// Does `work`, unless the process is told to end, by SIGTERM or SIGINT, before it is done: then it is
/// [`StartError::AskedToStop`], with which a process ends with 0, also as the first one of a container, for which the
/// system has no default.
///
/// Afterwards neither signal ends the process unless somebody listens: go on with the worker, which does.
///
/// ```
/// use counterfoil_toolbox::start::{StartError, unless_asked_to_stop};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let waited = unless_asked_to_stop(async { Ok::<_, StartError>("the queues are there") }).await;
/// assert_eq!(waited.unwrap(), "the queues are there");
/// # }
/// ```
///
/// # Errors
/// Those of `work`, and that one.
///
/// # Cancel safety
/// That of `work`.
pub async fn unless_asked_to_stop<T>(
    work: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    #[cfg(unix)]
    {
        tokio::select! {
            biased;
            () = asked_to_stop() => Err(StartError::AskedToStop),
            done = work => done,
        }
    }
    #[cfg(not(unix))]
    work.await
}

/// Returns when the process is told to end, by SIGTERM or SIGINT.
///
/// ```
/// use counterfoil_toolbox::start::asked_to_stop;
/// # async fn work() {}
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// tokio::select! {
///     () = asked_to_stop() => println!("it was asked to"),
///     () = work() => println!("there is nothing left to do"),
/// }
/// # }
/// ```
///
/// # Panics
/// When the process cannot listen for signals.
#[cfg(unix)]
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).expect("the system has SIGTERM");
    let mut interrupt = signal(SignalKind::interrupt()).expect("the system has SIGINT");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
