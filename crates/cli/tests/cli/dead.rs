//! Messages in a dead queue are run again or thrown away, wholly or not at all.

use crate::stage::{BODY, Stage, id_of, on_both_databases};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::names::{EXECUTIONS, REASON, REASON_TEXT, RUN};
use counterfoil_toolbox::names::ExchangeName;
use serde_json::json;

on_both_databases!(
    a_dead_message_is_run_again_as_a_new_run_of_its_task,
    what_was_redriven_before_is_only_taken_out,
    a_discarded_message_is_gone_and_its_task_tells_who_did_it,
    what_the_daemon_has_not_heard_of_is_redriven_and_never_listed,
);

async fn a_dead_message_is_run_again_as_a_new_run_of_its_task(stage: Stage) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let letter = stage.die("demo.add", FaultKind::Exhausted).await?;
    let id = id_of(&letter);
    let listed = stage.listed(1).await?;
    assert_eq!(
        (&listed[0]["task_id"], &listed[0]["reason"]),
        (&json!(id), &json!("exhausted"))
    );
    stage.is(id, 0, TaskState::Failure).await?;

    let dry = stage
        .program
        .run(&["dead", "redrive", "demo", "--dry-run", "--json"])
        .await;
    let dry = dry.ends_with(0);
    assert!(
        dry.stderr.contains("1 dead message would be redriven"),
        "{dry:?}"
    );
    assert_eq!(dry.documents()[0]["outcome"], "selected");
    assert_eq!(dry.documents()[1]["dry_run"], true);
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (1, 0)
    );
    stage.listed(1).await?;

    let redrive = &["dead", "redrive", "demo", "--all", "--by", "ann"];
    let ran = stage.program.run(redrive).await.ends_with(0);
    assert!(
        ran.stdout
            .contains(&format!("redriven  {id}  demo.add  run 1")),
        "{ran:?}"
    );
    assert!(ran.stdout.ends_with("1 dead message redriven\n"), "{ran:?}");
    stage.listed(0).await?;
    stage.is(id, 1, TaskState::Pending).await?;
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (0, 1)
    );
    let again = stage.take("demo").await?;
    let (headers, properties) = (&again.content.headers, &again.content.properties);
    assert_eq!(&again.content.body[..], BODY.as_bytes());
    assert_eq!(
        (headers.int(RUN), headers.int("retries")),
        (Some(1), Some(0))
    );
    assert_eq!(
        (headers.text("stamp"), properties.priority),
        (Some("kept"), Some(7))
    );
    for gone in [REASON, REASON_TEXT, EXECUTIONS, "x-death"] {
        assert!(headers.get(gone).is_none(), "{gone}");
    }
    let history = stage
        .program
        .run(&["task", "history", id, "--json"])
        .await
        .ends_with(0);
    let told: Vec<_> = history.documents();
    let told: Vec<_> = told
        .iter()
        .map(|l| (l["run"].as_i64(), l["kind"].as_str()))
        .collect();
    let wanted = [(0, "PENDING"), (0, "FAILURE"), (1, "PENDING")];
    assert!(
        told.iter()
            .filter(|(_, k)| *k != Some("RETRY"))
            .copied()
            .eq(wanted.map(|(run, kind)| (Some(run), Some(kind)))),
        "{told:?}"
    );
    let last = history.documents().pop().expect("the new run");
    assert_eq!(last["detail"], json!({"action": "redrive", "by": "ann"}));
    assert!(
        stage.store.result(&id.parse()?, 0).await?.is_some(),
        "of the old run"
    );
    let nothing = stage.program.run(redrive).await.ends_with(0);
    assert_eq!(nothing.stdout, "0 dead messages redriven\n");

    // The new run dies as well, and has a next one.
    let mut second = again.content.clone();
    let _ = again.ack();
    second.headers.retain(|name| name != "x-delivery-count");
    stage.bury(&second, FaultKind::BadArguments).await?;
    stage.listed(1).await?;
    stage.is(id, 1, TaskState::Failure).await?;
    stage.program.run(redrive).await.ends_with(0);
    stage.is(id, 2, TaskState::Pending).await?;
    assert_eq!(stage.take("demo").await?.content.headers.int(RUN), Some(2));
    daemon.stop().await
}

