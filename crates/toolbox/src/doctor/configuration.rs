//! What can be said of a configuration alone.

use super::Check;
use crate::config::{Config, Profile, redact_url};
use crate::retention::RetentionRules;
use crate::task::longest_run;
use crate::topology::QueueSettings;
use secrecy::ExposeSecret;
use std::time::Duration;

/// Looks at a configuration that could be loaded.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
/// use counterfoil_toolbox::doctor::{Outcome, configuration};
///
/// let env = [("COUNTERFOIL_PROFILE", "production"), ("COUNTERFOIL_BROKER__URL", "amqp://far.away")];
/// let config = Config::load(LoadOptions::new(Role::Worker).env(env))?;
/// let checks = configuration(&config);
/// assert!(checks.iter().any(|it| it.name == "encryption" && it.outcome == Outcome::Warn));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    checks.extend(kept(&config.sync.retention));
    checks.extend(of_celery(config));
    checks
}

/// Services that workers of Celery run too, and that have more than the one queue which those consume.
fn of_celery(config: &Config) -> impl Iterator<Item = Check> {
    let services = config.sync.celery_services.iter();
    services.filter_map(|service| {
        let settings = config.broker.service(service);
        let (setting, what) = match (settings.max_length, settings.priorities) {
            (Some(_), _) => (
                "max_length",
                "delayed tasks wait in a queue of their own, and run twice where Celery bound its queue itself",
            ),
            (None, true) => ("priorities", "only workers of ours run the others"),
            (None, false) => return None,
        };
        let what = format!(
            "broker.queues.{service}.{setting} is set, and workers of Celery, which consume one queue, run {service} \
             (sync.celery_services): {what}"
        );
        let remedy = format!("leave broker.queues.{service}.{setting} unset");
        Some(match settings.max_length {
            Some(_) => Check::fail("celery services", what, &remedy),
            None => Check::warn("celery services", what, &remedy),
        })
    })
}

/// How long tasks are kept, where a rule says so.
fn kept(rules: &RetentionRules) -> Vec<Check> {
    if *rules == RetentionRules::default() {
        return Vec::new();
    }
    let long = |keep: Option<Duration>| {
        keep.map_or_else(
            || "for ever".to_owned(),
            |keep| humantime::format_duration(keep).to_string(),
        )
    };
    let types = rules.types.iter();
    let types = types.map(|(pattern, keep)| format!("{pattern}: {}", long(*keep)));
    let all: Vec<_> = types
        .chain([format!("all others: {}", long(rules.default))])
        .collect();
    let mut checks = vec![Check::ok("retention", all.join(", "))];
    let names = rules.types.keys();
    checks.extend(names.filter_map(|rule| one_name(&rule.to_string())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, Role};
    use crate::doctor::Outcome;

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
    fn retention_is_told_and_warns_of_one_word_that_may_be_meant_for_a_service() {
        let load = |rule: &str| {
            let variable = format!("COUNTERFOIL_SYNC__RETENTION__{rule}");
            let options = LoadOptions::new(Role::Daemon).env([(variable, "30d".to_owned())]);
            configuration(&Config::load(options).expect("good"))
        };
        let default = load("DEFAULT");
        assert_eq!(default.len(), 2);
        assert_eq!(default[1].detail, "all others: 30days");
        let mut checks = load("EXPORT");
        assert_eq!(checks[1].detail, "export: 30days, all others: for ever");
        let warning = checks.remove(2);
        assert_eq!(warning.outcome, Outcome::Warn);
        assert!(
            warning.detail.contains("sync.retention.export"),
            "{warning:?}"
        );
        assert!(warning.remedy.expect("one").contains("\"export.*\""));
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

    #[test]
    fn a_service_of_celerys_workers_is_to_have_one_queue() {
        let told = |setting: &str, value: &str| {
            let setting = format!("COUNTERFOIL_BROKER__QUEUES__MAIL__{setting}");
            let env = [
                (setting.as_str(), value),
                ("COUNTERFOIL_SYNC__CELERY_SERVICES", "mail,demo"),
                ("COUNTERFOIL_DATABASE__URL", "sqlite::memory:"),
            ];
            let config = Config::load(LoadOptions::new(Role::Daemon).env(env)).expect("valid");
            let checks = configuration(&config);
            let found = checks.into_iter().find(|it| it.name == "celery services");
            found.map(|it| (it.outcome, it.remedy.unwrap_or_default()))
        };
        let unset = |setting: &str| format!("leave broker.queues.mail.{setting} unset");
        let length = (Outcome::Fail, unset("max_length"));
        assert_eq!(told("MAX_LENGTH", "100"), Some(length));
        let classes = (Outcome::Warn, unset("priorities"));
        assert_eq!(told("PRIORITIES", "true"), Some(classes));
        assert_eq!(told("PRIORITIES", "false"), None);
    }
}
