//! Several daemons at once, and messages in any order.

use crate::support::{SOON, World, batch, event, on_both_pairs, settled, task};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::message::Content;

on_both_pairs!(two_daemons_over_shuffled_and_repeated_messages_equal_one);

const TASKS: usize = 400;

/// A history of five steps for each task.
fn history() -> (Vec<Content>, Vec<Event>) {
    let mut copies = Vec::new();
    let mut events = Vec::new();
    for n in 0..TASKS {
        let id = format!("t{n}");
        copies.push(task(&id, "demo.flaky"));
        for state in [TaskState::Received, TaskState::Started, TaskState::Retry] {
            events.push(event(&id, "demo.flaky", state));
        }
        let mut started = event(&id, "demo.flaky", TaskState::Started);
        started.lineage.executions = 1;
        events.push(started);
        let mut end = if n % 3 == 0 {
            event(&id, "demo.flaky", TaskState::Failure)
        } else {
            settled(&id, "demo.flaky", &n.to_string())
        };
        end.lineage.executions = 1;
        events.push(end);
    }
    (copies, events)
}

/// The same in an order of its own, every fifth twice. `step` shares no divisor with the length.
fn shuffled<T: Clone>(items: &[T], step: usize) -> Vec<T> {
    let order = (0..items.len()).map(|n| n * step % items.len());
    order
        .flat_map(|n| std::iter::repeat_n(items[n].clone(), 1 + usize::from(n % 5 == 0)))
        .collect()
}

async fn two_daemons_over_shuffled_and_repeated_messages_equal_one(
    world: World,
) -> anyhow::Result<()> {
    let (copies, events) = history();
    assert_eq!(events.len(), 2000);

    // In order, by one daemon, into a database of its own.
    let alone = World::in_memory().await?;
    let daemon = alone.daemon();
    publish(&alone, copies.clone(), &events, 200).await?;
    all_ended(&alone).await?;
    daemon.stop().await?;

    let (one, other) = (world.daemon(), world.daemon());
    publish(&world, shuffled(&copies, 7), &shuffled(&events, 733), 9).await?;
    all_ended(&world).await?;
    one.stop().await?;
    other.stop().await?;
    for queue in [&world.names.tracking_queue, &world.names.events_queue] {
        world.emptied(queue).await?;
    }
    let (expected, found) = (alone.rows().await?, world.rows().await?);
    assert_eq!(found.len(), TASKS);
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found);
    }
    let lines = world.store.history(&crate::support::id("t7")).await?;
    assert_eq!(lines.len(), 6, "each step once: {lines:#?}");
    Ok(())
}

async fn publish(
    world: &World,
    copies: Vec<Content>,
    events: &[Event],
    per_batch: usize,
) -> anyhow::Result<()> {
    let batches = events.chunks(per_batch).map(batch);
    world
        .publish_all(&world.names.events, "event.demo.batch", batches)
        .await?;
    world
        .publish_all(&world.names.tasks, "demo.flaky", copies)
        .await
}

async fn all_ended(world: &World) -> anyhow::Result<()> {
    eventually("all tasks to end", SOON, async || {
        let counts = world.store.counts_by_state(None).await?;
        let ended = counts.iter().filter(|count| count.state.is_terminal());
        let ended: i64 = ended.map(|count| count.tasks).sum();
        let open = counts.iter().any(|count| !count.state.is_terminal());
        Ok((!open && usize::try_from(ended)? == TASKS).then_some(()))
    })
    .await?;
    // Ended is not complete: the copies may be on their way still.
    eventually("all copies to be read", SOON, async || {
        let filter = counterfoil_store::TaskFilter {
            limit: 1000,
            ..Default::default()
        };
        let rows = world.store.tasks(&filter).await?;
        Ok(rows.iter().all(|row| row.input.is_some()).then_some(()))
    })
    .await
}
