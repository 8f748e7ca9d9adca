use super::*;
use crate::config::{Declaring, Needs};
use crate::topology::QueueKind;
use secrecy::ExposeSecret;
use std::time::Duration;

/// Must not be found in anything that is printed.
const CANARY: &str = "canary-7f3a";

fn file(text: &str) -> (tempfile_path::Dir, PathBuf) {
    let dir = tempfile_path::Dir::new();
    let path = dir.0.join("settings.toml");
    std::fs::write(&path, text).expect("the temporary directory is ours");
    (dir, path)
}

/// A directory that goes away with its test.
mod tempfile_path {
    pub(super) struct Dir(pub(super) std::path::PathBuf);

    impl Dir {
        pub(super) fn new() -> Self {
            let name = format!("counterfoil-config-{}", uuid::Uuid::now_v7());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).expect("a new name");
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

fn load(role: Role, text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let (_dir, path) = file(text);
    let options = LoadOptions::new(role).file(Some(path));
    Config::load(options.env(env.iter().copied()))
}

fn faults(role: Role, text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let error = load(role, text, env).expect_err("it has faults");
    assert!(!error.to_string().contains(CANARY), "{error}");
    assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    error.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn development_needs_nothing() {
    let config = Config::load(LoadOptions::new(Role::Daemon)).expect("defaults");
    assert_eq!(config.profile, Profile::Development);
    assert_eq!(
        config.broker.urls[0].expose_secret(),
        "amqp://127.0.0.1:5672/%2f"
    );
    assert_eq!(config.breaker, BreakerSettings::default());
    let database = config.require_database().expect("a default");
    assert_eq!(database.url.expose_secret(), "sqlite://counterfoil.db");
}

#[test]
fn the_environment_goes_before_the_file_and_lists_are_separated_by_commas() {
    let text = r#"
        [broker]
        heartbeat = "20s"
        connect_timeout = 2.5
        services = ["one"]
        [broker.queues.export]
        type = "classic"
        max_length = 10
        priorities = true
        declare = "passive"
        [breaker]
        fail_max = 2
        reset_timeout = 7
        [worker]
        concurrency = 3
        time_limit = "none"
    "#;
    let env = [
        ("COUNTERFOIL_BROKER__SERVICES", "demo, export,harvest"),
        ("COUNTERFOIL_BROKER__URL", "amqp://a/%2f,amqp://b/%2f"),
        ("COUNTERFOIL_WORKER__CONCURRENCY", "64"),
        ("COUNTERFOIL_WORKER__MAX_RESULT_BYTES", "2 MiB"),
        ("COUNTERFOIL_BROKER__QUEUES__EXPORT__MAX_LENGTH", "20"),
        ("COUNTERFOIL_BROKER__QUEUES__DEMO__PRIORITIES", "true"),
        ("COUNTERFOIL_BREAKER__FAIL_MAX", "3"),
        ("COUNTERFOIL_SYNC__BATCH_MS", ""),
    ];
    let config = load(Role::Worker, text, &env).expect("good");
    let services: Vec<_> = config.broker.services.iter().map(AsRef::as_ref).collect();
    assert_eq!(services, ["demo", "export", "harvest"]);
    assert_eq!(config.broker.urls.len(), 2);
    assert_eq!(config.broker.heartbeat, Duration::from_secs(20));
    assert_eq!(config.broker.connect_timeout, Duration::from_millis(2500));
    assert_eq!(config.breaker.fail_max, 3);
    assert_eq!(config.breaker.reset_timeout, Duration::from_secs(7));
    assert_eq!(config.worker.concurrency, 64);
    assert_eq!(config.worker.time_limit, None);
    assert_eq!(config.worker.max_result_bytes, 2 << 20);
    assert_eq!(config.sync.batch_wait, Duration::from_millis(100));
    let export = &config.broker.queues["export"];
    assert_eq!(export.kind, Some(QueueKind::Classic));
    assert_eq!(export.max_length, Some(20));
    assert!(export.priorities && config.broker.queues["demo"].priorities);
    assert_eq!(export.declare, Declaring::Passive);
}

#[test]
fn variables_without_two_underscores_are_no_configuration_except_the_profile() {
    let env = [
        ("COUNTERFOIL_DEMO_LEDGER", "/tmp/x"),
        ("COUNTERFOIL_FAILPOINT", "acked:abort"),
        ("COUNTERFOILX__A", "1"),
        ("OTHER__NAME", "1"),
        ("COUNTERFOIL_PROFILE", "production"),
        ("COUNTERFOIL_BROKER__URL", "amqp://h"),
    ];
    let config = load(Role::Worker, "", &env).expect("good");
    assert_eq!(config.profile, Profile::Production);
    assert!(config.database.is_none(), "a worker needs no database");
}

#[test]
fn production_names_everything_that_a_role_lacks_at_once() {
    let missing = |role| {
        let faults = faults(role, "profile = \"production\"", &[]);
        let field = |fault: &String| fault.split(':').next().map(str::to_owned);
        faults.iter().filter_map(field).collect::<Vec<_>>()
    };
    assert_eq!(missing(Role::Producer), ["broker.url"]);
    assert_eq!(missing(Role::Worker), ["broker.url"]);
    let all = ["broker.url", "database.url", "database.id_secret"];
    assert_eq!(missing(Role::Daemon), all);
    assert_eq!(missing(Role::Cli(Needs::DATABASE)), all[1..]);
    assert!(load(Role::Cli(Needs::NOTHING), "profile = \"production\"", &[]).is_ok());
}

#[test]
fn all_faults_are_reported_at_once_with_field_form_and_remedy() {
    let text = r#"
        colour = "red"
        profile = "staging"
        [broker]
        heartbeat = "10 parsecs"
        conect_timeout = "5s"
        services = ["demo", "a.b", 7]
        queue_type = "stream"
        [broker.queues.platform]
        max_length = 0
        priorities = "some"
        [breaker]
        fail_max = 0
        reset_timeout = "99ms"
        failmax = 1
        [database]
        pool = -1
        [worker]
        prefetch = [1]
        [sync]
        batch_bytes = "4 miles"
        [telemetry]
        log_format = "xml"
    "#;
    let env = [("COUNTERFOIL_WORKER__DRAIN_TIMEOUT", "soon")];
    let expected = [
        r#"profile: "staging" is not one of "development", "production""#,
        r#"broker.heartbeat: "10 parsecs" is not a duration of at least 1s; write for example "10s", "1h 30m", or seconds"#,
        r#"broker.queue_type: "stream" is not one of "quorum", "classic""#,
        r#"broker.services: service name "a.b" is not valid: only ASCII letters, digits, '_' and '-' are allowed"#,
        r#"broker.queues.platform.max_length: "0" is not a whole number from 1 to 4294967295"#,
        r#"broker.queues.platform.priorities: "some" is not one of "false", "true""#,
        r#"broker.queues.platform: service name "platform" is not valid: 'platform' is reserved for the platform's own queues"#,
        "broker.conect_timeout: unknown setting; did you mean broker.connect_timeout?",
        r#"breaker.fail_max: "0" is not a whole number from 1 to 1000"#,
        r#"breaker.reset_timeout: "99ms" is not a duration of at least 100ms; write for example "10s", "1h 30m", or seconds"#,
        "breaker.failmax: unknown setting; did you mean breaker.fail_max?",
        r#"database.pool: "-1" is not a whole number from 1 to 1000"#,
        "worker.prefetch: it must be a whole number from 1 to 65535",
        r#"worker.drain_timeout: "soon" (from COUNTERFOIL_WORKER__DRAIN_TIMEOUT) is not a duration; write for example "10s", "1h 30m", or seconds"#,
        r#"sync.batch_bytes: "4 miles" is not a size; write for example "1 MiB", "4 MB", or bytes"#,
        r#"telemetry.log_format: "xml" is not one of "text", "pretty", "json""#,
        "colour: unknown setting; known here: profile, broker, breaker, database, worker, sync, dashboard, telemetry, catalogue",
    ];
    assert_eq!(faults(Role::Daemon, text, &env), expected);
}

#[test]
fn an_unknown_variable_is_a_fault_too() {
    let env = [("COUNTERFOIL_BROKER__URI", "amqp://u:canary-7f3a@h")];
    assert_eq!(
        faults(Role::Worker, "", &env),
        ["broker.uri: unknown setting (from COUNTERFOIL_BROKER__URI); did you mean broker.url?"]
    );
}

#[test]
fn secrets_come_from_files_or_from_the_field_but_not_from_both() {
    let (_dir, secret) = file(&format!("amqp://u:{CANARY}@one\namqp://u:{CANARY}@two\n"));
    let secret = secret.to_string_lossy();
    let named = format!("[broker]\nurl_file = {secret:?}\n");
    let config = load(Role::Worker, &named, &[]).expect("good");
    assert_eq!(config.broker.urls.len(), 2);
    assert!(!format!("{config:?}").contains(CANARY));

    let env = [("COUNTERFOIL_BROKER__URL", "amqp://u:canary-7f3a@h")];
    assert_eq!(
        faults(Role::Worker, &named, &env),
        ["broker.url: broker.url_file is set too; keep one of them"]
    );
    let gone = "[database]\nurl_file = \"/nowhere/db\"\nid_secret_file = \"/nowhere/id\"";
    assert_eq!(
        faults(Role::Daemon, gone, &[]),
        [
            "database.url_file: /nowhere/db cannot be read: No such file or directory (os error 2)",
            "database.id_secret_file: /nowhere/id cannot be read: No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn no_fault_shows_a_secret() {
    for text in [
        "[broker]\nurl = \"http://u:canary-7f3a@h\"",
        "[broker]\nurl = [\"amqp://u:canary-7f3a/x@h\"]",
        "[broker]\nurl = \"amqp://u:canary-7f3a@h\nheartbeat = 3",
        "[broker]\nurl = amqp://u:canary-7f3a@h",
        "[broker]\nurl = { canary-7f3a = 1 }\nurl_file = \"/nowhere\"",
        "[database]\nurl = \"mysql://u:canary-7f3a@h\"\nid_secret = [\"canary-7f3a\"]",
        "[database]\nid_secret = \"canary-7f3a\"\nid_secret = \"canary-7f3a\"",
    ] {
        assert!(!faults(Role::Daemon, text, &[]).is_empty());
    }
}

#[test]
fn a_broken_file_is_named_with_the_place_and_nothing_else_is_complained_about() {
    let faults = faults(Role::Daemon, "profile = \"production\"\n[broker\n", &[]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("settings.toml: not valid TOML: TOML parse error at line 2"));
    let named = LoadOptions::new(Role::Worker).file(Some("/nowhere/counterfoil.toml".into()));
    assert_eq!(
        Config::load(named).expect_err("no such file").to_string(),
        "the configuration is not usable: /nowhere/counterfoil.toml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn names_that_do_not_fit_a_broker_are_refused() {
    let long = format!("[broker]\nqueue_prefix = \"{}\"", "p".repeat(101));
    assert_eq!(
        faults(Role::Worker, &long, &[]),
        ["broker.queue_prefix: it is longer than 100 bytes"]
    );
    let reserved = "[broker]\nqueue_prefix = \"amq.\"";
    assert!(faults(Role::Worker, reserved, &[])[0].contains("reserved by RabbitMQ"));
}

#[test]
fn how_long_tasks_are_kept_is_said_by_type_and_late_reports_have_their_hour() {
    let text = "[sync.retention]\ndefault = \"90d\"\n\"export.*\" = \"30d\"\n\"export.bill\" = \"forever\"\n\"demo.old\" = \"900000d\"";
    let env = [("COUNTERFOIL_SYNC__RETENTION__DEFAULT", "60d")];
    let kept = load(Role::Daemon, text, &env).expect("good").sync.retention;
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(kept.of("demo.add"), days(60));
    assert_eq!(kept.of("export.project"), days(30));
    assert_eq!(kept.of("export.bill"), None);
    assert_eq!(kept.of("demo.old"), None);
    let bad = "[sync.retention]\ndefault = \"59m\"\n\"*.x\" = \"1d\"\n\"a.b\" = [1]";
    let no_time = "is not a time of at least an hour, for late reports; write for example \"90d\", or \"forever\"";
    assert_eq!(
        faults(Role::Daemon, bad, &[]),
        [
            "sync.retention.*.x: neither the name of a task nor the start of one: write \"export.project\" or \"export.*\"".to_owned(),
            format!("sync.retention.a.b: it {no_time}"),
            format!("sync.retention.default: \"59m\" {no_time}"),
        ]
    );
}

#[test]
fn a_misspelt_default_of_retention_is_not_taken_for_a_type_of_task() {
    let told = |name: &str| {
        let text = format!("[sync.retention]\n{name} = \"30d\"");
        faults(Role::Daemon, &text, &[])
    };
    for name in ["defualt", "Default", "defaults", "defalt"] {
        assert_eq!(
            told(name),
            [format!(
                "sync.retention.{name}: no service has such a task; did you mean \"default\"?"
            )]
        );
    }
    let without_quotes = told("export.project");
    assert!(
        without_quotes[0].contains("write the name in quotes: \"export.project\" = "),
        "{without_quotes:?}"
    );
    let variable = [("COUNTERFOIL_SYNC__RETENTION__DEFALT", "30d")];
    let told = faults(Role::Daemon, "", &variable);
    assert!(told[0].contains("did you mean \"default\"?"), "{told:?}");
    let text = "[sync.retention]\nadd = \"30d\"\n\"default.add\" = \"1d\"";
    let kept = load(Role::Daemon, text, &[]).expect("a Python task may have any name");
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(kept.sync.retention.of("add"), days(30));
    assert_eq!(kept.sync.retention.of("default.add"), days(1));
}
