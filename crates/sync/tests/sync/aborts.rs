//! Aborted sessions end, and not before it is known what became of their subtasks.

use crate::sessions::{done, raw, session, start, tell, with_status};
use crate::support::{FaultyStore, PickyTransport, SOON, World, heartbeat, on_both_pairs, task};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{Batch, Store};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::heartbeat::{Hand, Heartbeat};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::names::{QueueName, TaskName};
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::session::{Session, SessionStatus, StartedSession};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

on_both_pairs!(
    an_aborted_session_ends_though_nobody_works,
    an_aborted_session_waits_for_workers_that_may_not_know_of_it,
    an_aborted_session_ends_though_the_worker_of_a_subtask_was_forgotten,
    what_somebody_else_may_still_run_is_not_written_off_before_he_was_gone_for_long,
    nor_what_he_may_run_beside_a_worker_that_takes_one_task_at_a_time,
    nor_what_he_may_run_of_a_service_that_is_paused,
    sessions_end_while_nobody_can_look_at_the_queues_of_another_service,
    a_service_without_a_queue_costs_one_question_and_its_aborted_session_ends,
    and_one_more_and_more_seldom_while_nobody_aborts_one,
);

/// How long nobody else may have been seen at work.
const BOUND: Duration = Duration::from_secs(3);

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

/// Waits until the leader has looked who consumes the queues, again and again, for so long.
async fn watched_for(store: &FaultyStore, time: Duration) -> anyhow::Result<()> {
    let before = store.watches().len();
    eventually("the queues to be watched", SOON, async || {
        // The second look begins when the first is over; the last one may not be.
        Ok(match store.watches()[before..] {
            [_, first, .., last, _] => (last - first >= time).then_some(()),
            _ => None,
        })
    })
    .await
}

/// Opens a consumer of the queue that takes one task and keeps it.
async fn taker(world: &World, queue: &QueueName) -> anyhow::Result<Subscription> {
    let options = SubscribeOptions::new(queue.clone(), 1);
    let mut taker = Subscription::open(Arc::clone(&world.transport), options);
    let delivery = tokio::time::timeout(SOON, taker.next()).await?;
    let _ = delivery.context("a task")?;
    Ok(taker)
}

async fn an_aborted_session_ends_though_nobody_works(mut world: World) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
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
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
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

async fn an_aborted_session_ends_though_the_worker_of_a_subtask_was_forgotten(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
    let daemon = world.daemon();
    world.serve("demo").await?;
    let started = start(&world, session(2)).await?;
    // It gave no sign of life within the time that workers are remembered for.
    let mut begun = Event::new(
        started.subtasks[0].clone(),
        TaskName::new("demo.add")?,
        Lineage::default(),
        EventKind::State(TaskState::Started),
        Utc::now(),
    );
    begun.worker = Some(WorkerId::new("demo@h.7.0a0b0c0d")?);
    begun.session_id = Some(started.id.as_str().into());
    tell(&world, &[begun]).await?;
    let id = started.subtasks[0].as_str();
    world.row_in(id, TaskState::Started).await?;
    abort(&world, &started).await?;
    let row = with_status(&world, &started.id, SessionStatus::Aborted).await?;
    assert_eq!((row.failed, row.revoked), (2, 2));
    Ok(daemon.stop().await?)
}

async fn what_somebody_else_may_still_run_is_not_written_off_before_he_was_gone_for_long(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
    let began = Instant::now();
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let queue = world.serve("demo").await?;
    let first = start(&world, session(1)).await?;
    abort(&world, &first).await?;
    with_status(&world, &first.id, SessionStatus::Aborted).await?;
    // What a daemon that has just begun has not seen may have been there.
    assert!(began.elapsed() >= BOUND, "{:?}", began.elapsed());
    somebody_comes_and_goes(&world, &store, &queue).await?;
    Ok(daemon.stop().await?)
}

/// Somebody takes a subtask and consumes for long enough to be noticed. He keeps it, for all that is known, when he
/// does not consume any more.
async fn somebody_comes_and_goes(
    world: &World,
    store: &FaultyStore,
    queue: &QueueName,
) -> anyhow::Result<()> {
    let started = start(world, session(1)).await?;
    let stranger = taker(world, queue).await?;
    watched_for(store, BOUND / 4).await?;
    stranger.close().await;
    let left = Instant::now();
    abort(world, &started).await?;
    with_status(world, &started.id, SessionStatus::Aborted).await?;
    // Had the last look been longer before, the queues would have been unwatched until the next.
    assert!(left.elapsed() >= BOUND / 2, "{:?}", left.elapsed());
    Ok(())
}