async fn what_was_redriven_before_is_only_taken_out(stage: Stage) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let letter = stage.die("demo.add", FaultKind::Exhausted).await?;
    let id = id_of(&letter);
    stage.listed(1).await?;
    // Twice in the dead queue: its worker was lost after it had buried it.
    stage
        .publish(&stage.names.dead, "demo", letter.clone())
        .await?;
    eventually(
        "the daemon to hear of both",
        crate::stage::SOON,
        async || Ok((stage.listed(1).await?[0]["times"] == 2).then_some(())),
    )
    .await?;
    let ran = stage
        .program
        .run(&["dead", "redrive", "demo", "--limit", "1"])
        .await;
    ran.ends_with(0);
    stage.listed(1).await?;
    let ran = stage
        .program
        .run(&["dead", "redrive", "demo", "--all"])
        .await
        .ends_with(0);
    assert!(ran.stdout.contains("run 1 was sent before"), "{ran:?}");
    stage.listed(0).await?;
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (0, 1)
    );

    // A redrive that was killed before it could take the message out; the new run is done by now.
    stage
        .publish(
            &ExchangeName::default_exchange(),
            "demo.dead",
            letter.clone(),
        )
        .await?;
    stage.is(id, 1, TaskState::Pending).await?;
    let ran = stage
        .program
        .run(&["dead", "redrive", "demo", "--all"])
        .await
        .ends_with(0);
    assert!(ran.stdout.contains("run 1 was sent before"), "{ran:?}");
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (0, 1)
    );
    stage.is(id, 1, TaskState::Pending).await?;

    // Somebody else is at work there.
    let alone = stage.store.try_lead("dead-demo").await?;
    assert!(alone.is_some());
    let ran = stage
        .program
        .run(&["dead", "discard", "demo", "--all"])
        .await
        .ends_with(1);
    assert!(
        ran.stderr
            .contains("another command is at work on demo.dead"),
        "{ran:?}"
    );
    daemon.stop().await
}

async fn a_discarded_message_is_gone_and_its_task_tells_who_did_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let letter = stage.die("demo.add", FaultKind::Rejected).await?;
    let id = id_of(&letter);
    stage.listed(1).await?;
    stage.is(id, 0, TaskState::Failure).await?;
    let of_all = ["dead", "list", "--json"];
    let of_all = stage.program.run(&of_all).await.ends_with(0).documents();
    assert_eq!(of_all, stage.listed(1).await?, "there are none of others");
    assert_eq!(of_all[0]["service"], "demo");
    let discard = |more: &[&'static str]| {
        let args: Vec<&str> = [&["dead", "discard", "demo", "--id", id], more].concat();
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for more in [&["--dry-run"][..], &[]] {
        stage.listed(1).await?;
        assert_eq!(stage.ready("demo.dead").await?, 1);
        let args = discard(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        stage.program.run(&args).await.ends_with(0);
    }
    stage.listed(0).await?;
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (0, 0)
    );
    stage.is(id, 0, TaskState::Failure).await?;
    let history = stage
        .program
        .run(&["task", "history", id, "--json"])
        .await
        .ends_with(0);
    let last = history.documents().pop().expect("a line");
    assert_eq!(last["detail"], json!({"action": "discard", "by": "alice"}));
    daemon.stop().await
}

async fn what_the_daemon_has_not_heard_of_is_redriven_and_never_listed(
    stage: Stage,
) -> anyhow::Result<()> {
    let letter = stage.die("demo.add", FaultKind::Exhausted).await?;
    let id = id_of(&letter);
    stage.listed(0).await?;
    let redrive = &["dead", "redrive", "demo", "--since", "1h"];
    let ran = stage.program.run(redrive).await.ends_with(0);
    assert!(ran.stdout.ends_with("1 dead message redriven\n"), "{ran:?}");
    stage.is(id, 1, TaskState::Pending).await?;
    let row = stage.store.task(id).await?.expect("a row");
    assert!(row.input.is_some(), "the message itself tells of the task");
    let daemon = stage.daemon();
    for queue in ["platform.fifo", "platform.deaths", "platform.events"] {
        eventually("the daemon to catch up", crate::stage::SOON, async || {
            Ok((stage.ready(queue).await? == 0).then_some(()))
        })
        .await?;
    }
    daemon.stop().await?;
    // All of it was read and written when the daemon has stopped.
    stage.listed(0).await?;
    stage.is(id, 1, TaskState::Pending).await?;
    let history = stage.store.history(&id.parse()?).await?;
    let failures = history
        .iter()
        .filter(|line| line.kind == TaskState::Failure)
        .count();
    assert_eq!(failures, 1, "the old run is told all the same");
    Ok(())
}
