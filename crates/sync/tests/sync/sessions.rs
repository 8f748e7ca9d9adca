//! Sessions: opened by their senders, counted by the daemon, ended whatever happens.

use crate::control::take;
use crate::support::{FaultyStore, SOON, World, batch, on_both_pairs, settled};
use chrono::TimeDelta;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{SessionRow, Store, SubtaskRow};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::event::{Event, FaultKind};
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::session::{Inquiry, Session, SessionStatus, StartedSession};
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::{Producer, SessionId, TaskId, TaskName, TaskState};
use std::sync::Arc;
use std::time::Duration;

on_both_pairs!(
    a_session_is_known_and_its_subtasks_wait_in_their_queue,
    a_session_ends_once_though_two_daemons_write,
    nobody_opens_a_session_that_ends_with_a_task_of_another_service,
    a_session_whose_subtasks_were_never_sent_times_out,
    nothing_times_out_whose_end_is_still_to_be_read,
    whoever_asks_after_a_session_is_told_how_it_stands_and_how_much_of_it_was_sent,
    whoever_asks_is_told_though_the_clock_of_the_daemon_is_behind,
    a_session_that_takes_too_long_to_end_does_not_keep_younger_ones_open,
);

pub(crate) fn raw(name: &str) -> RawTask {
    RawTask {
        name: TaskName::new(name).expect("a task name"),
        args: "[]".to_owned(),
        kwargs: "{}".to_owned(),
    }
}

pub(crate) fn session(subtasks: usize) -> Session {
    let session = Session::raw("harvest", raw("demo.end"), true);
    (0..subtasks).fold(session, |session, _| {
        session.subtask_raw(raw("demo.add"), SendOptions::new())
    })
}

pub(crate) async fn start(world: &World, session: Session) -> anyhow::Result<StartedSession> {
    let producer = Producer::new(world.transport.clone(), world.names.clone());
    let started = producer.start_session(session).await?;
    assert!(started.unsent.is_empty(), "{started:?}");
    Ok(started)
}

pub(crate) fn done(session: &SessionId, task: &TaskId) -> Event {
    let mut event = settled(task.as_str(), "demo.add", "1");
    event.session_id = Some(session.as_str().into());
    event
}

pub(crate) async fn tell(world: &World, events: &[Event]) -> anyhow::Result<()> {
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), batch(events))
        .await
}

pub(crate) async fn with_status(
    world: &World,
    id: &SessionId,
    status: SessionStatus,
) -> anyhow::Result<SessionRow> {
    eventually(&format!("{id} to be {status}"), SOON, async || {
        let row = world.store.session(id).await?;
        Ok(row.filter(|row| row.status == status))
    })
    .await
}

async fn a_session_is_known_and_its_subtasks_wait_in_their_queue(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let queue = world.serve("demo").await?;
    let started = start(&world, session(3)).await?;
    world.ready(&queue, 3).await?;
    let row = with_status(&world, &started.id, SessionStatus::Ongoing).await?;
    assert_eq!((row.total, row.attempted()), (3, 0));
    assert_eq!(row.finalizer_id, started.finalizer.as_str());
    for id in &started.subtasks {
        let task: TaskRow = world.row_in(id.as_str(), TaskState::Pending).await?;
        assert_eq!(task.session_id.as_deref(), Some(started.id.as_str()));
    }
    Ok(daemon.stop().await?)
}

async fn a_session_ends_once_though_two_daemons_write(world: World) -> anyhow::Result<()> {
    let (one, other) = (world.daemon(), world.daemon());
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(start(&world, session(20)).await?);
    }
    for n in 0..20 {
        for session in &sessions {
            let event = done(&session.id, &session.subtasks[n]);
            tell(&world, std::slice::from_ref(&event)).await?;
            tell(&world, &[event]).await?;
        }
    }
    for session in &sessions {
        let row = with_status(&world, &session.id, SessionStatus::Success).await?;
        assert_eq!((row.succeeded, row.failed), (20, 0));
    }
    one.stop().await?;
    Ok(other.stop().await?)
}

async fn nobody_opens_a_session_that_ends_with_a_task_of_another_service(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let opening = r#"{"session": {"id": "s1", "action": "x", "subtasks": [], "finalizer":
        {"id": "f1", "task": "bank.pay", "args": [], "kwargs": {}, "takes_summary": false}}}"#;
    let content = counterfoil_toolbox::message::Content::json(opening);
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), content)
        .await?;
    let parked = world.parked(1).await?.remove(0);
    assert!(
        parked
            .reason
            .contains("bank.pay is a task of bank, and demo sent it"),
        "{parked:?}"
    );
    assert!(world.store.session(&SessionId::new("s1")?).await?.is_none());
    Ok(daemon.stop().await?)
}

async fn a_session_whose_subtasks_were_never_sent_times_out(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.session_interval = Duration::from_millis(50);
    let daemon = world.daemon();
    // Its producer dies at once: no queue takes what it sends.
    let short = Duration::from_millis(1);
    let session = session(3).estimated(short).buffer(short);
    let (id, opening) = (session.id().clone(), session.opening()?);
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), opening.write())
        .await?;
    let row = with_status(&world, &id, SessionStatus::TimedOut).await?;
    assert_eq!((row.failed, row.timed_out), (3, true));
    let missing: Vec<SubtaskRow> = world.store.subtasks(&id, None, 0).await?;
    for subtask in missing {
        let task = world
            .row_in(subtask.task_id.as_str(), TaskState::Failure)
            .await?;
        let kind = FaultKind::SessionTimeout.as_str();
        assert_eq!(task.error_kind.as_deref(), Some(kind));
    }
    Ok(daemon.stop().await?)
}

