//! `doctor` says what is wrong, all of it, and goes on with what it can.

use crate::program::{CANARY, Program, Ran};
use counterfoil_store::{Batch, Seen, StoreOptions};
use counterfoil_testkit::store_suite::copy_of;
use counterfoil_testkit::{Broker, Database};
use counterfoil_toolbox::message::Envelope;
use serde_json::Value;

/// Outcome and detail of each check of that name.
pub(crate) fn checks(ran: &Ran, name: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    ran.documents()
        .iter()
        .filter(|check| check["name"] == name)
        .map(|check| (text(&check["outcome"]), text(&check["detail"])))
        .collect()
}

pub(crate) fn check(ran: &Ran, name: &str) -> (String, String) {
    let mut all = checks(ran, name);
    assert_eq!(all.len(), 1, "{name}: {ran:#?}");
    all.remove(0)
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_a_failed_check_with_all_of_its_faults() {
    let mut program = Program::new();
    program.set("COUNTERFOIL_WORKER__CONCURRENCY", "many");
    program.file("counterfoil.toml", "[broker]\nheartbeat = \"soon\"\n");
    let ran = program.run(&["doctor", "--json"]).await.ends_with(78);
    let faults = checks(&ran, "configuration");
    assert_eq!(faults.len(), 2, "{faults:?}");
    for (fault, field) in faults
        .iter()
        .zip(["broker.heartbeat", "worker.concurrency"])
    {
        assert_eq!(fault.0, "fail");
        assert!(fault.1.starts_with(field), "{fault:?}");
    }
    for name in ["broker", "database"] {
        let (outcome, detail) = check(&ran, name);
        assert_eq!(outcome, "warn");
        assert!(detail.starts_with("skipped: the configuration"), "{detail}");
    }
    let text = program.run(&["doctor"]).await.ends_with(78);
    assert!(text.stdout.contains("fail  configuration: "), "{text:?}");
    assert!(text.stderr.contains("error: 2 checks failed"), "{text:?}");
}

#[tokio::test]
async fn what_is_configured_is_looked_at_when_something_else_is_missing() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_PROFILE", "production");
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    let ran = program.run(&["doctor", "--json"]).await.ends_with(78);
    let missing = checks(&ran, "configuration");
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[0].1.starts_with("database.url: missing"));
    assert_eq!(check(&ran, "broker").0, "ok");
    assert_eq!(check(&ran, "database").0, "warn");
    vhost.close().await
}

#[tokio::test]
async fn a_broker_that_is_away_does_not_keep_from_looking_at_the_database() -> anyhow::Result<()> {
    let database = Database::fresh().await?;
    let mut program = Program::new();
    let away = format!("amqp://u:{CANARY}@127.0.0.1:1/%2f");
    program.set("COUNTERFOIL_BROKER__URL", away);
    program.set("COUNTERFOIL_DATABASE__URL", database.url());
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    assert_eq!(check(&ran, "broker").0, "fail");
    let (outcome, detail) = check(&ran, "topology");
    assert_eq!(outcome, "warn");
    assert!(detail.starts_with("skipped: the broker"), "{detail}");
    assert_eq!(check(&ran, "database").0, "ok");
    assert_eq!(check(&ran, "migrations").0, "fail");
    database.close().await
}

#[tokio::test]
async fn a_database_user_who_may_only_read_fails_with_what_to_do() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    let mut with = async |url: String, command: &'static str| {
        program.set("COUNTERFOIL_DATABASE__URL", url);
        program.run(&[command, "--json"]).await
    };
    let url = database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    for (writes, reads, remedy) in [
        (
            url.to_owned(),
            format!("{url}{and}options=-c%20role%3Dpg_read_all_data"),
            "let the user of database.url read and write",
        ),
        (
            url.to_owned(),
            format!("{url}{and}options=-c%20default_transaction_read_only%3Don"),
            "name the server that takes writes",
        ),
        (
            "sqlite://own.db".to_owned(),
            "sqlite://own.db?mode=ro".to_owned(),
            "name the server that takes writes",
        ),
    ] {
        with(writes.clone(), "init").await.ends_with(0);
        let ran = with(writes, "doctor").await.ends_with(0);
        assert_eq!(check(&ran, "database role").0, "ok");
        let ran = with(reads, "doctor").await.ends_with(1);
        assert_eq!(check(&ran, "database role").0, "fail", "{ran:?}");
        assert!(ran.stdout.contains(remedy), "{ran:?}");
        assert_eq!(check(&ran, "daemon").0, "warn", "and it goes on");
    }
    database.close().await?;
    vhost.close().await
}

#[tokio::test]
async fn services_without_a_worker_and_variables_that_are_no_settings_are_told()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_DATABASE__URL", "sqlite://own.db");
    program.set("COUNTERFOIL_WORKER_CONCURRENCY", "5");
    program.run(&["init"]).await.ends_with(0);
    let ran = program.run(&["doctor", "--json"]).await.ends_with(0);
    let (outcome, detail) = check(&ran, "consumers");
    assert!(outcome == "warn" && detail.starts_with("no services are configured"));
    let configuration = checks(&ran, "configuration");
    let ignored = "the variable COUNTERFOIL_WORKER_CONCURRENCY is ignored";
    assert!(configuration.contains(&("warn".into(), ignored.into())));
    assert!(
        ran.stdout.contains("COUNTERFOIL_WORKER__CONCURRENCY"),
        "{ran:?}"
    );

    program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
    program.run(&["init"]).await.ends_with(0);
    program.run(&["send", "demo.add", "{}"]).await.ends_with(0);
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    let told = checks(&ran, "consumers");
    // What nobody has written down yet is missing in every list of tasks.
    let blind = ": the database does not know what happens now";
    for (queue, waiting, outcome, more) in [
        ("demo", 1, "warn", ""),
        ("platform.fifo", 1, "fail", blind),
        ("platform.events", 0, "warn", ""),
    ] {
        let waiting = match waiting {
            1 => "1 message waits",
            _ => "0 messages wait",
        };
        let what = format!("nobody consumes the queue {queue}, in which {waiting}{more}");
        assert!(told.contains(&(outcome.into(), what)), "{told:?}");
    }
    vhost.close().await
}

