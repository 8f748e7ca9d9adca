//! The same done to many tasks: which of them, as they are by then, and what is told of each.

use crate::site::{Site, demo, on_both_pairs};
use counterfoil_operations::tasks::{
    Action, Cancel, CancelFamilies, Delete, Living, Pause, Rerun, Resume, act, matching, named,
};
use counterfoil_operations::{Doer, Instead, Mode, OperationError, Outcome, Told, passed_on};
use counterfoil_store::{Batch, Counted, TaskFilter};
use counterfoil_testkit::store_suite::copy_of;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use std::time::Duration;

on_both_pairs!(
    what_cannot_be_done_to_tasks_that_match_is_counted_by_reason,
    tasks_are_acted_on_as_they_are_by_then,
    what_is_asked_of_workers_is_known_until_a_daemon_passes_it_on,
    a_family_is_cancelled_whole_however_many_it_has,
    a_family_is_cancelled_once_and_ids_that_nobody_has_are_kept_from_starting,
    what_is_over_runs_again_and_leaves_nothing_in_the_dead_queue,
    only_what_is_over_is_deleted_and_who_did_it_stays,
);

fn ann() -> Doer {
    Doer::new(Some("ann".to_owned()))
}

fn all() -> TaskFilter {
    TaskFilter {
        service: Some(demo().to_string()),
        ..TaskFilter::default()
    }
}

fn ids(ids: &[&str]) -> Vec<TaskId> {
    ids.iter()
        .map(|id| TaskId::new(id).expect("valid"))
        .collect()
}

/// What is told of each: `id: outcome`.
async fn acted(
    action: &mut impl Action,
    mode: Mode,
    site: &Site,
    tasks: &[&str],
) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    act(action, mode, &*site.store, &ids(tasks), |one: Told| {
        let id = one.subject.task_id.unwrap_or(one.subject.id);
        told.push(match one.outcome {
            Outcome::Done(None) => format!("{id}: done"),
            Outcome::Done(Some(detail)) => format!("{id}: done: {detail}"),
            Outcome::Asked(whom) => format!("{id}: asked: {whom}"),
            Outcome::Failed(objection) => format!("{id}: failed: {objection}"),
        });
    })
    .await?;
    Ok(told)
}

async fn what_cannot_be_done_to_tasks_that_match_is_counted_by_reason(
    site: Site,
) -> anyhow::Result<()> {
    for (id, state) in [
        ("waits", TaskState::Pending),
        ("runs", TaskState::Started),
        ("done", TaskState::Success),
        ("done-too", TaskState::Success),
        ("failed", TaskState::Failure),
    ] {
        site.task(id, state).await?;
    }
    let cancel = Cancel::new(&*site.store, ann());
    let mut found = matching(&cancel, &*site.store, all(), usize::MAX).await?;
    found.ids.sort();
    assert_eq!(found.ids, ids(&["runs", "waits"]));
    let reasons: Vec<_> = found.left_out.iter().map(|(why, n)| (&**why, *n)).collect();
    assert_eq!(
        reasons,
        [("it is FAILURE already", 1), ("it is SUCCESS already", 2)]
    );
    assert_eq!(found.count_left_out(), 3);
    let one = matching(&cancel, &*site.store, all(), 1).await?;
    assert_eq!(one.ids.len(), 1);

    let wanted = ["done", "nobody's", "done"].map(str::to_owned);
    let found = named(&*site.store, &wanted).await?;
    assert_eq!(found.ids, ids(&["done"]), "each once, whatever its state");
    assert_eq!(found.unknown, ["nobody's"]);
    Ok(())
}

async fn tasks_are_acted_on_as_they_are_by_then(site: Site) -> anyhow::Result<()> {
    for id in ["began", "gone", "waits"] {
        site.task(id, TaskState::Pending).await?;
    }
    let mut pause = Pause::new(&*site.store, ann());
    let found = matching(&pause, &*site.store, all(), usize::MAX).await?;
    assert_eq!(found.ids.len(), 3);

    site.task("began", TaskState::Started).await?;
    site.task("gone", TaskState::Success).await?;
    let deleted = site.store.delete_tasks(&ids(&["gone"]), None).await?;
    assert_eq!(deleted.len(), 1);
    // One of them twice.
    let chosen = ["waits", "began", "gone", "waits"];
    let would = acted(&mut pause, Mode::DryRun, &site, &chosen).await?;
    assert!(!site.row("waits").await?.held, "nothing was done");
    assert!(pause.asked().is_empty());
    let told = acted(&mut pause, Mode::Do, &site, &chosen).await?;
    let wanted = [
        "began: failed: it runs already: what runs can be cancelled, not paused",
        "gone: failed: it was deleted meanwhile",
        "waits: done",
    ];
    assert_eq!(
        (told, would),
        (
            wanted.map(str::to_owned).to_vec(),
            wanted.map(str::to_owned).to_vec()
        )
    );
    assert!(site.row("waits").await?.held);
    assert_eq!(pause.asked().len(), 1);
    Ok(())
}

