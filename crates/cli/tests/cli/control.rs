//! Asking workers for something: what it says, what it writes, and what it refuses.

mod cancelling;
mod site;

use cancelling::{
    a_family_is_cancelled_from_any_of_its_members,
    a_filter_cancels_those_that_can_be_and_a_dry_run_none,
    a_retry_is_cancelled_before_it_is_started_again, cancelling_says_what_it_means_for_each_task,
    what_nobody_has_heard_of_is_kept_from_starting_when_that_is_wanted,
};
use counterfoil_store::{Batch, ControlFilter, WorkerSeen};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::heartbeat::Phase;
use serde_json::Value;
use site::Site;
use std::time::Duration;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(super::Site::sqlite().await?).await
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(super::Site::postgres().await?).await
                }
            )+
        }
    };
}

on_both_databases!(
    workers_that_all_fell_silent_are_gone_or_nobody_writes_down_what_they_say,
    cancelling_says_what_it_means_for_each_task,
    what_nobody_has_heard_of_is_kept_from_starting_when_that_is_wanted,
    a_retry_is_cancelled_before_it_is_started_again,
    a_filter_cancels_those_that_can_be_and_a_dry_run_none,
    a_family_is_cancelled_from_any_of_its_members,
    a_task_is_paused_before_it_starts_and_resumed,
    a_service_is_paused_once_and_resumed_once,
    a_worker_is_found_by_how_its_id_begins_unless_it_is_gone,
    whoever_asks_can_say_for_whom,
);

fn pair(kind: &str, subject: &str) -> (String, String) {
    (kind.to_owned(), subject.to_owned())
}

async fn a_task_is_paused_before_it_starts_and_resumed(site: Site) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    site.task("waits", "waits", TaskState::Pending).await?;
    site.task("runs", "runs", TaskState::Started).await?;
    site.program
        .run(&["task", "pause", "waits"])
        .await
        .ends_with(0);
    assert!(site.row("waits").await.held);
    assert_eq!(site.holding().await, [pair("hold", "waits")]);
    let list = site.program.run(&["task", "list"]).await.ends_with(0);
    assert!(list.stdout.contains("PENDING paused"), "{list:?}");
    let again = site
        .program
        .run(&["task", "pause", "waits"])
        .await
        .ends_with(1);
    assert!(again.stdout.contains("it is paused already"), "{again:?}");
    let late = site
        .program
        .run(&["task", "pause", "runs"])
        .await
        .ends_with(1);
    assert!(late.stdout.contains("it runs already"), "{late:?}");
    site.program
        .run(&["task", "resume", "waits"])
        .await
        .ends_with(0);
    assert!(!site.row("waits").await.held);
    assert!(site.holding().await.is_empty());
    let again = site
        .program
        .run(&["task", "resume", "waits"])
        .await
        .ends_with(1);
    assert!(again.stdout.contains("it is not paused"), "{again:?}");
    Ok(())
}

async fn a_service_is_paused_once_and_resumed_once(site: Site) -> anyhow::Result<()> {
    let daemon = site.daemon();
    site.task("t", "t", TaskState::Pending).await?;
    let ran = site.program.run(&["pause", "demo"]).await.ends_with(0);
    assert!(
        ran.stdout.starts_with("service demo is paused: "),
        "{ran:?}"
    );
    assert_eq!(site.holding().await, [pair("pause_service", "demo")]);
    let again = site
        .program
        .run(&["pause", "demo", "--json"])
        .await
        .ends_with(0);
    let wanted = r#"{"service":"demo","paused":true,"changed":false,"passed_on":true}"#;
    assert_eq!(again.document(), serde_json::from_str::<Value>(wanted)?);
    site.program.run(&["resume", "demo"]).await.ends_with(0);
    assert!(site.holding().await.is_empty());
    let ran = site.program.run(&["resume", "demo"]).await.ends_with(0);
    assert_eq!(ran.stdout.trim(), "service demo is not paused");
    let typo = site.program.run(&["pause", "dmeo"]).await.ends_with(0);
    assert!(typo.stderr.contains("did you mean demo?"), "{typo:?}");
    site.program
        .run(&["pause", "no.service"])
        .await
        .ends_with(2);
    drop(daemon);
    // Nobody passes it on: it is done all the same, and told.
    let ran = site
        .program
        .run(&["pause", "demo", "--json"])
        .await
        .ends_with(0);
    assert!(
        ran.stderr.contains("nobody has told the workers yet"),
        "{ran:?}"
    );
    assert_eq!(ran.document()["passed_on"], false);
    Ok(())
}

