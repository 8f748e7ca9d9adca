//! Workers, sessions, schedules and messages that were set aside: what is refused, and how.

use crate::site::{Site, on_both_pairs};
use counterfoil_operations::workers::Wish;
use counterfoil_operations::{
    Doer, ErrorClass, OperationError, outbox, parked, schedules, sessions, workers,
};
use counterfoil_store::{Batch, CatchUp, ScheduleRow, WorkerSeen};
use counterfoil_toolbox::heartbeat::Phase;
use std::collections::BTreeMap;
use std::time::Duration;

on_both_pairs!(
    a_worker_is_meant_by_how_its_id_begins_while_there_is_only_one,
    a_schedule_is_sent_paused_resumed_and_removed,
    what_is_not_there_is_told_as_such,
);

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
        limits: BTreeMap::new(),
        leases: Vec::new(),
        running: 0,
        processed: 0,
        interval: Duration::from_secs(600),
        started_at: None,
        paused: Vec::new(),
        hands: BTreeMap::new(),
        follows_control: true,
        heard_until: None,
    }
}

/// The class of what must be refused, and its words.
fn refused<T: std::fmt::Debug>(answer: Result<T, OperationError>) -> (ErrorClass, String) {
    let error = answer.expect_err("it must be refused");
    (error.class(), error.to_string())
}

async fn a_worker_is_meant_by_how_its_id_begins_while_there_is_only_one(
    site: Site,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.worker(worker("demo@h.1.aa", Phase::Running));
    batch.worker(worker("demo@h.2.bb", Phase::Quiet));
    batch.worker(worker("gone@h.3.cc", Phase::Stopped));
    site.store.apply(&batch).await?;
    let store = &*site.store;
    assert_eq!(workers::find(store, "demo@h.1").await?.id, "demo@h.1.aa");
    let (class, said) = refused(workers::find(store, "demo@").await);
    assert_eq!(class, ErrorClass::Invalid);
    assert_eq!(said, "2 workers have ids that begin with \"demo@\"");
    let (class, said) = refused(workers::find(store, "gone@h.3.cc").await);
    assert_eq!(class, ErrorClass::Conflict);
    assert!(said.starts_with("worker gone@h.3.cc is gone: "), "{said}");
    let (class, _) = refused(workers::find(store, "nobody").await);
    assert_eq!(class, ErrorClass::NotFound);

    let found = workers::find(store, "demo@h.2.bb").await?;
    let asked = workers::tell(store, &found, Wish::Stop, &Doer::default()).await?;
    assert_eq!(store.count_unpublished(&[asked]).await?, 1);
    Ok(())
}

async fn a_schedule_is_sent_paused_resumed_and_removed(site: Site) -> anyhow::Result<()> {
    let store = &*site.store;
    let row = ScheduleRow {
        name: "nightly".to_owned(),
        cron: "@daily".to_owned(),
        time_zone: "UTC".to_owned(),
        task: "demo.add".to_owned(),
        args: "[1, 2]".to_owned(),
        kwargs: "{}".to_owned(),
        priority: "normal".to_owned(),
        creator_id: None,
        expires_ms: None,
        jitter_ms: 0,
        catch_up: CatchUp::Skip,
        enabled: true,
        next_at: None,
        last_at: None,
    };
    assert!(store.add_schedule(&row).await?);
    let id = schedules::run_now(store, "nightly").await?;
    assert_eq!(store.unsent_tasks(&[id]).await?.len(), 1);
    schedules::pause(store, "nightly").await?;
    assert!(!schedules::find(store, "nightly").await?.enabled);
    let next = schedules::resume(store, "nightly").await?;
    assert!(next.is_some());
    assert_eq!(schedules::find(store, "nightly").await?.next_at, next);
    assert_eq!(schedules::resume(store, "nightly").await?, next);
    schedules::remove(store, "nightly").await?;
    for answer in [
        schedules::remove(store, "nightly").await,
        schedules::pause(store, "nightly").await,
        schedules::resume(store, "nightly").await.map(drop),
        schedules::run_now(store, "nightly").await.map(drop),
    ] {
        let wanted = "there is no schedule \"nightly\"".to_owned();
        assert_eq!(refused(answer), (ErrorClass::NotFound, wanted));
    }
    let broken = ScheduleRow {
        args: "{}".to_owned(),
        ..row
    };
    store.add_schedule(&broken).await?;
    let (class, said) = refused(schedules::run_now(store, "nightly").await);
    assert_eq!(class, ErrorClass::Invalid);
    assert_eq!(said, "args cannot be read as a JSON array");
    Ok(())
}

async fn what_is_not_there_is_told_as_such(site: Site) -> anyhow::Result<()> {
    let store = &*site.store;
    let (class, said) = refused(sessions::find(store, &"s1".parse()?).await);
    assert_eq!(class, ErrorClass::NotFound);
    assert_eq!(said, "no session has the id \"s1\"");
    let keys = ["k1".to_owned()];
    let found = outbox::find(store, &keys).await?;
    assert_eq!((found.messages.len(), found.unknown), (0, keys.to_vec()));
    assert!(outbox::all(store).await?.messages.is_empty());
    let found = parked::find(store, &keys, None, 10).await?;
    assert_eq!((found.rows.len(), found.unknown), (0, keys.to_vec()));
    Ok(())
}