async fn what_is_asked_of_workers_is_known_until_a_daemon_passes_it_on(
    site: Site,
) -> anyhow::Result<()> {
    site.task("waits", TaskState::Pending).await?;
    let mut pause = Pause::new(&*site.store, ann());
    acted(&mut pause, Mode::Do, &site, &["waits"]).await?;
    let at_once = Duration::ZERO;
    assert!(!passed_on(&*site.store, pause.asked(), at_once).await?);
    let now = site.store.clock().await?;
    site.store.mark_published(pause.asked(), now).await?;
    assert!(passed_on(&*site.store, pause.asked(), at_once).await?);

    let mut resume = Resume::new(&*site.store, ann());
    let told = acted(&mut resume, Mode::Do, &site, &["waits"]).await?;
    assert_eq!(told, ["waits: done"]);
    assert!(!site.row("waits").await?.held);
    let told = acted(&mut resume, Mode::Do, &site, &["waits"]).await?;
    assert_eq!(told, ["waits: failed: it is not paused"]);
    Ok(())
}

async fn a_family_is_cancelled_whole_however_many_it_has(site: Site) -> anyhow::Result<()> {
    const CHILDREN: u64 = 1100;
    site.task("root", TaskState::Pending).await?;
    let mut batch = Batch::new();
    for nth in 0..CHILDREN {
        let mut envelope = Envelope::new(format!("child{nth}").parse()?, "demo.add".parse()?);
        envelope.root_id = "root".parse()?;
        batch.track(&copy_of(envelope));
    }
    site.store.apply(&batch).await?;
    let mut families = CancelFamilies::new(Cancel::new(&*site.store, ann()));
    let told = acted(&mut families, Mode::Do, &site, &["root"]).await?;
    let waited = format!("{} were waiting and are not to be started", CHILDREN + 1);
    assert!(told[0].contains(&waited), "{told:?}");
    let revoked = TaskFilter {
        state: Some(TaskState::Revoked),
        ..all()
    };
    let revoked = site.store.count_tasks(&revoked).await?;
    assert_eq!(revoked, Counted::Exactly(CHILDREN + 1));
    assert_eq!(families.asked().len(), 1, "one order for all");
    Ok(())
}

async fn a_family_is_cancelled_once_and_ids_that_nobody_has_are_kept_from_starting(
    site: Site,
) -> anyhow::Result<()> {
    site.task("root", TaskState::Pending).await?;
    let cancel = Cancel::new(&*site.store, ann());
    let mut families = CancelFamilies::new(cancel);
    let told = acted(&mut families, Mode::Do, &site, &["root"]).await?;
    assert!(
        told[0].contains("1 were waiting and are not to be started"),
        "{told:?}"
    );
    let told = acted(&mut families, Mode::Do, &site, &["root"]).await?;
    assert_eq!(told, ["root: done: with the family of root"]);
    assert_eq!(families.asked().len(), 1);
    assert_eq!(site.row("root").await?.state, TaskState::Revoked);

    let mut cancel = Cancel::new(&*site.store, ann());
    let Outcome::Failed(objection) = cancel.apply_unknown("unheard", Mode::Do).await? else {
        anyhow::bail!("nobody has this id");
    };
    assert_eq!(objection.why, "no task has this id");
    assert_eq!(objection.instead, Some(Instead::KeepFromStarting));
    let mut cancel = cancel.also_unheard();
    let outcome = cancel.apply_unknown("unheard", Mode::Do).await?;
    assert!(matches!(outcome, Outcome::Asked(_)), "{outcome:?}");
    assert_eq!(cancel.asked().len(), 1);
    let invalid = cancel.apply_unknown("a\tb", Mode::Do).await;
    assert!(
        matches!(invalid, Err(OperationError::InvalidId(_))),
        "{invalid:?}"
    );
    Ok(())
}

async fn what_is_over_runs_again_and_leaves_nothing_in_the_dead_queue(
    site: Site,
) -> anyhow::Result<()> {
    site.die("t1").await?;
    site.task("runs", TaskState::Started).await?;
    site.holds(0, 1).await?;
    let mut rerun = Rerun::new(&site.platform, ann(), Living::Refused);
    let objection = rerun.objection(&site.row("runs").await?);
    let objection = objection.expect("it is not over");
    assert_eq!(objection.why, "it is STARTED, not over");
    assert_eq!(objection.instead, Some(Instead::RunLiving));

    let told = acted(&mut rerun, Mode::Do, &site, &["t1", "runs"]).await?;
    assert_eq!(
        told,
        ["runs: failed: it is STARTED, not over", "t1: done: run 1"]
    );
    assert_eq!(rerun.clear_dead().await?, 1);
    site.holds(1, 0).await?;
    let row = site.row("t1").await?;
    assert_eq!((row.run, row.state), (1, TaskState::Pending));

    let mut rerun = Rerun::new(&site.platform, ann(), Living::Allowed);
    let told = acted(&mut rerun, Mode::Do, &site, &["t1"]).await?;
    assert_eq!(told, ["t1: done: run 2"]);
    assert_eq!(rerun.clear_dead().await?, 0);
    Ok(())
}

async fn only_what_is_over_is_deleted_and_who_did_it_stays(site: Site) -> anyhow::Result<()> {
    site.task("done", TaskState::Success).await?;
    site.task("runs", TaskState::Started).await?;
    let mut delete = Delete::new(&*site.store, ann());
    let told = acted(&mut delete, Mode::Do, &site, &["done", "runs"]).await?;
    let wanted = [
        "runs: failed: it is STARTED: only what is over can be deleted",
        "done: done",
    ];
    assert_eq!(told, wanted);
    let gone = site.store.deleted_task("done").await?;
    assert_eq!(
        gone.and_then(|task| task.deleted_by).as_deref(),
        Some("ann")
    );
    Ok(())
}
