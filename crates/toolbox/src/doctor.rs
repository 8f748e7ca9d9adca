//! Checks of configuration, broker and topology, as data: what was looked at, how it is, and what
//! to do about it.

use crate::config::{Config, Profile, redact_url};
use crate::error::ErrorChain;
use crate::task::longest_run;
use crate::topology::{Item, ItemState, QueueSettings, plan};
use crate::transport::{Transport, TransportError};
use secrecy::ExposeSecret;
use serde::Serialize;

/// One thing that was looked at.
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

/// Looks at a configuration that could be loaded.
#[must_use]
pub fn configuration(config: &Config) -> Vec<Check> {
    let file = config.file.as_ref().map_or_else(
        || "no file".to_owned(),
        |file| file.to_string_lossy().into_owned(),
    );
    let mut checks = vec![Check::ok(
        "configuration",
        format!("profile {}, {file}", config.profile.as_str()),
    )];
    let urls = config.broker.urls.iter().map(ExposeSecret::expose_secret);
    if config.profile == Profile::Production
        && let Some(plain) = urls
            .filter(|url| url.starts_with("amqp://"))
            .find(|url| !is_local(url))
    {
        checks.push(Check::warn(
            "encryption",
            format!(
                "{} sends passwords and tasks in the clear",
                redact_url(plain)
            ),
            "use amqps:// unless the network between is yours alone",
        ));
    }
    if config.broker.queue_settings == QueueSettings::Policy {
        checks.push(Check::ok(
            "policies",
            "cannot be read over AMQP; `rabbitmqctl list_queues name policy` shows them, and \
             deploy/rabbitmq/policies sets them",
        ));
    }
    let broker = config.broker.consumer_timeout;
    let longest = longest_run(broker);
    // Without a limit, a worker takes the longest.
    if let Some(limit) = config.worker.time_limit.filter(|limit| *limit > longest) {
        checks.push(Check::fail(
            "time limits",
            format!("worker.time_limit is {limit:?}, and at a broker that takes an unacknowledged task back after {broker:?} it may be {longest:?}"),
            "lower worker.time_limit, or raise consumer_timeout at the broker and broker.consumer_timeout here",
        ));
    }
    checks.extend(
        config
            .sync
            .retention
            .types
            .keys()
            .filter_map(|rule| one_name(&rule.to_string())),
    );
    checks
}

/// A rule that is good for one task without a service, where all tasks of a service may be meant.
fn one_name(rule: &str) -> Option<Check> {
    (!rule.contains('.')).then(|| {
        Check::warn(
            "retention",
            format!(
                "the rule sync.retention.{rule} is only for tasks whose whole name is {rule:?}"
            ),
            &format!("for all tasks of the service {rule}, write \"{rule}.*\""),
        )
    })
}

fn is_local(url: &str) -> bool {
    let shown = redact_url(url);
    let host = shown
        .rsplit_once('@')
        .map_or_else(|| shown.trim_start_matches("amqp://"), |(_, host)| host);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local))
}

/// Looks whether the broker answers, and what its version lacks.
pub async fn broker(transport: &dyn Transport) -> Vec<Check> {
    match transport.server().await {
        Ok(server) => {
            let mut checks = vec![Check::ok(
                "broker",
                format!("{} {} answers", server.product, server.version),
            )];
            checks.extend(version(&server.version));
            checks
        }
        Err(error) => vec![broker_fault(&error)],
    }
}

/// A broker that could not be asked, as a failed check.
#[must_use]
pub fn broker_fault(error: &TransportError) -> Check {
    let remedy = match error {
        TransportError::Unreachable { .. } | TransportError::Timeout { .. } => {
            "start the broker, or mend broker.url and the network between"
        }
        TransportError::Refused { .. } => {
            "mend user, password, virtual host or certificates in broker.url, or the user's permissions"
        }
        TransportError::NoQueue { .. } => "run `counterfoil topology apply`",
        TransportError::Closed => "run it again",
    };
    Check::fail("broker", ErrorChain(error).to_string(), remedy)
}

/// What a RabbitMQ of this version does less well than a newer one.
fn version(version: &str) -> Option<Check> {
    let name = "broker version";
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return Some(Check::warn(
            name,
            format!("{version:?} cannot be compared"),
            "look at it yourself: RabbitMQ 3.10 or newer is needed",
        ));
    };
    match (major, minor) {
        (..3, _) | (3, ..10) => Some(Check::fail(
            name,
            format!(
                "{version} lacks at-least-once dead-lettering: dead and delayed tasks could be lost"
            ),
            "use RabbitMQ 3.10 or newer",
        )),
        (3, 10..12) => Some(Check::warn(
            name,
            format!(
                "{version}: one consumer timeout for all queues, and no priorities within a quorum queue"
            ),
            "nothing has to be done, unless consumer_timeout was changed in the broker's own configuration: then set \
             broker.consumer_timeout to the same. 3.12 sets it by queue, 4.0 checks CC headers against permissions",
        )),
        (3, _) | (4, 0..3) => None,
        _ => Some(Check::warn(
            name,
            format!(
                "{version}: looking at a queue needs permission to configure it; returned tasks are not counted"
            ),
            "give workers that verify their queues permission to configure them",
        )),
    }
}

/// So many missing items are told one by one; more would fill screens.
const TOLD: usize = 5;