async fn nor_what_he_may_run_beside_a_worker_that_takes_one_task_at_a_time(
    world: World,
) -> anyhow::Result<()> {
    beside_a_worker_with_consumers(world, 1).await
}

async fn nor_what_he_may_run_of_a_service_that_is_paused(world: World) -> anyhow::Result<()> {
    beside_a_worker_with_consumers(world, 0).await
}

/// A worker of ours that knows of every order, and somebody else.
async fn beside_a_worker_with_consumers(mut world: World, consumers: u32) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let queue = world.serve("demo").await?;
    let hand = Hand {
        consumers,
        untold: 0,
    };
    let _worker = world.beats(move || Heartbeat {
        hands: BTreeMap::from([(QueueName::new("demo").expect("a name"), hand)]),
        interval_ms: 60_000,
        heard_until: Some(Utc::now() + TimeDelta::days(1)),
        ..heartbeat()
    });
    eventually("the worker to be known", SOON, async || {
        Ok(world.store.workers().await?.pop())
    })
    .await?;
    let first = start(&world, session(1)).await?;
    let mut ours = Vec::new();
    for _ in 0..consumers {
        ours.push(taker(&world, &queue).await?);
    }
    abort(&world, &first).await?;
    with_status(&world, &first.id, SessionStatus::Aborted).await?;
    somebody_comes_and_goes(&world, &store, &queue).await?;
    Ok(daemon.stop().await?)
}

async fn sessions_end_while_nobody_can_look_at_the_queues_of_another_service(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
    let broker = PickyTransport::of(&mut world);
    // The first that is looked at, in alphabetical order.
    let queue = world.serve("broken").await?;
    broker.refuse(Some(queue));
    let daemon = world.daemon();
    let of_another = Session::raw("other", raw("demo.end"), true)
        .subtask_raw(raw("broken.add"), SendOptions::new());
    let of_another = start(&world, of_another).await?;
    let started = start(&world, session(1)).await?;
    abort(&world, &of_another).await?;
    abort(&world, &started).await?;
    with_status(&world, &started.id, SessionStatus::Aborted).await?;
    // It has waited for longer than the other one, and for this alone.
    with_status(&world, &of_another.id, SessionStatus::Aborting).await?;
    broker.refuse(None);
    with_status(&world, &of_another.id, SessionStatus::Aborted).await?;
    Ok(daemon.stop().await?)
}

async fn a_service_without_a_queue_costs_one_question_and_its_aborted_session_ends(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
    let broker = PickyTransport::of(&mut world);
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let mistyped = Session::raw("other", raw("demo.end"), true)
        .subtask_raw(raw("mistyped.add"), SendOptions::new());
    let mistyped = start(&world, mistyped).await?;
    let id = mistyped.subtasks[0].as_str();
    world.row_in(id, TaskState::Unroutable).await?;
    watched_for(&store, BOUND / 4).await?;
    let mut asked = broker.asked();
    asked.retain(|queue| queue.starts_with("mistyped"));
    assert_eq!(asked, BTreeSet::from(["mistyped".to_owned()]));
    abort(&world, &mistyped).await?;
    with_status(&world, &mistyped.id, SessionStatus::Aborted).await?;
    Ok(daemon.stop().await?)
}

async fn and_one_more_and_more_seldom_while_nobody_aborts_one(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.lost_after = BOUND;
    // Whoever sends such tasks again asks too.
    world.settings.unroutable_interval = SOON;
    let broker = PickyTransport::of(&mut world);
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let name = "mistyped.add";
    let message = task("t1", name);
    world.publish(&world.names.tasks, name, message).await?;
    world.row_in("t1", TaskState::Unroutable).await?;
    let before = store.watches().len();
    eventually("looks without a question", SOON, async || {
        let looks = store.watches().len() - before;
        Ok((looks >= broker.times("mistyped") + 10).then_some(()))
    })
    .await?;
    Ok(daemon.stop().await?)
}
