//! Set-ups that are broken: each has words of its own in `doctor`, and a remedy that mends it.

use crate::doctor::checks;
use crate::program::{CANARY, Program, Ran};
use crate::stage::Stage;
use counterfoil_testkit::{Broker, Database, Permissions};
use serde_json::json;

/// The remedy of the only check of that name which failed, and what it says.
pub(crate) fn failed(ran: &Ran, name: &str) -> (String, String) {
    let documents = ran.documents();
    let failed = documents
        .iter()
        .filter(|check| check["name"] == name && check["outcome"] == "fail");
    let failed: Vec<_> = failed.collect();
    assert_eq!(failed.len(), 1, "{name}: {ran:#?}");
    let text = |key: &str| failed[0][key].as_str().expect("text").to_owned();
    (text("detail"), text("remedy"))
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

/// Where something of the vhost is in the management API.
fn path(stage: &Stage, rest: &str) -> String {
    let (kind, name) = rest.split_once('/').expect("a kind and a name");
    format!("/{kind}/{}/{name}", stage.vhost.name())
}

async fn doctor(stage: &Stage, code: i32) -> Ran {
    stage
        .program
        .run(&["doctor", "--json"])
        .await
        .ends_with(code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_of_the_wrong_type_is_told_and_comes_back_right_once_it_is_deleted()
-> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let (management, exchange) = (
        stage.vhost.broker().management(),
        path(&stage, "exchanges/task_exchange"),
    );
    management.delete(&exchange).await?;
    let direct = json!({ "type": "direct", "durable": true });
    management.put(&exchange, &direct).await?;
    let (detail, remedy) = failed(&doctor(&stage, 1).await, "exchange task_exchange");
    has(&detail, "received 'topic' but current is 'direct'");
    has(
        &remedy,
        "`rabbitmqadmin delete exchange name=task_exchange`",
    );
    has(&remedy, "`counterfoil topology apply`");

    management.delete(&exchange).await?;
    stage.program.run(&["topology", "apply"]).await.ends_with(0);
    doctor(&stage, 0).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_queue_where_a_quorum_queue_belongs_is_told() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    stage.vhost.delete_queue("demo").await?;
    let management = stage.vhost.broker().management();
    let classic = json!({ "durable": true, "arguments": { "x-queue-type": "classic" } });
    management
        .put(&path(&stage, "queues/demo"), &classic)
        .await?;
    let (detail, remedy) = failed(&doctor(&stage, 1).await, "queue demo");
    has(&detail, "x-queue-type");
    has(&detail, "quorum");
    has(&remedy, "`rabbitmqctl delete_queue --if-empty demo`");

    stage.vhost.delete_queue("demo").await?;
    stage.program.run(&["topology", "apply"]).await.ends_with(0);
    doctor(&stage, 0).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_tracking_queue_is_told_by_name_and_by_what_gets_lost() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    stage.vhost.delete_queue("platform.fifo").await?;
    let probed = ["doctor", "--probe", "--json"];
    let ran = stage.program.run(&probed).await.ends_with(1);
    let (detail, remedy) = failed(&ran, "queue platform.fifo");
    assert_eq!(detail, "it is missing");
    has(&remedy, "`counterfoil topology apply`");
    has(
        &failed(&ran, "results").0,
        "there is no queue platform.fifo",
    );
    stage.program.run(&["topology", "apply"]).await.ends_with(0);
    doctor(&stage, 0).await;
    Ok(())
}

#[tokio::test]
async fn a_broker_that_lets_nobody_in_says_whether_vhost_user_or_right_is_wrong()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let elsewhere = Broker::shared().await?.vhost().await?;
    let user = vhost.user(Permissions::ALL).await?;
    let (name, url) = (&user.name, vhost.amqp_url());
    let (_, host) = url.rsplit_once('@').expect("the harness has a user");
    for (url, detail, remedy) in [
        (
            url.replace(vhost.name(), "nowhere"),
            "vhost nowhere not found",
            "`rabbitmqctl add_vhost nowhere`",
        ),
        (
            format!("amqp://{name}:{CANARY}@{host}"),
            "Login was refused",
            "mend user and password in broker.url",
        ),
        (
            user.amqp_url.replace(vhost.name(), elsewhere.name()),
            "access to vhost",
            &*format!(
                "`rabbitmqctl set_permissions -p {} {name} '.*' '.*' '.*'`",
                elsewhere.name()
            ),
        ),
    ] {
        let mut program = Program::new();
        program.set("COUNTERFOIL_BROKER__URL", url);
        let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
        let told = failed(&ran, "broker");
        has(&told.0, detail);
        has(&told.1, remedy);
    }
    elsewhere.close().await?;
    vhost.close().await
}

#[tokio::test]
async fn a_database_without_the_role_or_the_schema_says_which() -> anyhow::Result<()> {
    let database = Database::fresh().await?;
    let (scheme, rest) = database.url().split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("the harness has a user");
    let (server, _) = place.split_once('/').expect("a database");
    for (url, name, detail, remedy) in [
        (
            format!("{scheme}://nobody:{CANARY}@{place}"),
            "database",
            "\"nobody\" does not exist",
            "`createuser --pwprompt NAME`",
        ),
        (
            database.url().replace(place, &format!("{server}/nowhere")),
            "database",
            "\"nowhere\" does not exist",
            "`createdb NAME`, then `counterfoil init`",
        ),
        (
            database.url().to_owned(),
            "migrations",
            "not applied yet: 1 ",
            "run `counterfoil init`",
        ),
    ] {
        let mut program = Program::new();
        program.set("COUNTERFOIL_BROKER__URL", "amqp://127.0.0.1:1/%2f");
        program.set("COUNTERFOIL_DATABASE__URL", url);
        let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
        let told = failed(&ran, name);
        has(&told.0, detail);
        has(&told.1, remedy);
    }
    database.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_do_the_daemons_work_is_told_what_exactly() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let may_send_only = Permissions {
        configure: "^$",
        write: "^task_exchange$",
        read: "^platform\\.(fifo|deaths|unroutable|expired|heartbeats)$",
    };
    let user = stage.vhost.user(may_send_only).await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", user.amqp_url.clone());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
    program.set("COUNTERFOIL_DATABASE__URL", "sqlite://own.db");
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    let (detail, remedy) = failed(&ran, "permissions");
    for part in [
        "read queue platform.events",
        "publish to task_exchange.requeue with the key \"platform.canary\"",
        "publish to task_events with the key \"event.platform.batch\"",
        "declare queues platform.tokens.*",
    ] {
        has(&detail, part);
    }
    assert!(
        !detail.contains("publish to task_exchange with"),
        "{detail}"
    );
    assert!(!detail.contains("read queue platform.fifo"), "{detail}");
    let line = format!(
        "rabbitmqctl set_permissions -p {} {}",
        stage.vhost.name(),
        user.name
    );
    has(&remedy, &line);

    // By key, too.
    let events = ("^task_events$", "event\\.demo\\.batch");
    stage
        .vhost
        .set_permissions(&user.name, Permissions::ALL)
        .await?;
    let limited = stage
        .vhost
        .set_topic_permissions(&user.name, "task_events", events.1, ".*");
    limited.await?;
    let ran = program.run(&["doctor", "--json"]).await.ends_with(1);
    let (detail, remedy) = failed(&ran, "permissions");
    let only = "may not publish to task_events with the key \"event.platform.batch\"";
    assert!(detail.ends_with(only), "{detail}");
    has(&remedy, "rabbitmqctl clear_topic_permissions");
    // Nothing of what was asked for happened.
    for queue in ["platform.fifo", "platform.events", "platform.unroutable"] {
        assert_eq!(stage.ready(queue).await?, 0, "{queue}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_that_the_broker_refuses_is_told_after_seconds_with_the_brokers_words()
-> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let daemon = stage.daemon();
    let exchange = path(&stage, "exchanges/task_exchange");
    stage.vhost.broker().management().delete(&exchange).await?;
    stage.add_schedule().await;
    stage.run_schedule().await;
    let told = counterfoil_testkit::eventually("the outbox", crate::stage::SOON, async || {
        let ran = doctor(&stage, 1).await;
        let told = checks(&ran, "outbox").remove(0);
        Ok((told.0 == "warn").then_some((told.1, ran)))
    });
    let (detail, ran) = told.await?;
    has(
        &detail,
        "1 messages are due and not sent, the oldest, for queue demo, for ",
    );
    has(&detail, "there is no exchange task_exchange");
    has(&ran.stdout, "then they are sent by themselves");
    stage.program.run(&["topology", "apply"]).await.ends_with(0);
    counterfoil_testkit::eventually("it to be sent", crate::stage::SOON, async || {
        Ok((stage.store.outbox_state().await?.waiting == 0).then_some(()))
    })
    .await?;
    daemon.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_service_is_told_as_such_and_not_as_one_without_workers() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let daemon = stage.daemon();
    let consumers = |ran: &Ran| -> Vec<String> {
        let told = checks(ran, "consumers").into_iter();
        told.map(|(_, detail)| detail).collect()
    };
    let ran = doctor(&stage, 0).await;
    assert!(checks(&ran, "paused").is_empty(), "{ran:?}");
    assert!(
        consumers(&ran)
            .iter()
            .any(|told| told.contains("queue demo,")),
        "{ran:?}"
    );
    stage.program.run(&["pause", "demo"]).await.ends_with(0);
    let ran = doctor(&stage, 0).await;
    let (outcome, detail) = checks(&ran, "paused").remove(0);
    assert_eq!(outcome, "warn");
    has(&detail, "service demo was paused by alice at ");
    has(&ran.stdout, "`counterfoil resume demo`");
    assert!(
        !consumers(&ran)
            .iter()
            .any(|told| told.contains("queue demo,")),
        "{ran:?}"
    );
    daemon.stop().await
}