/// Compares `items` with the broker.
pub async fn topology(transport: &dyn Transport, items: Vec<Item>) -> Vec<Check> {
    let findings = match plan(transport, items).await {
        Ok(findings) => findings,
        Err(error) => return vec![broker_fault(&error)],
    };
    let (mut present, mut bindings) = (0, 0);
    let (mut missing, mut checks) = (Vec::new(), Vec::new());
    for finding in &findings {
        let remedy = finding.remedy().unwrap_or_default();
        let item = finding.item.to_string();
        match &finding.state {
            ItemState::Present | ItemState::Applied => present += 1,
            ItemState::Unknown => bindings += 1,
            ItemState::Missing => missing.push(Check::fail(item, "it is missing", &remedy)),
            ItemState::Differs { difference } => {
                checks.push(Check::fail(item, difference, &remedy))
            }
            ItemState::Unchecked { reason } => {
                checks.push(Check::warn(item, format!("it is there; {reason}"), &remedy));
            }
        }
    }
    let summary = format!("{present} exchanges and queues are as declared");
    let summary = if missing.len() > TOLD {
        let names: Vec<_> = missing[..TOLD].iter().map(|c| c.name.as_str()).collect();
        let (names, more) = (names.join(", "), missing.len() - TOLD);
        Check::fail(
            "topology",
            format!("{summary}; missing are {names}, and {more} more"),
            "run `counterfoil init`, or `counterfoil topology apply` if the database is ready; `counterfoil topology plan` names all of them",
        )
    } else {
        checks.splice(..0, missing);
        Check::ok("topology", summary)
    };
    checks.insert(0, summary);
    if bindings > 0 {
        checks.push(Check::ok(
            "bindings",
            format!("{bindings} cannot be read over AMQP; `counterfoil topology apply` sets them, as often as you like"),
        ));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, Role};
    use crate::names::ServiceName;
    use crate::topology::{Names, ServiceSettings, apply, platform};
    use crate::transport::memory::MemoryBroker;

    fn outcome(text: &str) -> Option<Outcome> {
        version(text).map(|check| check.outcome)
    }

    #[test]
    fn every_version_says_what_it_lacks() {
        for (text, wanted) in [
            ("3.9.29", Some(Outcome::Fail)),
            ("2.8.0", Some(Outcome::Fail)),
            ("3.10.8", Some(Outcome::Warn)),
            ("3.12.0", None),
            ("4.0.5", None),
            ("4.3.1", Some(Outcome::Warn)),
            ("5.0.0", Some(Outcome::Warn)),
            ("unknown", Some(Outcome::Warn)),
        ] {
            assert_eq!(outcome(text), wanted, "{text}");
        }
        let old = version("3.10.8").expect("a warning");
        assert!(
            !old.detail.contains("must"),
            "nothing has to be done: {old:?}"
        );
    }

    #[test]
    fn a_time_limit_beyond_the_brokers_patience_fails_and_a_password_in_the_clear_warns() {
        let load = |env: &[(&str, &str)]| {
            let options = LoadOptions::new(Role::Worker).env(env.iter().copied());
            configuration(&Config::load(options).expect("good"))
        };
        assert!(load(&[]).iter().all(|check| check.outcome == Outcome::Ok));
        let checks = load(&[
            ("COUNTERFOIL_PROFILE", "production"),
            ("COUNTERFOIL_BROKER__URL", "amqp://u:canary@broker.test/v"),
            ("COUNTERFOIL_WORKER__TIME_LIMIT", "1h"),
        ]);
        let outcomes: Vec<_> = checks
            .iter()
            .map(|check| (check.name.as_str(), check.outcome))
            .collect();
        let wanted = [
            ("configuration", Outcome::Ok),
            ("encryption", Outcome::Warn),
            ("time limits", Outcome::Fail),
        ];
        assert_eq!(outcomes, wanted);
        assert!(!format!("{checks:?}").contains("canary"));
        let local = load(&[
            ("COUNTERFOIL_PROFILE", "production"),
            ("COUNTERFOIL_BROKER__URL", "amqp://u:p@127.0.0.1:5672/v"),
        ]);
        assert_eq!(local.len(), 1);
    }

    #[test]
    fn a_retention_for_one_word_that_may_be_meant_for_a_service_warns() {
        let load = |rule: &str| {
            let variable = format!("COUNTERFOIL_SYNC__RETENTION__{rule}");
            let options = LoadOptions::new(Role::Daemon).env([(variable, "30d".to_owned())]);
            configuration(&Config::load(options).expect("good"))
        };
        assert_eq!(load("DEFAULT").len(), 1);
        let warning = load("EXPORT").remove(1);
        assert_eq!(warning.outcome, Outcome::Warn);
        assert!(
            warning.detail.contains("sync.retention.export"),
            "{warning:?}"
        );
        assert!(warning.remedy.expect("one").contains("\"export.*\""));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_one_by_one_unless_it_is_nearly_everything() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let ours = platform(&names, QueueSettings::Arguments);
        let service = ServiceName::new("demo").expect("valid");
        let broker = MemoryBroker::new();
        let failed = async |items| -> Vec<(String, String)> {
            let checks = topology(&broker, items).await;
            let failed = checks.into_iter().filter(|c| c.outcome == Outcome::Fail);
            failed.map(|check| (check.name, check.detail)).collect()
        };
        let told = failed(ours.clone()).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]
                .1
                .ends_with("exchange task_exchange.dead, and 17 more"),
            "{told:?}"
        );

        apply(&broker, ours.clone()).await.expect("in memory");
        let queues = crate::topology::service(&names, &service, &ServiceSettings::default());
        let told = failed([ours, queues].concat()).await;
        let told: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(told, ["queue demo", "queue demo.dead"]);
    }

    #[test]
    fn policies_that_nobody_can_look_at_are_mentioned_where_they_are_used() {
        let options = LoadOptions::new(Role::Worker);
        let options = options.env([("COUNTERFOIL_BROKER__QUEUE_SETTINGS", "policy")]);
        let checks = configuration(&Config::load(options).expect("good"));
        let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["configuration", "policies"]);
        assert_eq!(checks[1].outcome, Outcome::Ok);
    }
}
