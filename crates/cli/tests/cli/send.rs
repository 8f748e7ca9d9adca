//! Sending, from the command line and from files.

use crate::program::{CANARY, Program};
use counterfoil_testkit::{Broker, Vhost};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::AsyncReadExt;

/// What every sender hears where no worker is.
const NOBODY: &str = "no worker consumes the queue demo at the moment";

async fn ready(vhost: &Vhost) -> Program {
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
    program.run(&["topology", "apply"]).await.ends_with(0);
    program
}

/// The messages of a queue, taken out: headers and body.
async fn messages(vhost: &Vhost, queue: &str) -> anyhow::Result<Vec<(Value, String)>> {
    let path = format!("/queues/{}/{queue}/get", vhost.name());
    let ask = json!({"count": 10_000, "ackmode": "ack_requeue_false", "encoding": "auto"});
    let got = vhost.broker().management().post(&path, &ask).await?;
    let messages = got.as_array().cloned().unwrap_or_default();
    Ok(messages
        .into_iter()
        .map(|m| {
            (
                m["properties"]["headers"].clone(),
                m["payload"].as_str().unwrap_or("").to_owned(),
            )
        })
        .collect())
}

#[tokio::test]
async fn standard_output_is_the_id_alone_and_the_task_is_queued_and_tracked() -> anyhow::Result<()>
{
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let ran = program
        .run(&[
            "send",
            "demo.add",
            r#"{"x": 1, "y": 2.50}"#,
            "--creator",
            "ann",
            "--related",
            "project:17",
            "--identifier",
            "one",
            "--expires",
            "1h",
            "--max-retries",
            "0",
            "--time-limit",
            "2m",
            "--soft-time-limit",
            "90s",
        ])
        .await
        .ends_with(0);
    let id = ran.stdout.trim_end();
    assert_eq!(ran.stdout, format!("{id}\n"));
    assert!(
        ran.stderr
            .starts_with("warning: no schema of demo.add is known, so its arguments were not checked: there is no database"),
        "{ran:?}"
    );
    assert_eq!(ran.stderr.lines().last(), Some(NOBODY), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    for queue in ["demo", "platform.fifo"] {
        let mut messages = messages(&vhost, queue).await?;
        assert_eq!(messages.len(), 1, "{queue}");
        let (headers, body) = messages.remove(0);
        assert_eq!(
            (&headers["id"], &headers["task"]),
            (&json!(id), &json!("demo.add"))
        );
        assert_eq!(headers["counterfoil-creator"], "ann");
        assert_eq!(headers["counterfoil-related"], "project:17");
        assert_eq!(headers["counterfoil-identifier"], "one");
        assert!(headers["expires"].is_string());
        assert_eq!(headers["counterfoil-max-retries"], 0);
        assert_eq!(headers["timelimit"], json!([120.0, 90.0]));
        assert!(body.contains(r#""y": 2.50"#), "as it was typed: {body}");
    }
    vhost.close().await
}

#[tokio::test]
async fn each_class_of_a_service_with_priorities_has_its_queue_and_the_name_stays()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
    program.set("COUNTERFOIL_BROKER__QUEUES__DEMO__PRIORITIES", "true");
    program.run(&["topology", "apply"]).await.ends_with(0);
    program.run(&["topology", "verify"]).await.ends_with(0);
    program.run(&["send", "demo.add"]).await.ends_with(0);
    for class in ["high", "high", "normal", "low"] {
        let send = ["send", "demo.add", "--priority", class];
        program.run(&send).await.ends_with(0);
    }
    let ran = program.run(&["queues", "--json"]).await.ends_with(0);
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a document"))
        .filter(|line: &Value| line["service"] == "demo")
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["queue"], &line["ready"], &line["dead"]))
        .collect();
    let wanted = [
        (&json!("demo"), &json!(2), &json!(0)),
        (&json!("demo~high"), &json!(2), &Value::Null),
        (&json!("demo~low"), &json!(1), &Value::Null),
    ];
    assert_eq!(told, wanted);
    for (headers, _) in messages(&vhost, "demo~high").await? {
        assert_eq!(headers["task"], "demo.add");
    }
    vhost.close().await
}

#[tokio::test]
async fn an_id_of_ones_own_is_kept_and_json_is_one_document() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let ran = program
        .run(&[
            "--json", "send", "demo.add", "--id", "mine", "--args", "[1, 2]",
        ])
        .await;
    assert_eq!(ran.ends_with(0).document(), json!({"task_id": "mine"}));
    let (headers, body) = messages(&vhost, "demo").await?.remove(0);
    assert_eq!(headers["id"], "mine");
    assert!(body.starts_with("[[1, 2],{}"), "{body}");
    vhost.close().await
}

