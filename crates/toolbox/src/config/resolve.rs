//! From what was said to sections that are ready to use.

use super::celery::CeleryEncoding;
use super::fault::NEAR;
use super::read::Section;
use super::role::{Needs, Profile};
use super::secret::database_fault;
use super::sections::{
    BreakerSettings, BrokerSettings, DatabaseSettings, Declaring, LogFormat, QueueOverride,
    SyncSettings, TelemetrySettings, WorkerSettings,
};
use crate::names::ServiceName;
use crate::retention::{BadPattern, RetentionRules};
use crate::text::nearest;
use crate::topology::{QueueKind, QueueSettings};
use secrecy::ExposeSecret;
use std::time::Duration;

/// Room that is left for the names behind a prefix.
const MAX_PREFIX: usize = 100;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// More often than this, nobody should knock at a broker that is down.
const LEAST_RESET: Duration = Duration::from_millis(100);

const KINDS: [(&str, QueueKind); 2] = [
    ("quorum", QueueKind::Quorum),
    ("classic", QueueKind::Classic),
];

pub(super) fn broker(mut s: Section<'_>, profile: Profile, needs: Needs) -> BrokerSettings {
    let default = BrokerSettings::default();
    let unset = s.is_unset("url") && s.is_unset("url_file");
    let mut urls = s.urls("url", "url_file");
    if unset {
        match profile {
            Profile::Development => urls = default.urls,
            Profile::Production if needs.broker => s.missing("url", "a broker"),
            Profile::Production => {}
        }
    }
    let settings = BrokerSettings {
        urls,
        ca_file: s.path("ca_file"),
        heartbeat: s.duration("heartbeat", SECOND).unwrap_or(default.heartbeat),
        connect_timeout: s
            .duration("connect_timeout", MILLISECOND)
            .unwrap_or(default.connect_timeout),
        confirm_timeout: s
            .duration("confirm_timeout", MILLISECOND)
            .unwrap_or(default.confirm_timeout),
        consumer_timeout: s
            .duration("consumer_timeout", SECOND)
            .unwrap_or(default.consumer_timeout),
        queue_type: s.one_of("queue_type", &KINDS).unwrap_or(default.queue_type),
        queue_settings: s
            .one_of(
                "queue_settings",
                &[
                    ("arguments", QueueSettings::Arguments),
                    ("policy", QueueSettings::Policy),
                ],
            )
            .unwrap_or(default.queue_settings),
        queue_prefix: s.text("queue_prefix").unwrap_or(default.queue_prefix),
        exchange: s.text("exchange").unwrap_or(default.exchange),
        platform_queue: s.text("platform_queue").unwrap_or(default.platform_queue),
        services: s.names("services").unwrap_or(default.services),
        queues: std::collections::BTreeMap::new(),
    };
    let settings = with_queues(settings, &mut s);
    if settings.queue_prefix.len() > MAX_PREFIX {
        s.fault("queue_prefix", "it is longer than 100 bytes");
    } else if let Err(error) = settings.names() {
        s.fault("exchange", format!("with the prefix, {error}"));
    }
    s.finish();
    settings
}

fn with_queues(mut settings: BrokerSettings, s: &mut Section<'_>) -> BrokerSettings {
    s.sub("queues").each(|name, queue| {
        let service = ServiceName::new(name);
        let special = QueueOverride {
            kind: queue.one_of("type", &KINDS),
            max_length: queue.number("max_length", 1..=u32::MAX),
            priorities: queue
                .one_of("priorities", &[("false", false), ("true", true)])
                .unwrap_or_default(),
            declare: queue.one_of("declare", &Declaring::ALL).unwrap_or_default(),
        };
        match service {
            Ok(service) => drop(settings.queues.insert(service, special)),
            Err(error) => queue.fault_here(error.to_string()),
        }
    });
    settings
}

pub(super) fn breaker(mut s: Section<'_>) -> BreakerSettings {
    let default = BreakerSettings::default();
    let settings = BreakerSettings {
        fail_max: s.number("fail_max", 1..=1000).unwrap_or(default.fail_max),
        reset_timeout: s
            .duration("reset_timeout", LEAST_RESET)
            .unwrap_or(default.reset_timeout),
    };
    s.finish();
    settings
}

pub(super) fn database(
    mut s: Section<'_>,
    profile: Profile,
    needs: Needs,
) -> Option<DatabaseSettings> {
    let default = DatabaseSettings::default();
    let no_url = s.is_unset("url") && s.is_unset("url_file");
    let no_secret = s.is_unset("id_secret") && s.is_unset("id_secret_file");
    let url = s.secret("url", "url_file");
    let id_secret = s.secret("id_secret", "id_secret_file");
    if let Some(problem) = url
        .as_ref()
        .and_then(|url| database_fault(url.expose_secret()))
    {
        s.fault("url", problem);
    }
    let production = profile == Profile::Production;
    if production && no_url && needs.database {
        s.missing("url", "a database");
    }
    if production && no_secret && (needs.database || !no_url) {
        s.missing("id_secret", "the key that turns task ids into public ids");
    }
    let settings = DatabaseSettings {
        url: url.unwrap_or(default.url),
        pool: s.number("pool", 1..=1000).unwrap_or(default.pool),
        statement_timeout: s
            .duration("statement_timeout", MILLISECOND)
            .unwrap_or(default.statement_timeout),
        id_secret: id_secret.unwrap_or(default.id_secret),
    };
    s.finish();
    (!production || !no_url).then_some(settings)
}

