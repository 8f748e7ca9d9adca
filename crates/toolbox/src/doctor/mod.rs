//! Checks of configuration, broker and topology, as data: what was looked at, how it is, and what
//! to do about it.
//!
//! Looking changes nothing. With the feature `amqp`, [`probe()`] sends messages through, which nobody takes for
//! tasks and of which none is left, and [`permissions()`] asks what the broker would allow.

mod broker;
#[cfg(feature = "amqp")]
mod broker_clock;
mod canary;
mod configuration;
#[cfg(feature = "amqp")]
mod permissions;
#[cfg(feature = "amqp")]
mod probe;
mod topology;

pub use broker::{broker, broker_fault};
#[cfg(feature = "amqp")]
pub use broker_clock::broker_clock;
pub use canary::{canaries_last, canary};
pub use configuration::configuration;
#[cfg(feature = "amqp")]
pub use permissions::{Duty, permissions};
#[cfg(feature = "amqp")]
pub use probe::probe;
pub use topology::topology;

use serde::Serialize;

/// One thing that was looked at.
///
/// ```
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::doctor::{self, Outcome};
/// use counterfoil_toolbox::topology::{self, QueueSettings};
/// # use counterfoil_toolbox::transport::memory::MemoryBroker;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = MemoryBroker::new();
/// let items = topology::platform(&BrokerSettings::default().names()?, QueueSettings::default());
/// let mut checks = doctor::broker(&transport).await;
/// checks.extend(doctor::topology(&transport, items).await);
/// for check in checks.iter().filter(|check| check.outcome > Outcome::Ok) {
///     println!("{}: {} ({})", check.name, check.detail, check.remedy.as_deref().unwrap_or("-"));
/// }
/// # assert!(checks.iter().any(|check| check.name == "topology" && check.outcome == Outcome::Fail));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, `broker`.
    pub name: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// What to do about it, when something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How something is.
///
/// ```
/// use counterfoil_toolbox::doctor::{Check, Outcome};
///
/// let checks = [Check::ok("disk", "half full"), Check::warn("clock", "2 s off", "set it by the network")];
/// let worst = checks.iter().map(|check| check.outcome).max();
/// assert_eq!(worst, Some(Outcome::Warn));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

impl Outcome {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Check {
    /// Something that is as it should be.
    #[must_use]
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// Something that works, but that somebody should know of.
    #[must_use]
    pub fn warn(name: impl Into<String>, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            outcome: Outcome::Warn,
            remedy: Some(remedy.to_owned()),
            ..Self::ok(name, detail)
        }
    }

    /// Something that does not work.
    #[must_use]
    pub fn fail(name: impl Into<String>, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            outcome: Outcome::Fail,
            remedy: Some(remedy.to_owned()),
            ..Self::ok(name, detail)
        }
    }
}
