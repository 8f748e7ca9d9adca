//! Tasks that people deleted.

use crate::stage::{SOON, Stage, id_of, on_both_databases};
use counterfoil_testkit::eventually;
use counterfoil_testkit::store_suite::select_text;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::event::FaultKind;

on_both_databases!(
    a_task_that_was_deleted_is_no_imbalance_and_why_tells_who_did_it,
    callers_in_python_are_told_what_people_do_with_tasks,
);

async fn a_task_that_was_deleted_is_no_imbalance_and_why_tells_who_did_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let content = stage.die("demo.add", FaultKind::BadArguments).await?;
    let id = id_of(&content);
    stage.is(id, 0, TaskState::Failure).await?;
    stage.listed(1).await?;
    let row = stage.store.task(id).await?.expect("it was there just now");
    let delete = ["task", "delete", id, "--by", "eve"];
    stage.program.run(&delete).await.ends_with(0);

    // Its message lies in the dead queue until somebody deals with that: it has no row on purpose.
    eventually("the books to balance", SOON, async || {
        let ran = stage.program.run(&["audit", "--json"]).await;
        assert!(!ran.stdout.contains("no_row"), "{ran:?}");
        Ok((ran.code == 0).then_some(()))
    })
    .await?;
    for id in [id, &*row.id] {
        let told = stage.program.run(&["why", id]).await.ends_with(0).stdout;
        assert!(
            told.starts_with("it was a task demo.add, and was deleted by eve at 20"),
            "{told}"
        );
        assert!(
            told.contains("its message is in the dead queue of demo"),
            "{told}"
        );
    }
    daemon.stop().await
}

async fn callers_in_python_are_told_what_people_do_with_tasks(
    mut stage: Stage,
) -> anyhow::Result<()> {
    stage
        .program
        .set("COUNTERFOIL_SYNC__CELERY_RESULTS", "json");
    stage.program.run(&["init"]).await.ends_with(0);
    stage
        .store
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let daemon = stage.daemon();
    let told = async |id: &str| {
        let query = format!("SELECT max(status) FROM celery_taskmeta WHERE task_id = '{id}'");
        select_text(&stage.url, &query).await
    };
    let content = stage.die("demo.add", FaultKind::BadArguments).await?;
    let id = id_of(&content);
    stage.is(id, 0, TaskState::Failure).await?;
    assert_eq!(told(id).await?.as_deref(), Some("FAILURE"));
    stage
        .program
        .run(&["task", "delete", id])
        .await
        .ends_with(0);
    assert_eq!(told(id).await?, None);

    let send = ["send", "demo.add", "--args", "[1, 2]", "--unvalidated"];
    let sent = stage.program.run(&send).await.ends_with(0);
    let id = sent.stdout.trim();
    stage.is(id, 0, TaskState::Pending).await?;
    stage
        .program
        .run(&["task", "cancel", id])
        .await
        .ends_with(0);
    assert_eq!(told(id).await?.as_deref(), Some("REVOKED"));
    daemon.stop().await
}