pub(super) fn worker(mut s: Section<'_>) -> WorkerSettings {
    let default = WorkerSettings::default();
    let settings = WorkerSettings {
        queues: s.names("queues").unwrap_or(default.queues),
        concurrency: s
            .number("concurrency", 1..=10_000)
            .unwrap_or(default.concurrency),
        prefetch: s.number("prefetch", 1..=u16::MAX).or(default.prefetch),
        time_limit: s
            .duration_or_none("time_limit")
            .unwrap_or(default.time_limit),
        drain_timeout: s
            .duration("drain_timeout", Duration::ZERO)
            .unwrap_or(default.drain_timeout),
        cancel_grace: s
            .duration("cancel_grace", Duration::ZERO)
            .unwrap_or(default.cancel_grace),
        max_result_bytes: s
            .bytes("max_result_bytes")
            .unwrap_or(default.max_result_bytes),
        heartbeat: s.duration("heartbeat", SECOND).unwrap_or(default.heartbeat),
        lease: s.duration("lease", SECOND).unwrap_or(default.lease),
        metrics_bind: s.text("metrics_bind"),
    };
    s.finish();
    settings
}

pub(super) fn sync(mut s: Section<'_>) -> SyncSettings {
    let default = SyncSettings::default();
    let batch_ms: Option<u64> = s.number("batch_ms", 1..=60_000);
    let settings = SyncSettings {
        batch_size: s
            .number("batch_size", 1..=10_000)
            .unwrap_or(default.batch_size),
        batch_wait: batch_ms.map_or(default.batch_wait, Duration::from_millis),
        batch_bytes: s.bytes("batch_bytes").unwrap_or(default.batch_bytes),
        celery_services: s
            .names("celery_services")
            .unwrap_or(default.celery_services),
        celery_results: s
            .one_of(
                "celery_results",
                &[
                    ("none", None),
                    ("json", Some(CeleryEncoding::Json)),
                    ("pickle", Some(CeleryEncoding::Pickle)),
                ],
            )
            .unwrap_or(default.celery_results),
        canary_interval: s
            .duration("canary_interval", SECOND)
            .unwrap_or(default.canary_interval),
        unroutable_interval: s
            .duration("unroutable_interval", MILLISECOND)
            .unwrap_or(default.unroutable_interval),
        token_interval: s
            .duration("token_interval", MILLISECOND)
            .unwrap_or(default.token_interval),
        session_interval: s
            .duration("session_interval", MILLISECOND)
            .unwrap_or(default.session_interval),
        session_estimate: s
            .duration("session_estimate", MILLISECOND)
            .unwrap_or(default.session_estimate),
        session_buffer: s
            .duration("session_buffer", MILLISECOND)
            .unwrap_or(default.session_buffer),
        retention: retention(s.sub("retention")),
        retention_interval: s
            .duration("retention_interval", SECOND)
            .unwrap_or(default.retention_interval),
        outbox_interval: s
            .duration("outbox_interval", MILLISECOND)
            .unwrap_or(default.outbox_interval),
        lost_after: s
            .duration("lost_after", SECOND)
            .unwrap_or(default.lost_after),
        ready_backlog: s
            .number("ready_backlog", 1..=u32::MAX)
            .unwrap_or(default.ready_backlog),
        health_bind: s.text("health_bind"),
    };
    s.finish();
    settings
}

fn retention(s: Section<'_>) -> RetentionRules {
    let mut rules = RetentionRules::default();
    s.retentions(|name, keep| match name {
        "default" => {
            rules.default = keep;
            Ok(())
        }
        // Tasks without a service are Python's: there are few, and hardly any of a name so near.
        name if !name.contains('.') && nearest(name, ["default"], NEAR).is_some() => {
            Err("no service has such a task; did you mean \"default\"?".to_owned())
        }
        pattern => {
            let pattern = pattern.parse().map_err(|e: BadPattern| e.to_string())?;
            rules.types.insert(pattern, keep);
            Ok(())
        }
    });
    rules
}

pub(super) fn telemetry(mut s: Section<'_>) -> TelemetrySettings {
    let formats = [
        ("text", LogFormat::Text),
        ("pretty", LogFormat::Pretty),
        ("json", LogFormat::Json),
    ];
    let settings = TelemetrySettings {
        log_format: s.one_of("log_format", &formats).unwrap_or_default(),
        otlp_endpoint: s.text("otlp_endpoint"),
    };
    s.finish();
    settings
}
