//! `task cancel`: of one, of all that match, of a family, and of what nobody has heard of.

use super::pair;
use super::site::Site;
use counterfoil_store::Batch;
use counterfoil_testkit::store_suite::{event, lineage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::heartbeat::Phase;

pub(super) async fn cancelling_says_what_it_means_for_each_task(site: Site) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    site.task("waits", "waits", TaskState::Pending).await?;
    site.task("runs", "runs", TaskState::Started).await?;
    site.task("over", "over", TaskState::Success).await?;
    let ran = site
        .program
        .run(&["task", "cancel", "waits", "runs"])
        .await
        .ends_with(0);
    assert!(
        ran.stdout
            .contains("it was waiting and is not to be started"),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("worker demo@host.7.0a0b0c0d is asked to stop it"),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("1 task cancelled, 1 asked to stop"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    let waits = site.row("waits").await;
    assert_eq!(waits.state, TaskState::Revoked);
    let why = waits.error_message.expect("a reason");
    assert_eq!(why, "it was cancelled by ana before it was started");
    assert_eq!(site.row("runs").await.state, TaskState::Started);
    assert_eq!(
        site.holding().await,
        [pair("revoke", "runs"), pair("revoke", "waits")]
    );

    let shown = site
        .program
        .run(&["task", "show", "runs"])
        .await
        .ends_with(0);
    assert!(shown.stdout.contains("revoke by ana"), "{shown:?}");
    assert!(shown.stdout.contains("workers know"), "{shown:?}");
    let shown = site
        .program
        .run(&["task", "show", "runs", "--json"])
        .await
        .ends_with(0);
    assert_eq!(shown.document()["asked"][0]["kind"], "revoke");

    // Of its worker nothing is heard any more: it cannot be asked.
    let mut batch = Batch::new();
    batch.worker(super::worker("demo@host.7.0a0b0c0d", Phase::Stopped));
    site.store.apply(&batch).await?;
    let again = ["task", "cancel", "runs"];
    let ran = site.program.run(&again).await.ends_with(0);
    let gone = "worker demo@host.7.0a0b0c0d had it, of which nothing is heard any more: no other one is to start it";
    assert!(ran.stdout.contains(gone), "{ran:?}");

    // Once more, and one that is over: nothing to do, and it says so.
    let ran = site
        .program
        .run(&["task", "cancel", "waits", "over", "--json"])
        .await
        .ends_with(1);
    let lines = ran.documents();
    let detail = |n: usize| lines[n]["detail"].as_str().unwrap_or_default().to_owned();
    assert_eq!(lines[0]["outcome"], "failed");
    assert_eq!(detail(0), "it is REVOKED already");
    assert_eq!(detail(1), "it is SUCCESS already");
    assert_eq!(site.row("over").await.state, TaskState::Success);
    Ok(())
}

/// The mirror may be behind, or down: whoever has just sent a task must be able to stop it.
pub(super) async fn what_nobody_has_heard_of_is_kept_from_starting_when_that_is_wanted(
    site: Site,
) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    let unheard = ["task", "cancel", "unheard", "--json"];
    let ran = site.program.run(&unheard).await.ends_with(1);
    assert!(ran.stdout.contains("`--force` keeps it"), "{ran:?}");
    let only_look = [&unheard[..], &["--force", "--dry-run"]].concat();
    let ran = site.program.run(&only_look).await.ends_with(0);
    assert_eq!(ran.documents()[0]["outcome"], "selected");
    assert!(site.holding().await.is_empty());
    let forced = [&unheard[..], &["--force"]].concat();
    let ran = site.program.run(&forced).await.ends_with(0);
    let lines = ran.documents();
    assert_eq!(lines[0]["outcome"], "asked");
    assert_eq!(
        (&lines[1]["done"], &lines[1]["asked"]),
        (&0.into(), &1.into())
    );
    assert_eq!(site.holding().await, [pair("revoke", "unheard")]);
    Ok(())
}

pub(super) async fn a_retry_is_cancelled_before_it_is_started_again(
    site: Site,
) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    let mut batch = Batch::new();
    let again = lineage(0, 0, 1);
    batch.event(&event(&"again".parse()?, again, TaskState::Retry));
    site.store.apply(&batch).await?;
    let cancel = ["task", "cancel", "again"];
    site.program.run(&cancel).await.ends_with(0);
    let why = site.row("again").await.error_message.expect("a reason");
    assert_eq!(why, "it was cancelled by ana before it was started again");
    Ok(())
}

pub(super) async fn a_filter_cancels_those_that_can_be_and_a_dry_run_none(
    site: Site,
) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    for n in 0..5 {
        let id = format!("t{n}");
        let state = if n < 3 {
            TaskState::Pending
        } else {
            TaskState::Failure
        };
        site.task(&id, &id, state).await?;
    }
    let filter = ["task", "cancel", "--name", "demo.add"];
    let dry = site
        .program
        .run(&[&filter[..], &["--dry-run"]].concat())
        .await
        .ends_with(0);
    assert!(dry.stderr.contains("3 tasks would be cancelled"), "{dry:?}");
    assert!(site.holding().await.is_empty());
    let ran = site.program.run(&filter).await.ends_with(0);
    assert!(
        ran.stdout.contains("3 tasks cancelled, 2 left out"),
        "{ran:?}"
    );
    assert_eq!(site.holding().await.len(), 3);
    assert_eq!(site.row("t4").await.state, TaskState::Failure);
    site.program.run(&["task", "cancel"]).await.ends_with(2);
    Ok(())
}

pub(super) async fn a_family_is_cancelled_from_any_of_its_members(
    site: Site,
) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    site.task("root", "root", TaskState::Success).await?;
    site.task("runs", "root", TaskState::Started).await?;
    for n in 0..3 {
        site.task(&format!("waits{n}"), "root", TaskState::Pending)
            .await?;
    }
    site.task("stranger", "stranger", TaskState::Pending)
        .await?;
    let ran = site
        .program
        .run(&["task", "cancel", "waits1", "--family"])
        .await
        .ends_with(0);
    let told = "3 were waiting and are not to be started, 1 are asked to stop, 1 were over";
    assert!(ran.stdout.contains(told), "{ran:?}");
    assert_eq!(site.holding().await, [pair("revoke_family", "root")]);
    for n in 0..3 {
        assert_eq!(
            site.row(&format!("waits{n}")).await.state,
            TaskState::Revoked
        );
    }
    assert_eq!(site.row("runs").await.state, TaskState::Started);
    assert_eq!(site.row("stranger").await.state, TaskState::Pending);
    let shown = site
        .program
        .run(&["task", "show", "runs"])
        .await
        .ends_with(0);
    assert!(shown.stdout.contains("revoke_family by ana"), "{shown:?}");
    Ok(())
}
