//! Logs, traces and metrics: where they go, and the lists of their names.

pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod trace;

pub use trace::TraceContext;

use crate::config::{LogFormat, TelemetrySettings};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Identity, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Names of the fields of spans and log lines, with what they hold. They are public for ever.
///
/// ```
/// use counterfoil_toolbox::telemetry::FIELDS;
///
/// let what = FIELDS.iter().find(|(name, _)| *name == "attempt").map(|(_, what)| *what);
/// assert_eq!(what, Some("<rescue>.<retries>.<deliveries>"));
/// ```
pub const FIELDS: &[(&str, &str)] = &[
    ("task_id", "id of the task, on the wire"),
    ("task_name", "its type"),
    ("session_id", "id of a session"),
    ("attempt", "<rescue>.<retries>.<deliveries>"),
    ("service", "owner of the task's queue"),
    ("worker", "id of the worker process"),
    ("queue", "name of a queue"),
    ("queues", "names of several"),
    ("feed", "which of the platform's queues"),
    ("exchange", "name of an exchange"),
    ("routing_key", "key that a message was published with"),
    ("delivery_tag", "number of a delivery on its channel"),
    ("broker", "host, port and virtual host"),
    ("database", "kind, host and name"),
    (
        "address",
        "where something listens, or a request comes from",
    ),
    ("user", "name of somebody who signed in to the dashboard"),
    ("action", "what somebody did there"),
    ("state", "state of a task or session"),
    ("error_kind", "class of a task's error"),
    ("error", "what went wrong, with its causes"),
    (
        "key",
        "key of a message in the outbox, or name of a schedule",
    ),
    ("reason", "why something was refused or set aside"),
    ("what", "what was being done"),
    ("missing", "what is not there"),
    ("applied", "what a batch changed"),
    ("due", "which rounds were due"),
    ("sent", "how many were sent"),
    ("sent_at", "when it was sent"),
    ("count", "how many"),
    ("limit", "how many there may be"),
    ("token", "name of a token that a task is run by"),
    ("bytes", "size"),
    ("prefetch", "how many messages are held at a time"),
    ("tries", "tries so far"),
    ("elapsed_ms", "how long it took"),
    ("away", "how long something was away"),
    ("delay", "how long until the next try"),
    ("otel", "what only OpenTelemetry reads: otel.kind"),
];

/// Crates whose finest logs hold the frames that they send, and with them passwords.
const TALKATIVE: [&str; 3] = ["lapin", "amq_protocol", "sqlx"];

/// Logs could not be set up. [`init_logs`] has an example.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `COUNTERFOIL_LOG` or `RUST_LOG` cannot be read.
    #[error(
        "{variable} is not a filter of logs; write for example \"info\" or \"warn,counterfoil_sync=debug\""
    )]
    Filter {
        /// Which of them.
        variable: &'static str,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else takes the logs of this process already.
    #[error("logs were set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
    /// Traces cannot be sent.
    #[error("traces cannot be sent by OTLP")]
    Otlp(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Traces are to be sent, by a program that cannot do it.
    #[error(
        "telemetry.otlp_endpoint is set, but this program was built without traces; take the setting out, or build it with the feature \"otlp\""
    )]
    NoOtlp,
}

/// Writes logs to standard error from now on: what `COUNTERFOIL_LOG` asks for, else `RUST_LOG`, else
/// `info`. With feature `otlp`, spans are exported if the settings or `OTEL_EXPORTER_OTLP_ENDPOINT` say
/// where to; then [`end`] belongs at the end of `main`.
///
/// ```
/// use counterfoil_toolbox::config::TelemetrySettings;
/// use counterfoil_toolbox::telemetry::{TelemetryError, init_logs};
///
/// let settings = TelemetrySettings::default(); // or `config.telemetry`
/// init_logs(&settings)?; // first of all in `main`
/// assert!(matches!(init_logs(&settings), Err(TelemetryError::Twice(_))));
/// # Ok::<(), TelemetryError>(())
/// ```
///
/// # Errors
/// [`TelemetryError`] when a variable makes no sense, or logs are taken already.
pub fn init_logs(settings: &TelemetrySettings) -> Result<(), TelemetryError> {
    refuse_traces(settings)?;
    init_logs_from(settings, LevelFilter::INFO)
}

/// Like [`init_logs`], with another level for when no variable is set. For commands, which share settings with
/// others: one that was built without traces goes without.
///
/// ```
/// use counterfoil_toolbox::{config::TelemetrySettings, telemetry::init_logs_from};
/// use tracing::level_filters::LevelFilter;
///
/// init_logs_from(&TelemetrySettings::default(), LevelFilter::WARN)?; // unless a variable asks for more
/// tracing::warn!("this is seen");
/// # Ok::<(), counterfoil_toolbox::telemetry::TelemetryError>(())
/// ```
///
/// # Errors
/// See [`init_logs`].
pub fn init_logs_from(
    settings: &TelemetrySettings,
    default: LevelFilter,
) -> Result<(), TelemetryError> {
    init(settings, default, Identity::new())
}

