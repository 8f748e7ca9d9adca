//! What a daemon counts, as whoever records it sees it.

use crate::support::{FaultyStore, SOON, World, batch, id, settled, task};
use chrono::{TimeDelta, Utc};
use counterfoil_store::Store;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::Content;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::Arc;

const KEY: &str = "event.demo.batch";

/// The value of one line; `line` is all of it but the value and `counterfoil_sync_`.
fn value(recorded: &PrometheusHandle, line: &str) -> Option<f64> {
    let text = recorded.render();
    let found = text.lines().find_map(|l| {
        let value = l.strip_prefix("counterfoil_sync_")?.strip_prefix(line)?;
        value.strip_prefix(' ')
    });
    found.map(|value| value.parse().expect("a number"))
}

#[tokio::test]
async fn what_is_written_and_how_far_the_database_is_behind_shows() -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::in_memory().await?;
    let daemon = world.daemon();
    daemon.ready().await?;
    let (tasks, events) = (&world.names.tasks, &world.names.events);
    world
        .publish(tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let junk = Content::json("no events");
    world.publish(events, KEY, junk).await?;
    // Until it is seen: once nothing waits, the database is not behind any more.
    let mut tries = 0;
    eventually("an event to come late", SOON, async || {
        let mut late = settled("t1", "demo.add", "5");
        late.at = Utc::now() - TimeDelta::seconds(100);
        world.publish(events, KEY, batch(&[late])).await?;
        tries += 1;
        let lag = value(&recorded, "lag_seconds");
        Ok(lag.filter(|lag| (100.0..200.0).contains(lag)))
    })
    .await?;
    let row = world.row_in("t1", TaskState::Success).await?;
    assert_eq!(row.task_id, id("t1"));
    eventually("nothing to be behind", SOON, async || {
        let told = value(&recorded, "events_total") == Some(f64::from(tries));
        let leads = value(&recorded, "leader") == Some(1.0);
        let lag = value(&recorded, "lag_seconds");
        Ok((told && leads && lag == Some(0.0)).then_some(()))
    })
    .await?;
    // And what daemons send themselves: canaries, and markers of the search for lost messages.
    for (queue, least) in [("tracking", 1.0), ("events", f64::from(tries) + 1.0)] {
        let line = format!("messages_total{{queue=\"{queue}\"}}");
        assert!(value(&recorded, &line) >= Some(least), "{line}");
    }
    for (line, count) in [
        ("messages_total{queue=\"deaths\"}", 0.0),
        ("parked_total", 1.0),
        ("backlog{queue=\"events\"}", 0.0),
        ("in_hand", 0.0),
        ("ready", 1.0),
    ] {
        let text = recorded.render();
        assert_eq!(value(&recorded, line), Some(count), "{line}: {text}");
    }
    Ok(daemon.stop().await?)
}

#[tokio::test]
async fn while_writing_fails_the_database_is_further_and_further_behind() -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::in_memory().await?;
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    daemon.ready().await?;
    store.fail_next(usize::MAX);
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let behind = async |by: f64| {
        eventually("it to be behind", SOON, async || {
            Ok(value(&recorded, "lag_seconds").filter(|lag| *lag > by))
        })
        .await
    };
    let first = behind(0.0).await?;
    behind(first).await?;
    assert_eq!(value(&recorded, "ready"), Some(0.0));
    store.fail_next(0);
    eventually("it to catch up", SOON, async || {
        let (lag, ready) = (value(&recorded, "lag_seconds"), value(&recorded, "ready"));
        Ok(((lag, ready) == (Some(0.0), Some(1.0))).then_some(()))
    })
    .await?;
    world.row_in("t1", TaskState::Pending).await?;
    Ok(daemon.stop().await?)
}
