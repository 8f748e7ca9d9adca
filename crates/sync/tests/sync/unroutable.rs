//! Tasks that no service owns.

use crate::support::{FaultyStore, PickyTransport, SOON, World, id, on_both_pairs, task};
use counterfoil_store::{Store, UnroutableFilter};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::delay::delayed_key;
use counterfoil_toolbox::message::TaskMessage;
use counterfoil_toolbox::names::{ServiceName, TaskName};
use counterfoil_toolbox::topology::{self, Item, ServiceSettings};
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use counterfoil_toolbox::{Priority, TaskState};
use std::sync::Arc;
use std::time::Duration;

on_both_pairs!(
    a_task_that_nobody_owns_says_so_within_a_second_and_keeps_its_message,
    a_task_waits_for_the_service_of_its_key_whatever_it_is_called,
    it_runs_once_when_its_service_appears_though_two_daemons_look,
    tasks_that_were_sent_again_are_not_sent_twice_because_that_could_not_be_written,
    a_service_whose_binding_is_missing_does_not_make_a_loop,
    a_class_of_a_service_that_has_none_runs_all_the_same,
    a_class_is_kept_when_its_queue_is_there,
    tasks_are_sent_again_while_nobody_can_look_at_the_queue_of_another_service,
    a_name_without_a_queue_is_asked_after_more_and_more_seldom_and_served_when_it_has_one,
);