/// Like [`init_logs`], and gives all that is logged to `layer` too, whatever those variables say.
///
/// ```
/// use counterfoil_toolbox::{config::TelemetrySettings, telemetry::init_logs_with};
///
/// let all = tracing_subscriber::fmt::layer().json().with_writer(std::io::sink); // a file, say
/// init_logs_with(&TelemetrySettings::default(), all)?;
/// tracing::trace!("only there");
/// # Ok::<(), counterfoil_toolbox::telemetry::TelemetryError>(())
/// ```
///
/// # Errors
/// See [`init_logs`].
pub fn init_logs_with(
    settings: &TelemetrySettings,
    layer: impl Layer<Registry> + Send + Sync,
) -> Result<(), TelemetryError> {
    refuse_traces(settings)?;
    init(settings, LevelFilter::INFO, layer)
}

/// Sends what is left of traces, within 5 s. [`start::main`](crate::start::main) does it by itself; it does nothing
/// where none are exported.
///
/// ```
/// // At the end of a `main` of one's own.
/// counterfoil_toolbox::telemetry::end();
/// ```
pub fn end() {
    #[cfg(feature = "otlp")]
    otlp::end();
}

fn init(
    settings: &TelemetrySettings,
    default: LevelFilter,
    layer: impl Layer<Registry> + Send + Sync,
) -> Result<(), TelemetryError> {
    let (variable, wanted) = wanted();
    let filter = filter(variable, &wanted, default)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal();
    let lines = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_ansi(colours).boxed(),
        LogFormat::Pretty => lines.pretty().with_ansi(colours).boxed(),
    };
    let traces = traces(settings)?;
    // Lines come last: around their filter, a layer without one has it asked anew for all that is not logged.
    tracing_subscriber::registry()
        .with(layer)
        .with(traces)
        .with(lines.with_filter(filter).with_filter(filter_fn(is_safe)))
        .try_init()
        .map_err(TelemetryError::Twice)
}

#[cfg(feature = "otlp")]
fn traces<S>(settings: &TelemetrySettings) -> Result<Option<impl Layer<S>>, TelemetryError>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    otlp::layer(settings.otlp_endpoint.as_deref())
}

#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature, it can fail")]
fn traces(_: &TelemetrySettings) -> Result<Identity, TelemetryError> {
    Ok(Identity::new())
}

/// Nobody should look for traces in vain.
fn refuse_traces(settings: &TelemetrySettings) -> Result<(), TelemetryError> {
    match &settings.otlp_endpoint {
        Some(_) if cfg!(not(feature = "otlp")) => Err(TelemetryError::NoOtlp),
        Some(_) | None => Ok(()),
    }
}

/// What is asked for, and by which variable.
fn wanted() -> (&'static str, String) {
    let set = |name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        Some((name, value?))
    };
    set("COUNTERFOIL_LOG")
        .or_else(|| set("RUST_LOG"))
        .unwrap_or_default()
}

/// The filter that `wanted` asks for. lapin is heard only by those who name it: it reports as errors what
/// our own code asked for, handles, and reports where it matters.
fn filter(
    variable: &'static str,
    wanted: &str,
    default: LevelFilter,
) -> Result<EnvFilter, TelemetryError> {
    let filter = EnvFilter::builder()
        .with_default_directive(default.into())
        .parse(wanted)
        .map_err(|source| TelemetryError::Filter { variable, source })?;
    if wanted.contains("lapin") {
        return Ok(filter);
    }
    let quiet = "lapin=off".parse().expect("a directive");
    Ok(filter.add_directive(quiet))
}

/// Whatever the filter asks for, what may hold a password stays out.
fn is_safe(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || !is_talkative(metadata.target())
}

fn is_talkative(target: &str) -> bool {
    TALKATIVE.iter().any(|name| is_of(target, name))
}

/// Whether a target belongs to a crate, or to one whose name begins like it.
fn is_of(target: &str, name: &str) -> bool {
    let rest = target.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_listed_once_and_in_one_style() {
        let mut names: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
            .windows(2)
            .for_each(|pair| assert_ne!(pair[0], pair[1]));
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(names.iter().all(|name| name.chars().all(plain)));
    }

    #[test]
    fn lapin_is_heard_only_by_those_who_name_it() {
        let of = |wanted| filter("RUST_LOG", wanted, LevelFilter::INFO);
        let heard = |wanted| of(wanted).expect(wanted).to_string();
        assert!(heard("trace").contains("lapin=off"));
        assert!(heard("").contains("info"), "{}", heard(""));
        assert!(!heard("lapin=debug").contains("off"));
        assert!(of("a=b=c").is_err());
    }

    #[test]
    fn frames_with_passwords_are_never_logged_whatever_is_asked_for() {
        for target in ["lapin::io_loop", "lapin", "amq_protocol_tcp::stream"] {
            assert!(is_talkative(target), "{target}");
        }
        for target in ["counterfoil_toolbox::transport", "lapinesque"] {
            assert!(!is_talkative(target), "{target}");
        }
    }
}