/// Its queue is on the broker and its tasks are in the database: that this configuration does not name it says nothing.
/// Of a name without a queue nothing is said, and `queues` has no line.
#[tokio::test]
async fn services_that_only_the_database_knows_are_looked_at_too() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_DATABASE__URL", database.url());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
    program.run(&["init"]).await.ends_with(0);
    let options = StoreOptions::new(database.url().to_owned()).id_secret("development".to_owned());
    let store = counterfoil_store::connect(&options).await?;
    let mut batch = Batch::new();
    for (id, name) in [
        ("0190163d-8694-739b-aea5-966c26f8ad90", "demo.add"),
        ("0190163d-8694-739b-aea5-966c26f8ad91", "dmeo.add"),
    ] {
        batch.track(&copy_of(Envelope::new(id.parse()?, name.parse()?)));
    }
    store.apply(&batch).await?;
    program.set("COUNTERFOIL_BROKER__SERVICES", "");
    let ran = program.run(&["doctor", "--json"]).await;
    let told = checks(&ran, "consumers");
    let of = |service: &str| {
        let queue = format!("nobody consumes the queue {service},");
        told.iter()
            .filter(|(_, what)| what.starts_with(&queue))
            .count()
    };
    assert_eq!((of("demo"), of("dmeo")), (1, 0), "{told:?}");
    let queues = program.run(&["queues", "--json"]).await.ends_with(0);
    let services: Vec<_> = queues
        .documents()
        .iter()
        .filter_map(|it| it["service"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(services, ["demo"]);

    program.run(&["pause", "demo"]).await.ends_with(0);
    let ran = program.run(&["doctor", "--json"]).await;
    assert!(
        !ran.stdout.contains("nobody consumes the queue demo,"),
        "{ran:?}"
    );
    let ran = program.run(&["send", "demo.add", "{}"]).await.ends_with(0);
    let paused = ": nothing of it starts until `counterfoil resume demo`";
    assert!(
        ran.stderr.contains("service demo is paused by ") && ran.stderr.contains(paused),
        "{ran:?}"
    );
    store.close().await;
    database.close().await?;
    vhost.close().await
}

#[tokio::test]
async fn queues_of_classes_that_are_missing_or_left_over_are_told() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo,export");
    program.set("COUNTERFOIL_DATABASE__URL", "sqlite://own.db");
    program.run(&["init"]).await.ends_with(0);
    let with = |program: &mut Program, priorities: &str| {
        program.set("COUNTERFOIL_BROKER__QUEUES__DEMO__PRIORITIES", priorities);
    };
    with(&mut program, "true");
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    for queue in ["queue demo~high", "queue demo~low"] {
        assert_eq!(check(&ran, queue), ("fail".into(), "it is missing".into()));
    }
    program.run(&["topology", "apply"]).await.ends_with(0);
    let send = ["send", "demo.add", "--priority", "low"];
    program.run(&send).await.ends_with(0);
    // No daemon runs here.
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    assert!(checks(&ran, "priorities").is_empty(), "{ran:?}");
    let nobody = "nobody consumes the queue demo~low, in which 1 message waits";
    assert!(checks(&ran, "consumers").contains(&("warn".into(), nobody.into())));

    with(&mut program, "false");
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    let told = checks(&ran, "priorities");
    for ((outcome, detail), queue) in told.iter().zip(["demo~high", "demo~low"]) {
        let is_named = detail.starts_with(&format!("the queue {queue} is there"));
        assert!(outcome == "warn" && is_named, "{told:?}");
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(ran.stdout.contains("broker.queues.demo.priorities = true"));
    vhost.close().await
}

/// Nobody else says it before somebody misses what he sent.
#[tokio::test]
async fn tasks_that_no_service_owns_are_told() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_DATABASE__URL", database.url());
    program.run(&["init"]).await.ends_with(0);
    let ran = program.run(&["doctor", "--json"]).await;
    assert!(checks(&ran, "unroutable").is_empty(), "{ran:?}");
    let options = StoreOptions::new(database.url().to_owned()).id_secret("development".to_owned());
    let store = counterfoil_store::connect(&options).await?;
    let mut batch = Batch::new();
    for (id, name) in [
        ("a", "exprot.project"),
        ("b", "exprot.project"),
        ("c", "mial.send"),
    ] {
        let mut copy = copy_of(Envelope::new(id.parse()?, name.parse()?));
        copy.message.routing_key = format!("{name}.default").as_str().into();
        copy.seen = Seen::Unroutable;
        batch.track(&copy);
    }
    store.apply(&batch).await?;
    store.close().await;
    let ran = program.run(&["doctor", "--json"]).await;
    let what = "3 tasks wait for services that have no queue: exprot, mial";
    assert_eq!(check(&ran, "unroutable"), ("warn".into(), what.into()));
    assert!(
        ran.stdout.contains("task cancel --state UNROUTABLE"),
        "{ran:?}"
    );
    database.close().await?;
    vhost.close().await
}
