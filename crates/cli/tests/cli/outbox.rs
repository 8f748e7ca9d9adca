//! Messages of the outbox that the daemon gave up on.

use crate::stage::{SOON, Stage, on_both_databases};
use counterfoil_store::Batch;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::session::Opening;
use serde_json::json;

on_both_databases!(
    a_refused_message_is_listed_explained_and_sent_again,
    a_refused_message_that_is_discarded_takes_its_task_with_it,
    a_finalizer_is_said_to_wait_in_the_outbox_and_who_discarded_it,
);

/// Tasks in the outbox, of which every message was refused.
async fn refused(stage: &Stage, count: usize) -> anyhow::Result<Vec<String>> {
    stage.add_schedule().await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(stage.run_schedule().await);
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

async fn a_finalizer_is_said_to_wait_in_the_outbox_and_who_discarded_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let (program, store) = (&stage.program, &stage.store);
    let (session, finalizer) = (SessionId::random(), TaskId::random());
    let opening: Opening = serde_json::from_value(json!({
        "id": session, "action": "harvest", "subtasks": [],
        "finalizer": { "id": finalizer, "task": "demo.end", "args": [], "kwargs": {}, "takes_summary": true },
    }))?;
    let mut batch = Batch::new();
    batch.open_session(&opening);
    store.apply(&batch).await?;
    let why = async |id: &str| program.run(&["why", id]).await.ends_with(0).stdout;
    let told = why(finalizer.as_str()).await;
    let its = format!("it is the finalizer of session {session}, which is SUCCESS");
    let waits = format!("{its}; it is in the outbox of the database");
    assert!(told.starts_with(&waits), "{told}");
    assert!(told.contains("no daemon runs that could send it"), "{told}");
    let told = why(session.as_str()).await;
    assert!(told.contains("waits in the outbox"), "{told}");

    let message = store.due_messages(&[], 10, 1_000_000).await?.remove(0);
    store
        .refuse_message(message.position, "no such exchange")
        .await?;
    let refused = "is in the outbox, and can never be sent as it is: no such exchange";
    for id in [finalizer.as_str(), session.as_str()] {
        let told = why(id).await;
        assert!(told.contains(refused), "{told}");
    }
    let discard = ["outbox", "discard", finalizer.as_str(), "--by", "eve"];
    program.run(&discard).await.ends_with(0);
    let never = "its message could not be sent, and was discarded from the outbox by eve at 20";
    let told = why(finalizer.as_str()).await;
    assert!(
        told.starts_with(&format!("{its}; it never ran: {never}")),
        "{told}"
    );
    let told = why(session.as_str()).await;
    assert!(told.contains(never) && told.contains("never ran"), "{told}");
    let show = ["session", "show", session.as_str()];
    let told = program.run(&show).await.ends_with(0).stdout;
    assert!(told.contains(&format!("never ran    {never}")), "{told}");
    let told = program.run(&["audit", "--wait", "0s"]).await.stdout;
    let names_it = format!("{finalizer}: the finalizer of session {session} never ran: {never}");
    assert!(told.contains(&names_it), "{told}");
    let json = ["session", "show", session.as_str(), "--json"];
    let told = program.run(&json).await.ends_with(0).document();
    assert_eq!(told["finalizer_discarded_by"], "eve");
    Ok(())
}