async fn nothing_times_out_whose_end_is_still_to_be_read(mut world: World) -> anyhow::Result<()> {
    world.settings.session_interval = Duration::from_millis(1);
    let daemon = world.daemon();
    let short = Duration::from_secs(2);
    let started = start(&world, session(1).estimated(short).buffer(Duration::ZERO)).await?;
    with_status(&world, &started.id, SessionStatus::Ongoing).await?;
    daemon.crash().await;
    // What it reported waits behind much else, and when somebody reads it its time is over.
    for n in 0..3000 {
        let other = settled(&format!("other-{n}"), "demo.add", "1");
        tell(&world, &[other]).await?;
    }
    tell(&world, &[done(&started.id, &started.subtasks[0])]).await?;
    eventually("its time to be over", SOON, async || {
        let overdue = world.store.overdue_sessions(short, short, 0).await?;
        Ok((!overdue.is_empty()).then_some(()))
    })
    .await?;
    let daemon = world.daemon();
    with_status(&world, &started.id, SessionStatus::Success).await?;
    Ok(daemon.stop().await?)
}

async fn whoever_asks_after_a_session_is_told_how_it_stands_and_how_much_of_it_was_sent(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.session_interval = Duration::from_millis(50);
    let daemon = world.daemon();
    let mut stream = world.stream();
    let done_at_once = start(&world, session(2)).await?;
    let events = done_at_once
        .subtasks
        .iter()
        .map(|id| done(&done_at_once.id, id));
    tell(&world, &events.collect::<Vec<_>>()).await?;
    with_status(&world, &done_at_once.id, SessionStatus::Success).await?;
    // Opened, and its opener died at once.
    let unsent = session(3).estimated(Duration::ZERO).buffer(Duration::ZERO);
    let opening = unsent.opening()?.write();
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), opening)
        .await?;
    with_status(&world, unsent.id(), SessionStatus::TimedOut).await?;
    let session_id = unsent.id().clone();
    let told = take(&mut stream, 1).await?.remove(0);
    assert_eq!(told.order, Order::TimeOutSession { session_id });
    let unknown = SessionId::new("unknown")?;
    for (session_id, status, sent) in [
        (&done_at_once.id, Some(SessionStatus::Success), 2),
        (unsent.id(), Some(SessionStatus::TimedOut), 0),
        (&unknown, None, 0),
    ] {
        let inquiry = Inquiry {
            id: uuid::Uuid::now_v7(),
            session_id: session_id.clone(),
        };
        let producer = Producer::new(world.transport.clone(), world.names.clone());
        producer.inquire(&inquiry, unsent.finalizer()).await?;
        let answer = take(&mut stream, 1).await?.remove(0);
        assert_eq!(answer.id, inquiry.id);
        let session_id = session_id.clone();
        let wanted = Order::SessionIs {
            session_id,
            status,
            sent,
        };
        assert_eq!(answer.order, wanted);
    }
    Ok(daemon.stop().await?)
}

async fn whoever_asks_is_told_though_the_clock_of_the_daemon_is_behind(
    world: World,
) -> anyhow::Result<()> {
    let store = FaultyStore::new(&world.store);
    store.go_ahead(TimeDelta::hours(1));
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let mut stream = world.stream();
    let started = session(1);
    let inquiry = Inquiry {
        id: uuid::Uuid::now_v7(),
        session_id: started.id().clone(),
    };
    let producer = Producer::new(world.transport.clone(), world.names.clone());
    producer.inquire(&inquiry, started.finalizer()).await?;
    let answer = take(&mut stream, 1).await?.remove(0);
    assert_eq!(answer.id, inquiry.id);
    Ok(daemon.stop().await?)
}

async fn a_session_that_takes_too_long_to_end_does_not_keep_younger_ones_open(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.session_interval = Duration::from_millis(50);
    let store = FaultyStore::new(&world.store);
    store.slow_above(1);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let mut ids = Vec::new();
    // Nothing of them is sent.
    for subtasks in [3, 1] {
        let session = session(subtasks);
        let session = session.estimated(Duration::ZERO).buffer(Duration::ZERO);
        let (key, opening) = (event_key("demo"), session.opening()?.write());
        world
            .publish(&world.names.events, key.as_str(), opening)
            .await?;
        let id = session.id().clone();
        eventually("the session to be known", SOON, async || {
            world.store.session(&id).await.map_err(Into::into)
        })
        .await?;
        ids.push(id);
    }
    with_status(&world, &ids[1], SessionStatus::TimedOut).await?;
    with_status(&world, &ids[0], SessionStatus::Ongoing).await?;
    store.slow_above(usize::MAX);
    with_status(&world, &ids[0], SessionStatus::TimedOut).await?;
    Ok(daemon.stop().await?)
}