async fn a_task_that_nobody_owns_says_so_within_a_second_and_keeps_its_message(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    daemon.ready().await?;
    let mut fastest = Duration::MAX;
    // The machine may be busy with other things for a moment, but not each time.
    for n in 0..10 {
        let (id, sent) = (format!("t{n}"), tokio::time::Instant::now());
        let message = task(&id, "nobody.task");
        world
            .publish(&world.names.tasks, "nobody.task", message)
            .await?;
        world.row_in(&id, TaskState::Unroutable).await?;
        fastest = fastest.min(sent.elapsed());
        if fastest < Duration::from_secs(1) {
            break;
        }
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    assert_eq!(world.store.unroutable_services().await?, ["nobody"]);
    let nobodys = UnroutableFilter {
        service: "nobody".to_owned(),
        limit: 1,
        ..UnroutableFilter::default()
    };
    let kept = world.store.unroutable(&nobodys).await?.remove(0);
    assert_eq!(kept.message.content.body, task("t1", "nobody.task").body);
    Ok(daemon.stop().await?)
}

async fn it_runs_once_when_its_service_appears_though_two_daemons_look(
    world: World,
) -> anyhow::Result<()> {
    let (one, other) = (world.daemon(), world.daemon());
    for n in 0..20 {
        let task = task(&format!("t{n}"), "nobody.task");
        world
            .publish(&world.names.tasks, "nobody.task", task)
            .await?;
    }
    for n in 0..20 {
        world
            .row_in(&format!("t{n}"), TaskState::Unroutable)
            .await?;
    }
    let queue = world.serve("nobody").await?;
    for n in 0..20 {
        let row = world.row_in(&format!("t{n}"), TaskState::Pending).await?;
        assert_eq!(row.rescue, 1);
    }
    // Two more rounds of the leader's, in which nothing must happen.
    tokio::time::sleep(world.settings.unroutable_interval * 3).await;
    world.ready(&queue, 20).await?;
    let options = SubscribeOptions::new(queue, 1);
    let mut worker = Subscription::open(Arc::clone(&world.transport), options);
    let delivery = worker.next().await.expect("a task");
    let message = TaskMessage::decode(&delivery.content)?;
    assert_eq!(message.envelope.lineage.rescue, 1);
    assert_eq!(message.payload.kwargs(), r#"{"y": 3}"#);
    drop(delivery);
    worker.close().await;
    one.stop().await?;
    other.stop().await?;
    // The platform sent them: no second tracking copy says that they were scheduled again.
    let pending = |line: &&counterfoil_store::record::EventRow| line.kind == TaskState::Pending;
    let history = world.store.history(&id("t3")).await?;
    assert_eq!(history.iter().filter(pending).count(), 2);
    Ok(())
}

async fn tasks_that_were_sent_again_are_not_sent_twice_because_that_could_not_be_written(
    world: World,
) -> anyhow::Result<()> {
    let store = FaultyStore::new(&world.store);
    store.fail_next_marks(3);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    for id in ["t1", "t2", "t3"] {
        let message = task(id, "nobody.task");
        world
            .publish(&world.names.tasks, "nobody.task", message)
            .await?;
        world.row_in(id, TaskState::Unroutable).await?;
    }
    let queue = world.serve("nobody").await?;
    for id in ["t1", "t2", "t3"] {
        assert_eq!(world.row_in(id, TaskState::Pending).await?.rescue, 1);
    }
    world.ready(&queue, 3).await?;
    Ok(daemon.stop().await?)
}

async fn a_service_whose_binding_is_missing_does_not_make_a_loop(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "nobody.task", task("t1", "nobody.task"))
        .await?;
    world.row_in("t1", TaskState::Unroutable).await?;
    let name = ServiceName::new("nobody")?;
    let mut items = topology::service(&world.names, &name, &ServiceSettings::default());
    items.retain(|item| matches!(item, Item::Queue(_)));
    let since = tokio::time::Instant::now();
    world.declare(items).await?;
    // Back each time, with pauses that double after the second: 0.2, 0.4, 0.8 … seconds. Without
    // them six tries would take six rounds.
    eventually("the sixth try", SOON, async || {
        let row = world.store.task("t1").await?;
        Ok(row.filter(|row| row.rescue >= 6))
    })
    .await?;
    let pauses = world.settings.unroutable_interval * (1 + 2 + 4 + 8);
    assert!(since.elapsed() >= pauses, "{:?}", since.elapsed());
    Ok(daemon.stop().await?)
}

async fn a_task_waits_for_the_service_of_its_key_whatever_it_is_called(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let key = TaskName::new("proj.default")?.routing_key();
    // As it leaves the levels.
    let delayed = delayed_key(Duration::from_secs(1), &key)?;
    world
        .publish(&world.names.tasks, "proj.default", task("t1", "tasks.add"))
        .await?;
    world
        .publish(
            &world.names.tasks,
            delayed.as_str(),
            task("t2", "tasks.add"),
        )
        .await?;
    let message = task("t4", "tasks.add");
    world
        .publish(&world.names.tasks, "nobody~low.add", message)
        .await?;
    // A queue of its name does not help a task that was sent elsewhere.
    world
        .publish(&world.names.tasks, "nobody.add", task("t3", "demo.add"))
        .await?;
    for id in ["t1", "t2", "t3", "t4"] {
        world.row_in(id, TaskState::Unroutable).await?;
    }
    assert_eq!(world.store.unroutable_services().await?, ["nobody", "proj"]);
    let queue = world.serve("proj").await?;
    for id in ["t1", "t2"] {
        let row = world.row_in(id, TaskState::Pending).await?;
        assert_eq!(row.rescue, 1);
    }
    world.ready(&queue, 2).await?;
    let row = world.row_in("t3", TaskState::Unroutable).await?;
    assert_eq!(row.rescue, 0, "nobody has a queue for it");
    Ok(daemon.stop().await?)
}

/// Sends a task of each class that is not the usual one, the second one as it leaves the levels.
async fn send_classes(world: &World) -> anyhow::Result<()> {
    let key = TaskName::new("nobody~low.task")?.routing_key();
    let delayed = delayed_key(Duration::from_secs(1), &key)?;
    for (id, key) in [("t1", "nobody~high.task"), ("t2", delayed.as_str())] {
        let message = task(id, "nobody.task");
        world.publish(&world.names.tasks, key, message).await?;
        world.row_in(id, TaskState::Unroutable).await?;
    }
    Ok(())
}

async fn a_class_of_a_service_that_has_none_runs_all_the_same(world: World) -> anyhow::Result<()> {
    let queue = world.serve("nobody").await?;
    let daemon = world.daemon();
    daemon.ready().await?;
    send_classes(&world).await?;
    for id in ["t1", "t2"] {
        let row = world.row_in(id, TaskState::Pending).await?;
        assert_eq!(row.rescue, 1);
    }
    world.ready(&queue, 2).await?;
    Ok(daemon.stop().await?)
}

async fn a_class_is_kept_when_its_queue_is_there(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    send_classes(&world).await?;
    let service = ServiceName::new("nobody")?;
    let settings = ServiceSettings {
        priorities: true,
        ..ServiceSettings::default()
    };
    world
        .declare(topology::service(&world.names, &service, &settings))
        .await?;
    for (id, class, waiting) in [
        ("t1", Priority::High, 1),
        ("t2", Priority::Low, 1),
        ("t2", Priority::Normal, 0),
    ] {
        let row = world.row_in(id, TaskState::Pending).await?;
        assert_eq!(row.rescue, 1);
        let queue = world.names.class_queue(&service, class);
        world.ready(&queue, waiting).await?;
    }
    Ok(daemon.stop().await?)
}

async fn tasks_are_sent_again_while_nobody_can_look_at_the_queue_of_another_service(
    mut world: World,
) -> anyhow::Result<()> {
    let broker = PickyTransport::of(&mut world);
    let daemon = world.daemon();
    // The first of them is the first that is looked at.
    for (id, name) in [("t1", "broken.task"), ("t2", "nobody.task")] {
        let message = task(id, name);
        world.publish(&world.names.tasks, name, message).await?;
        world.row_in(id, TaskState::Unroutable).await?;
    }
    let queue = world.names.service_queue(&ServiceName::new("broken")?);
    broker.refuse(Some(queue));
    world.serve("broken").await?;
    world.serve("nobody").await?;
    world.row_in("t2", TaskState::Pending).await?;
    world.row_in("t1", TaskState::Unroutable).await?;
    broker.refuse(None);
    world.row_in("t1", TaskState::Pending).await?;
    Ok(daemon.stop().await?)
}

async fn a_name_without_a_queue_is_asked_after_more_and_more_seldom_and_served_when_it_has_one(
    mut world: World,
) -> anyhow::Result<()> {
    let broker = PickyTransport::of(&mut world);
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let message = task("t1", "mistyped.task");
    world
        .publish(&world.names.tasks, "mistyped.task", message)
        .await?;
    world.row_in("t1", TaskState::Unroutable).await?;
    let before = store.resends();
    eventually("rounds without a question", SOON, async || {
        let rounds = store.resends() - before;
        Ok((rounds >= broker.times("mistyped") + 10).then_some(()))
    })
    .await?;
    world.serve("mistyped").await?;
    world.row_in("t1", TaskState::Pending).await?;
    Ok(daemon.stop().await?)
}
