//! The demo, and what can be seen of its tasks afterwards.

use crate::program::{CANARY, Program, Ran};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription, SubscriptionStatus};
use serde_json::Value;
use std::time::Duration;

fn ids(ran: &Ran, key: &str) -> Vec<String> {
    let text = |line: &Value| line[key].as_str().expect("an id").to_owned();
    ran.documents().iter().map(text).collect()
}

fn keys(document: &Value) -> Vec<&str> {
    document
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_demo_without_any_server_accounts_for_every_task_and_cleans_up() {
    let mut program = Program::new();
    let temporary = program.folder().join("tmp");
    std::fs::create_dir(&temporary).expect("a new folder");
    program.set("TMPDIR", temporary.to_string_lossy());
    // A broker that is configured is none of its business.
    program.set("COUNTERFOIL_BROKER__URL", "amqp://127.0.0.1:1/%2f");
    let ran = program.run(&["demo", "--tasks", "40"]).await.ends_with(0);
    assert!(ran.stdout.contains("40 tasks sent, "), "{ran:?}");
    assert!(ran.stdout.contains("accounted for, in"), "{ran:?}");
    assert!(
        ran.stdout.contains("database: a temporary SQLite file"),
        "{ran:?}"
    );
    assert_eq!(ran.stderr, "", "nothing went wrong");
    let left = std::fs::read_dir(&temporary).expect("ours").count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[tokio::test]
async fn an_interrupted_demo_cleans_up_too() -> anyhow::Result<()> {
    let mut program = Program::new();
    let temporary = program.folder().join("tmp");
    std::fs::create_dir(&temporary)?;
    program.set("TMPDIR", temporary.to_string_lossy());
    let demo = program.command(&["demo", "--tasks", "100000"]).spawn()?;
    let patience = Duration::from_secs(30);
    eventually("exports of running tasks", patience, async || {
        let demo = std::fs::read_dir(&temporary)?.next().transpose()?;
        let exports = demo.map(|folder| folder.path().join("exports"));
        Ok(exports.filter(|folder| folder.exists()).map(drop))
    })
    .await?;
    let pid = demo.id().expect("it runs").to_string();
    let asked = tokio::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .await?;
    assert!(asked.success());
    let ended = demo.wait_with_output().await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(
        (ended.status.code(), &*said),
        (Some(130), "error: interrupted\n")
    );
    assert_eq!(
        std::fs::read_dir(&temporary)?.count(),
        0,
        "nothing is left behind"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_demo_did_can_be_looked_at_from_every_side() {
    let mut program = Program::new();
    let ran = program
        .run(&["demo", "--tasks", "30", "--keep", "kept", "--json"])
        .await;
    let answer = ran.ends_with(0).document();
    assert_eq!(
        keys(&answer),
        [
            "broker",
            "database",
            "sent",
            "children",
            "elapsed_ms",
            "lines",
            "unaccounted"
        ]
    );
    assert_eq!(answer["sent"], 30);
    program.set("COUNTERFOIL_DATABASE__URL", "sqlite://kept/counterfoil.db");

    let all = program.run(&["task", "list", "--json"]).await.ends_with(0);
    let children = answer["children"].as_u64().expect("a number");
    assert_eq!(all.documents().len() as u64, 30 + children);
    for key in [
        "id",
        "task_id",
        "type",
        "state",
        "input",
        "created_date",
        "root_id",
    ] {
        assert!(keys(&all.documents()[0]).contains(&key), "{key}");
    }
    let one = program.run(&[
        "task", "list", "--limit", "1", "--state", "failure", "--name", "demo.add",
    ]);
    let one = one.await.ends_with(0);
    assert_eq!(
        one.stdout.lines().count(),
        2,
        "a head and one line: {one:?}"
    );
    assert!(
        one.stdout.contains("unexpected argument `colour`"),
        "{one:?}"
    );

    family(&program).await;
    history_and_log(&program).await;

    let dead = program
        .run(&["dead", "list", "demo", "--json"])
        .await
        .ends_with(0);
    let reasons = ids(&dead, "reason");
    assert!(reasons.contains(&"bad_arguments".to_owned()), "{reasons:?}");
    let workers = program.run(&["workers", "--json"]).await.ends_with(0);
    assert_eq!(workers.document()["phase"], "stopped");
    assert_eq!(workers.document()["alive"], false);
    let parked = program.run(&["parked", "list"]).await.ends_with(0);
    assert_eq!(
        (parked.stdout.as_str(), parked.stderr.as_str()),
        ("", "nothing found\n")
    );
}

async fn family(program: &Program) {
    let trees = program
        .run(&["task", "list", "--name", "demo.tree", "--json"])
        .await
        .ends_with(0);
    let child = trees
        .documents()
        .into_iter()
        .find(|row| row["parent_id"].is_string());
    let child = child.expect("a tree has children");
    // Any member shows the whole family, by public and by task id.
    for id in ["id", "task_id"] {
        let id = child[id].as_str().expect("an id");
        let tree = program.run(&["task", "tree", id]).await.ends_with(0);
        let lines: Vec<_> = tree.stdout.lines().collect();
        assert!(lines[0].starts_with("demo.tree  SUCCESS  "), "{tree:?}");
        assert!(
            lines[1].starts_with("└─ ") || lines[1].starts_with("├─ "),
            "{tree:?}"
        );
        let tree = program
            .run(&["task", "tree", id, "--json"])
            .await
            .ends_with(0)
            .documents();
        assert_eq!(
            keys(&tree[0]),
            [
                "id",
                "task_id",
                "type",
                "state",
                "parent_id",
                "error_message",
                "generation"
            ]
        );
        assert_eq!(tree[0]["task_id"], child["root_id"]);
        assert_eq!(tree[1]["parent_id"], child["root_id"]);
        assert_eq!(tree[1]["generation"], 1);
    }
}

async fn history_and_log(program: &Program) {
    let list = program
        .run(&["task", "list", "--name", "demo.flaky", "--json"])
        .await
        .ends_with(0);
    let id = ids(&list, "id").remove(0);
    let history = program
        .run(&["task", "history", &id, "--json"])
        .await
        .ends_with(0);
    let kinds = ids(&history, "kind");
    assert_eq!(kinds[0], "PENDING");
    assert_eq!(kinds[kinds.len() - 1], "SUCCESS");
    assert!(kinds.contains(&"RETRY".to_owned()), "{kinds:?}");
    let show = program
        .run(&["task", "show", &id, "--json"])
        .await
        .ends_with(0)
        .document();
    assert_eq!(show["task_result"]["status"], "SUCCESS");
    let show = program.run(&["task", "show", &id]).await.ends_with(0);
    assert!(
        show.stdout.contains("state                  SUCCESS\n"),
        "{show:?}"
    );

    let list = program
        .run(&["task", "list", "--name", "demo.progress", "--json"])
        .await
        .ends_with(0);
    let id = ids(&list, "id").remove(0);
    let log = program.run(&["task", "log", &id]).await.ends_with(0);
    assert!(log.stdout.contains(" info  step 1 of "), "{log:?}");
    let log = program
        .run(&["task", "log", &id, "--json"])
        .await
        .ends_with(0);
    assert_eq!(log.documents()[0]["level"], "info");
    let gone = program
        .run(&["task", "show", "nobody-knows"])
        .await
        .ends_with(1);
    assert!(
        gone.stderr.contains("no task has the id \"nobody-knows\""),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_demo_on_real_servers_leaves_nothing_waiting() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut program = Program::new();
    let urls = [
        "--amqp-url",
        &vhost.amqp_url(),
        "--database-url",
        database.url(),
    ];
    let args = [&["demo", "--tasks", "40", "--json"], &urls[..]].concat();
    let answer = program.run(&args).await.ends_with(0).document();
    assert_eq!(answer["unaccounted"], serde_json::json!([]));
    assert!(
        answer["broker"]
            .as_str()
            .expect("text")
            .starts_with("amqp://guest:***@")
    );

    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_DATABASE__URL", database.url());
    let queues = program.run(&["queues", "--json"]).await.ends_with(0);
    let ready = |line: &Value| line["ready"].as_u64().unwrap_or(0);
    assert!(
        queues.documents().iter().all(|line| ready(line) == 0),
        "{queues:?}"
    );
    assert!(
        queues.documents()[0]["sent_per_minute"].is_i64(),
        "{queues:?}"
    );

    // The workers announced their schemas, so arguments are checked from now on.
    let ran = program
        .run(&["send", "demo.add", "--args", "[1]"])
        .await
        .ends_with(2);
    assert!(
        ran.stderr
            .contains("`demo.add` is missing the required argument `y`"),
        "{ran:?}"
    );
    let ran = program
        .run(&["send", "demo.add", "--args", "[1, 2]"])
        .await
        .ends_with(0);
    let nobody = "no worker consumes the queue demo at the moment\n";
    assert_eq!(ran.stderr, nobody, "the demo is over");
    vhost.close().await?;
    database.close().await
}

#[tokio::test]
async fn a_demo_takes_no_messages_from_a_platform_that_is_at_work() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = Program::new();
    let url = vhost.amqp_url();
    let args = ["demo", "--tasks", "10", "--amqp-url", &url];
    program.run(&args).await.ends_with(0);
    // A daemon reads.
    let broker = BrokerSettings {
        urls: vec![url.clone().into()],
        ..BrokerSettings::default()
    };
    let options = SubscribeOptions::new(broker.names()?.tracking_queue.clone(), 1);
    let daemon = Subscription::open(AmqpTransport::new(&broker)?, options);
    let reads = |status: &SubscriptionStatus| *status == SubscriptionStatus::Consuming;
    daemon.status().wait_for(reads).await?;
    let refused = program.run(&args).await.ends_with(78);
    assert!(
        refused.stderr.contains("the broker is in use") && refused.stderr.contains("remedy"),
        "{refused:?}"
    );
    daemon.close().await;
    vhost.close().await
}

#[tokio::test]
async fn a_demo_without_its_servers_says_which_is_away() {
    let program = Program::new();
    let amqp = format!("amqp://u:{CANARY}@127.0.0.1:1/%2f");
    program
        .run(&["demo", "--amqp-url", &amqp])
        .await
        .ends_with(69);
    let database = format!("postgresql://u:{CANARY}@127.0.0.1:1/db");
    program
        .run(&["demo", "--database-url", &database])
        .await
        .ends_with(69);
}
