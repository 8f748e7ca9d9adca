//! What should be at the broker, against what is.

use crate::program::Program;
use chrono::Utc;
use counterfoil_store::{Batch, StoreOptions, connect};
use counterfoil_testkit::{Broker, Vhost};
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::state::{Lineage, TaskState};
use serde_json::json;
use uuid::{NoContext, Timestamp, Uuid};

async fn program(vhost: &Vhost) -> Program {
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo,export");
    program
}

fn count(ran: &crate::program::Ran, state: &str) -> usize {
    ran.documents()
        .iter()
        .filter(|line| line["state"] == state)
        .count()
}

#[tokio::test]
async fn a_plan_changes_nothing_and_what_is_applied_verifies() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = program(&vhost).await;
    let planned = program
        .run(&["topology", "plan", "--json"])
        .await
        .ends_with(0);
    let missing = count(&planned, "missing");
    assert!(missing > 50, "{missing}");
    assert!(vhost.queues().await?.is_empty());
    program.run(&["topology", "verify"]).await.ends_with(78);

    let applied = program
        .run(&["topology", "apply", "--json"])
        .await
        .ends_with(0);
    assert_eq!(count(&applied, "differs"), 0);
    let verified = program
        .run(&["topology", "verify", "--json"])
        .await
        .ends_with(0);
    assert_eq!(count(&verified, "present"), missing);
    for key in ["item", "details", "state"] {
        assert!(
            verified
                .documents()
                .iter()
                .all(|line| line[key].is_string()),
            "{key}"
        );
    }
    let again = program.run(&["topology", "apply"]).await.ends_with(0);
    assert!(again.stdout.ends_with(" applied\n"), "{again:?}");
    vhost.close().await
}

#[tokio::test]
async fn a_queue_of_another_type_is_shown_with_both_sides_and_the_rest_is_applied()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let queue = format!("/queues/{}/export", vhost.name());
    vhost
        .broker()
        .management()
        .put(&queue, &json!({"durable": true}))
        .await?;
    let program = program(&vhost).await;
    for command in ["apply", "verify"] {
        let ran = program.run(&["topology", command]).await.ends_with(78);
        assert!(ran.stdout.contains("differs   queue export: "), "{ran:?}");
        assert!(ran.stdout.contains("but current is"), "{ran:?}");
        assert!(
            ran.stdout.contains("empty and delete the queue export"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("error: 1 item is missing"), "{ran:?}");
    }
    program.run(&["topology", "plan"]).await.ends_with(0);
    let queues = vhost.queues().await?;
    assert!(queues.contains(&"demo".to_owned()) && queues.contains(&"export.dead".to_owned()));
    vhost.close().await
}

#[tokio::test]
async fn queues_of_others_are_looked_at_or_left_alone() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = program(&vhost).await;
    program.set("COUNTERFOIL_BROKER__QUEUES__DEMO__DECLARE", "off");
    program.run(&["topology", "apply"]).await.ends_with(0);
    assert!(!vhost.queues().await?.contains(&"demo".to_owned()));
    program.set("COUNTERFOIL_BROKER__QUEUES__DEMO__DECLARE", "passive");
    let ran = program.run(&["topology", "apply"]).await.ends_with(78);
    assert!(ran.stdout.contains("missing   queue demo:"), "{ran:?}");
    assert!(!vhost.queues().await?.contains(&"demo".to_owned()));
    vhost.close().await
}

#[tokio::test]
async fn queues_that_are_not_there_have_no_numbers() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = program(&vhost).await;
    let ran = program.run(&["queues", "--json"]).await.ends_with(0);
    assert_eq!(ran.documents()[0]["ready"], serde_json::Value::Null);
    program.run(&["topology", "apply"]).await.ends_with(0);
    program
        .run(&["send", "demo.add", "--args", "[1, 2]"])
        .await
        .ends_with(0);
    let ran = program.run(&["queues", "--json"]).await.ends_with(0);
    let demo = json!({
        "queue": "demo", "service": "demo", "ready": 1, "consumers": 0, "dead": 0,
        "sent_per_minute": null, "paused": null,
    });
    assert_eq!(ran.documents()[0], demo);
    let tracking = ran
        .documents()
        .into_iter()
        .find(|line| line["queue"] == "platform.fifo");
    assert_eq!(tracking.expect("listed")["ready"], 1);
    let ran = program.run(&["queues"]).await.ends_with(0);
    let lines: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .collect();
    assert_eq!(
        lines[0],
        ["QUEUE", "READY", "CONSUMERS", "DEAD", "SENT/MIN", "PAUSED"]
    );
    assert_eq!(lines[1], ["demo", "1", "0", "0", "-"]);
    vhost.close().await
}

#[tokio::test]
async fn a_queue_tells_how_many_tasks_were_sent_within_the_last_minute() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = program(&vhost).await;
    let file = program.folder().join("counterfoil.db");
    let options = StoreOptions::new(format!("sqlite://{}", file.display()));
    let store = connect(&options.id_secret("secret")).await?;
    store.migrate().await?;
    let hour_ago = Utc::now().timestamp() - 3600;
    let old = Uuid::new_v7(Timestamp::from_unix(NoContext, u64::try_from(hour_ago)?, 0));
    let mut batch = Batch::new();
    for id in [
        TaskId::random(),
        TaskId::random(),
        TaskId::new(&old.to_string())?,
    ] {
        let name = TaskName::new("export.project")?;
        let state = EventKind::State(TaskState::Success);
        batch.event(&Event::new(id, name, Lineage::default(), state, Utc::now()));
    }
    store.apply(&batch).await?;
    store.close().await;
    let ran = program.run(&["queues", "--json"]).await.ends_with(0);
    let rates: Vec<_> = ran.documents()[..2]
        .iter()
        .map(|line| (line["service"].clone(), line["sent_per_minute"].clone()))
        .collect();
    assert_eq!(
        rates,
        [(json!("demo"), json!(0)), (json!("export"), json!(2))]
    );
    vhost.close().await
}
