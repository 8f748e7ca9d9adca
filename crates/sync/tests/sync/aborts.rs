//! Aborted sessions end, and not before it is known what became of their subtasks.

use crate::sessions::{done, raw, session, start, tell, with_status};
use crate::support::{SOON, World, heartbeat, on_both_pairs};
use chrono::{DateTime, Utc};
use counterfoil_store::Batch;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::heartbeat::{Hand, Heartbeat};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::session::{Session, SessionStatus, StartedSession};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

on_both_pairs!(
    an_aborted_session_ends_though_nobody_works,
    an_aborted_session_waits_for_workers_that_may_not_know_of_it,
);

/// Aborts it; when workers were told.
async fn abort(world: &World, started: &StartedSession) -> anyhow::Result<DateTime<Utc>> {
    with_status(world, &started.id, SessionStatus::Ongoing).await?;
    let mut batch = Batch::new();
    batch.abort_session(&started.id, Some("bob"), world.store.clock().await?);
    world.store.apply(&batch).await?;
    eventually("the order to be published", SOON, async || {
        let controls = world.store.controls(&Default::default()).await?;
        let it = controls
            .into_iter()
            .find(|it| it.subject == started.id.as_str());
        Ok(it.and_then(|it| it.published_at))
    })
    .await
}

async fn an_aborted_session_ends_though_nobody_works(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let queue = world.serve("demo").await?;
    let started = start(&world, session(3)).await?;
    world.ready(&queue, 3).await?;
    abort(&world, &started).await?;
    let row = with_status(&world, &started.id, SessionStatus::Aborted).await?;
    assert_eq!((row.succeeded, row.failed, row.revoked), (0, 3, 3));
    assert_eq!(row.aborted_by.as_deref(), Some("bob"));
    Ok(daemon.stop().await?)
}

async fn an_aborted_session_waits_for_workers_that_may_not_know_of_it(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let queue = world.serve("demo").await?;
    let heard = Arc::new(Mutex::new(None));
    let says = Arc::clone(&heard);
    let _worker = world.beats(move || Heartbeat {
        hands: BTreeMap::from([(
            QueueName::new("demo").expect("a name"),
            Hand {
                consumers: 0,
                untold: 1,
            },
        )]),
        interval_ms: 60_000,
        heard_until: *says.lock().expect("no test panics here"),
        ..heartbeat()
    });
    eventually("the worker to be known", SOON, async || {
        Ok(world.store.workers().await?.pop())
    })
    .await?;
    let started = start(&world, session(3)).await?;
    world.ready(&queue, 3).await?;
    let told_at = abort(&world, &started).await?;
    // A later one, of a service without workers, is over: so this one was looked at.
    world.serve("export").await?;
    let other = Session::raw("other", raw("export.end"), true)
        .subtask_raw(raw("export.project"), SendOptions::new());
    let other = start(&world, other).await?;
    abort(&world, &other).await?;
    with_status(&world, &other.id, SessionStatus::Aborted).await?;
    let row = with_status(&world, &started.id, SessionStatus::Aborting).await?;
    assert_eq!(row.attempted(), 0, "{row:?}");
    // What it had begun before it heard of it, it tells first.
    tell(&world, &[done(&started.id, &started.subtasks[1])]).await?;
    *heard.lock().expect("no test panics here") = Some(told_at);
    let row = with_status(&world, &started.id, SessionStatus::Aborted).await?;
    assert_eq!((row.succeeded, row.failed, row.revoked), (1, 2, 2));
    Ok(daemon.stop().await?)
}
