//! `init`, `doctor`, and databases that are not ready.

use crate::program::{CANARY, Program, Ran};
use counterfoil_testkit::{Broker, Database, Vhost, patience};
use std::time::Duration;

fn program(vhost: &Vhost, database: &str) -> Program {
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
    program.set("COUNTERFOIL_DATABASE__URL", database);
    program
}

/// The outcome of each check, by name.
fn outcome(ran: &Ran, name: &str) -> String {
    let checks = ran.documents();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {name}: {ran:?}"));
    check["outcome"].as_str().expect("a word").to_owned()
}

async fn init_makes_everything_ready(vhost: &Vhost, database: &str) {
    let program = program(vhost, database);
    let before = program.run(&["doctor", "--json"]).await.ends_with(1);
    assert_eq!(outcome(&before, "topology"), "fail", "once for all");
    assert!(before.stdout.lines().count() < 10, "{before:?}");
    assert!(
        before.stdout.contains("\"run `counterfoil init`, or "),
        "{before:?}"
    );

    let first = program.run(&["init", "--json"]).await.ends_with(0);
    let document = first.document();
    assert!(
        document["migrations_applied"].as_u64() > Some(0),
        "{document}"
    );
    assert!(document["queues_created"].as_u64() > Some(30), "{document}");
    assert!(
        first.took.as_millis() >= 1500,
        "young queues are waited for: {first:?}"
    );
    let again = program
        .run(&["init", "--json"])
        .await
        .ends_with(0)
        .document();
    assert_eq!(
        (&again["migrations_applied"], &again["queues_created"]),
        (&0.into(), &0.into())
    );

    let after = program.run(&["doctor", "--json"]).await.ends_with(0);
    for check in [
        "configuration",
        "broker",
        "topology",
        "database",
        "clock",
        "migrations",
    ] {
        assert_eq!(outcome(&after, check), "ok", "{check}");
    }
    assert_eq!(outcome(&after, "daemon"), "warn", "none runs");
    vhost.delete_queue("demo").await.expect("it was there");
    let without = program.run(&["doctor", "--json"]).await.ends_with(1);
    assert_eq!(outcome(&without, "queue demo"), "fail", "each by name");
    program.run(&["init"]).await.ends_with(0);
    let text = program.run(&["doctor"]).await.ends_with(0);
    assert!(
        text.stdout.contains("\n      start counterfoil-sync"),
        "{text:?}"
    );
    let none = program.run(&["task", "list", "--json"]).await.ends_with(0);
    assert_eq!(none.stdout, "");
}

#[tokio::test]
async fn init_makes_broker_and_sqlite_ready_and_doctor_agrees() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    init_makes_everything_ready(&vhost, "sqlite://counterfoil.db").await;
    vhost.close().await
}

#[tokio::test]
async fn init_makes_broker_and_postgres_ready_and_doctor_agrees() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    // The private server trusts its machine, so a password is not looked at; but it is there.
    let url = database.url().replacen('@', &format!(":{CANARY}@"), 1);
    init_makes_everything_ready(&vhost, &url).await;
    vhost.close().await?;
    database.close().await
}

#[tokio::test]
async fn a_database_that_was_never_migrated_names_the_remedy() -> anyhow::Result<()> {
    let database = Database::fresh().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_DATABASE__URL", database.url());
    for args in [
        &["task", "list"][..],
        &["workers"],
        &["dead", "list", "demo"],
    ] {
        let ran = program.run(args).await.ends_with(78);
        assert!(
            ran.stderr.contains("remedy: run `counterfoil init`"),
            "{ran:?}"
        );
    }
    database.close().await
}

#[tokio::test]
async fn looking_at_a_file_that_is_not_there_does_not_make_it() {
    let program = Program::new();
    let ran = program.run(&["task", "list"]).await.ends_with(69);
    assert!(
        ran.stderr
            .contains("counterfoil.db\nremedy: go to the folder"),
        "{ran:?}"
    );
    assert_eq!(
        std::fs::read_dir(program.folder()).expect("ours").count(),
        0
    );
}

#[tokio::test]
async fn a_database_that_is_away_or_refuses_is_told_without_its_password() {
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__CONNECT_TIMEOUT", "2s");
    for level in ["warn", "trace"] {
        program.set("RUST_LOG", level);
        let url = format!("postgresql://u:{CANARY}@127.0.0.1:1/db?password={CANARY}");
        program.set("COUNTERFOIL_DATABASE__URL", url);
        let ran = program.run(&["task", "list"]).await.ends_with(69);
        assert!(ran.stderr.contains("remedy: start the database"), "{ran:?}");
        assert!(ran.stderr.contains("Connection refused"), "{ran:?}");
        assert!(ran.took < patience(Duration::from_secs(1)), "{ran:?}");
    }
}

#[tokio::test]
async fn a_database_file_in_a_folder_that_is_not_there_names_the_folder_as_the_remedy() {
    let mut program = Program::new();
    program.set("COUNTERFOIL_DATABASE__URL", "sqlite://no/such/folder.db");
    let ran = program.run(&["init"]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("remedy: make the folder"), "{ran:?}");
}

#[tokio::test]
async fn the_dead_of_a_service_that_nobody_knows_are_not_just_none() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = program(&vhost, "sqlite://own.db");
    program.run(&["init"]).await.ends_with(0);
    let ran = program.run(&["dead", "list", "tpyo"]).await.ends_with(0);
    assert!(
        ran.stderr
            .contains("no task of a service tpyo was ever mirrored"),
        "{ran:?}"
    );
    vhost.close().await
}