fn worker(id: &str, phase: Phase) -> WorkerSeen {
    WorkerSeen {
        id: id.parse().expect("valid"),
        service: "demo".into(),
        host: "h".into(),
        pid: Some(7),
        version: None,
        tasks: None,
        phase,
        queues: Vec::new(),
        limits: std::collections::BTreeMap::new(),
        leases: Vec::new(),
        running: 0,
        processed: 0,
        interval: Duration::from_secs(600),
        started_at: None,
        paused: vec!["demo".parse().expect("valid")],
        hands: std::collections::BTreeMap::new(),
        follows_control: phase != Phase::Quiet,
        heard_until: None,
    }
}

async fn a_worker_is_found_by_how_its_id_begins_unless_it_is_gone(
    site: Site,
) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    let mut batch = Batch::new();
    batch.worker(worker("demo@h.1.aa", Phase::Running));
    batch.worker(worker("demo@h.2.bb", Phase::Quiet));
    batch.worker(worker("gone@h.3.cc", Phase::Stopped));
    // Its predecessor is not meant.
    batch.worker(worker("demo@h.1.zz", Phase::Stopped));
    site.store.apply(&batch).await?;
    let ran = site
        .program
        .run(&["workers", "quiet", "demo@h.1"])
        .await
        .ends_with(0);
    assert!(
        ran.stdout
            .contains("demo@h.1.aa is asked to take nothing new"),
        "{ran:?}"
    );
    assert!(ran.stderr.is_empty(), "{ran:?}");
    let ran = site
        .program
        .run(&["workers", "stop", "demo@h.2.bb", "--json"])
        .await
        .ends_with(0);
    let answer = ran.document();
    assert_eq!(
        (&answer["worker"], &answer["asked"]),
        (&"demo@h.2.bb".into(), &"stop".into())
    );
    assert!(
        ran.stderr.contains("does not do what it is asked"),
        "{ran:?}"
    );
    for (id, why) in [
        ("demo", "2 workers have ids that begin with"),
        ("gone@h.3.cc", "is gone: it was last heard of"),
        ("nobody", "was ever heard of"),
    ] {
        let ran = site
            .program
            .run(&["workers", "stop", id])
            .await
            .ends_with(1);
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    let list = site.program.run(&["workers"]).await.ends_with(0);
    assert!(
        list.stdout.contains("quiet") && list.stdout.contains("CONTROL"),
        "{list:?}"
    );
    Ok(())
}

async fn workers_that_all_fell_silent_are_gone_or_nobody_writes_down_what_they_say(
    site: Site,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.worker(worker("left@h.1.aa", Phase::Stopped));
    site.store.apply(&batch).await?;
    let ran = site.program.run(&["workers"]).await.ends_with(0);
    assert_eq!(ran.stderr, "", "whoever said that it ends is no riddle");
    let mut batch = Batch::new();
    batch.worker(WorkerSeen {
        interval: Duration::from_millis(1),
        ..worker("silent@h.1.bb", Phase::Running)
    });
    site.store.apply(&batch).await?;
    let silent = "warning: no worker was heard of for";
    let ran = eventually("its silence to be noticed", PATIENCE, async || {
        let ran = site.program.run(&["workers"]).await.ends_with(0);
        Ok((!ran.stderr.is_empty()).then_some(ran))
    });
    let ran = ran.await?;
    assert!(ran.stderr.starts_with(silent), "{ran:?}");
    let line = ran.stdout.lines().find(|line| line.contains("silent@"));
    assert!(line.is_some_and(|line| line.contains("gone")), "{ran:?}");
    let mut batch = Batch::new();
    batch.worker(worker("lives@h.1.cc", Phase::Running));
    site.store.apply(&batch).await?;
    let ran = site.program.run(&["workers"]).await.ends_with(0);
    assert_eq!(ran.stderr, "", "somebody is heard of");
    Ok(())
}

/// A programme that acts for people names them: what holds tells who wanted it.
async fn whoever_asks_can_say_for_whom(site: Site) -> anyhow::Result<()> {
    let _daemon = site.daemon();
    for id in ["a", "b", "c", "d"] {
        site.task(id, id, TaskState::Pending).await?;
    }
    let mut batch = Batch::new();
    batch.worker(worker("demo@h.1.aa", Phase::Running));
    site.store.apply(&batch).await?;
    for asked in [
        &["task", "cancel", "a"][..],
        &["task", "cancel", "b", "--family"],
        &["task", "pause", "c"],
        &["task", "pause", "d"],
        &["task", "resume", "d"],
        &["pause", "demo"],
        &["workers", "quiet", "demo@h.1"],
    ] {
        let by_eve = [asked, &["--by", "eve"]].concat();
        site.program.run(&by_eve).await.ends_with(0);
    }
    let rows = site.store.controls(&ControlFilter::default()).await?;
    assert_eq!(rows.len(), 4, "quiet does not hold: {rows:?}");
    for row in rows {
        assert_eq!(row.created_by.as_deref(), Some("eve"), "{row:?}");
    }
    let why = site.row("a").await.error_message.expect("a reason");
    assert_eq!(why, "it was cancelled by eve before it was started");
    Ok(())
}