#[tokio::test]
async fn a_file_sends_a_task_per_line_in_order() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let lines: String = (0..1000).map(|i| format!("{{\"x\": {i}}}\n")).collect();
    program.file("tasks.jsonl", &lines);
    let ran = program
        .run(&["send", "demo.add", "--from", "tasks.jsonl"])
        .await
        .ends_with(0);
    let ids: Vec<&str> = ran.stdout.lines().collect();
    let messages = messages(&vhost, "demo").await?;
    assert_eq!((ids.len(), messages.len()), (1000, 1000));
    for (i, (headers, body)) in messages.iter().enumerate() {
        assert_eq!(headers["id"], ids[i]);
        assert!(body.contains(&format!("{{\"x\": {i}}}")), "{body}");
    }
    vhost.close().await
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_catalogue_are_refused_all_at_once() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let schema = json!({
        "demo.add": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
            "required": ["x", "y"],
        },
    });
    program.file("catalogue.json", &schema.to_string());
    program.file("counterfoil.toml", "catalogue = \"catalogue.json\"\n");
    program.file(
        "tasks.jsonl",
        "[1, 2]\n{\"x\": 1, \"colour\": 2}\n[1, \"two\"]\n",
    );
    let ran = program
        .run(&["send", "demo.add", "--from", "tasks.jsonl"])
        .await
        .ends_with(2);
    for fault in [
        "line 2: `demo.add` got an unexpected argument `colour`",
        "line 3: `demo.add` got a bad value for argument `y`: \"two\" is not of type \"integer\"",
        "remedy: nothing was sent",
    ] {
        assert!(ran.stderr.contains(fault), "{fault}: {}", ran.stderr);
    }
    assert_eq!(messages(&vhost, "demo").await?.len(), 0);

    let good = program
        .run(&["send", "demo.add", r#"{"x": 1}"#, "--unvalidated"])
        .await
        .ends_with(0);
    assert_eq!(good.stderr.trim_end(), NOBODY);
    let good = program
        .run(&["send", "demo.add", r#"{"x": 1, "y": 2}"#])
        .await
        .ends_with(0);
    assert_eq!(
        good.stderr.trim_end(),
        NOBODY,
        "a known task needs no other warning"
    );
    let unknown = program
        .run(&["send", "demo.other", "{}"])
        .await
        .ends_with(0);
    assert!(
        unknown.stderr.contains("warning: no schema of demo.other"),
        "{unknown:?}"
    );
    assert!(!unknown.stderr.contains("did you mean"), "{unknown:?}");
    for slip in ["dmeo.add", "demo.ad"] {
        let slip = program.run(&["send", slip, "{}"]).await.ends_with(2);
        assert!(slip.stderr.contains("did you mean demo.add?"), "{slip:?}");
        assert!(slip.stderr.contains("nothing was sent"), "{slip:?}");
    }
    assert_eq!(messages(&vhost, "demo").await?.len(), 3, "those before");
    let anyway = ["send", "dmeo.add", "{}", "--unvalidated"];
    let anyway = program.run(&anyway).await.ends_with(0);
    assert!(
        anyway.stderr.contains("there is no queue dmeo: "),
        "{anyway:?}"
    );
    assert!(anyway.stderr.contains("did you mean demo?"), "{anyway:?}");
    vhost.close().await
}

#[tokio::test]
async fn waiting_ends_with_the_timeout_and_the_task_goes_on() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let ran = program
        .run(&["send", "demo.add", "--wait", "--timeout", "100ms"])
        .await
        .ends_with(1);
    assert_eq!(ran.stdout, "", "no result, and not the id in its place");
    assert!(ran.stderr.contains("has not ended within 100ms"), "{ran:?}");
    let id = ran
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("sent "));
    let why = format!("`counterfoil why {}`", id.expect("it was sent"));
    assert!(ran.stderr.contains(&why), "{ran:?}");
    assert!(
        ran.stderr.contains("no worker consumes the queue demo"),
        "{ran:?}"
    );
    assert_eq!(messages(&vhost, "demo").await?.len(), 1);
    vhost.close().await
}

#[tokio::test]
async fn whoever_waits_for_a_task_that_nobody_owns_is_told_so() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let args = ["send", "nobody.task", "--wait", "--timeout", "100ms"];
    let ran = program.run(&args).await.ends_with(1);
    assert!(ran.stderr.contains("there is no queue nobody"), "{ran:?}");
    assert!(ran.stderr.contains("UNROUTABLE"), "{ran:?}");
    vhost.close().await
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    let mut child = program
        .command(&["topology", "plan", "--json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().expect("piped");
    let mut some = [0; 10];
    stdout.read_exact(&mut some).await?;
    drop(stdout);
    let ended = child.wait_with_output().await?;
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert!(ended.status.success(), "{ended:?}");
    vhost.close().await
}

#[tokio::test]
async fn a_reader_of_ids_who_leaves_early_keeps_no_task_from_being_sent() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let program = ready(&vhost).await;
    // More ids than fit between two processes.
    program.file("tasks.jsonl", &"{}\n".repeat(4000));
    let mut child = program
        .command(&["send", "demo.add", "--from", "tasks.jsonl", "--unvalidated"])
        .spawn()?;
    let mut stdout = child.stdout.take().expect("piped");
    let mut some = [0; 10];
    stdout.read_exact(&mut some).await?;
    drop(stdout);
    let ended = child.wait_with_output().await?;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(
        String::from_utf8_lossy(&ended.stderr),
        "4000 of 4000 tasks were sent, and not all of their ids were written\n"
    );
    assert_eq!(vhost.depth("demo").await?.ready, 4000);
    vhost.close().await
}

#[tokio::test]
async fn arguments_that_nothing_can_check_are_sent_with_the_reason() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = ready(&vhost).await;
    let warning = "warning: no schema of demo.add is known, so its arguments were not checked: ";
    program.set("COUNTERFOIL_BROKER__CONNECT_TIMEOUT", "1s");
    let away = format!("postgresql://u:{CANARY}@127.0.0.1:1/db");
    for (name, value, why) in [
        (
            "COUNTERFOIL_PROFILE",
            "production",
            "no database is configured",
        ),
        (
            "COUNTERFOIL_DATABASE__ID_SECRET",
            "s",
            "no database is configured",
        ),
        (
            "COUNTERFOIL_DATABASE__URL",
            &away,
            "the database cannot be asked: ",
        ),
    ] {
        program.set(name, value);
        let ran = program.run(&["send", "demo.add"]).await.ends_with(0);
        assert!(
            ran.stderr.starts_with(&format!("{warning}{why}")),
            "{ran:?}"
        );
        assert_eq!(ran.stderr.lines().last(), Some(NOBODY), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    }
    assert_eq!(messages(&vhost, "demo").await?.len(), 3);
    vhost.close().await
}
