//! Messages of the outbox that the daemon gave up on.

use crate::stage::{SOON, Stage, on_both_databases};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;

on_both_databases!(
    a_refused_message_is_listed_explained_and_sent_again,
    a_refused_message_that_is_discarded_takes_its_task_with_it,
);

/// Tasks in the outbox, of which every message was refused.
async fn refused(stage: &Stage, count: usize) -> anyhow::Result<Vec<String>> {
    let add = [
        "schedule",
        "add",
        "now",
        "@yearly",
        "demo.add",
        "--args",
        "[1, 2]",
        "--unvalidated",
    ];
    stage.program.run(&add).await.ends_with(0);
    let mut ids = Vec::new();
    for _ in 0..count {
        let ran = stage.program.run(&["schedule", "run", "now"]).await;
        ids.push(ran.ends_with(0).stdout.trim().to_owned());
    }
    for message in stage.store.due_messages(&[], 10, 1_000_000).await? {
        let why = "the broker closed the channel";
        stage.store.refuse_message(message.position, why).await?;
    }
    Ok(ids)
}

async fn a_refused_message_is_listed_explained_and_sent_again(stage: Stage) -> anyhow::Result<()> {
    let program = &stage.program;
    let none = program.run(&["outbox", "list"]).await.ends_with(0);
    assert!(none.stderr.contains("nothing found"), "{none:?}");
    let id = &refused(&stage, 1).await?[0];

    let list = program
        .run(&["outbox", "list", "--json"])
        .await
        .ends_with(0);
    let row = list.document();
    assert_eq!(row["task_id"], **id);
    assert_eq!(row["refusal"], "the broker closed the channel");
    let key = row["key"].as_str().expect("it has one");
    let table = program.run(&["outbox", "list"]).await.ends_with(0);
    assert!(table.stdout.contains(key), "{table:?}");
    let why = program.run(&["why", id]).await.ends_with(0).stdout;
    assert!(
        why.contains("can never be sent as it is: the broker closed the channel"),
        "{why}"
    );
    assert!(why.contains("then counterfoil outbox retry "), "{why}");
    let doctor = program.run(&["doctor"]).await.stdout;
    assert!(doctor.contains("`counterfoil outbox list`"), "{doctor}");

    let dry = ["outbox", "retry", "--all", "--dry-run"];
    let dry = program.run(&dry).await.ends_with(0);
    assert!(
        dry.stderr.contains("1 message would be queued again"),
        "{dry:?}"
    );
    assert_eq!(stage.store.outbox_state().await?.refused, 1);

    let daemon = stage.daemon();
    let retried = program.run(&["outbox", "retry", id]).await.ends_with(0);
    assert!(
        retried.stdout.contains("1 message queued again"),
        "{retried:?}"
    );
    eventually("the message to be in its queue", SOON, async || {
        Ok((stage.ready("demo").await? == 1).then_some(()))
    })
    .await?;
    let again = program.run(&["outbox", "retry", id]).await.ends_with(1);
    assert!(
        again
            .stdout
            .contains("no refused message has this key or is of this task"),
        "{again:?}"
    );
    daemon.stop().await
}

async fn a_refused_message_that_is_discarded_takes_its_task_with_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let (program, store) = (&stage.program, &stage.store);
    let ids = refused(&stage, 3).await?;
    let public = store.task(&ids[0]).await?.expect("it has a row").id;
    let discard = ["outbox", "discard", &public, "--by", "eve"];
    let discarded = program.run(&discard).await.ends_with(0);
    assert!(
        discarded.stdout.contains("1 message discarded"),
        "{discarded:?}"
    );
    let row = store.task(&ids[0]).await?.expect("it has a row");
    assert_eq!(row.state, TaskState::Revoked);
    let why = row.error_message.expect("a reason");
    assert_eq!(why, "it was cancelled by eve before it was started");
    assert_eq!(store.outbox_state().await?.refused, 2);

    for nothing_chosen in [
        &["outbox", "discard"][..],
        &["outbox", "retry"],
        &["outbox", "discard", "--all", &ids[1]],
    ] {
        program.run(nothing_chosen).await.ends_with(2);
    }
    let all = ["outbox", "discard", "--all", "--json"];
    let summary = program.run(&all).await.ends_with(0).documents().pop();
    assert_eq!(summary.expect("it is the last")["done"], 2);
    let state = store.outbox_state().await?;
    assert_eq!((state.waiting, state.refused), (0, 0));
    Ok(())
}
