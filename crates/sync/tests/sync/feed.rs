//! What a dashboard reads beside rows.

use crate::support::{SOON, World, id, on_both_pairs, task};
use anyhow::Context as _;
use counterfoil_store::Changes;
use counterfoil_testkit::eventually;
use counterfoil_testkit::store_suite::select_text;

on_both_pairs!(whoever_follows_is_told_of_a_task_that_is_mirrored);

async fn whoever_follows_is_told_of_a_task_that_is_mirrored(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let position = eventually("the leader to mark the feed", SOON, async || {
        let position = world.store.feed_position().await?;
        let is_marked = !position.to_string().starts_with('.');
        Ok(is_marked.then_some(position))
    })
    .await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let public_id = world.store.public_id(&id("t1"))?;
    eventually("the task to be told", SOON, async || {
        match world.store.changes_since(&position).await? {
            Changes::Since(changed) => Ok(changed.tasks.contains(&public_id).then_some(())),
            Changes::TooOld(_) => anyhow::bail!("it is too old"),
        }
    })
    .await?;
    Ok(daemon.stop().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_adds_up_what_was_counted() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let environment = world.environment();
    let url = environment
        .iter()
        .find(|(name, _)| *name == "COUNTERFOIL_DATABASE__URL");
    let (_, url) = url.context("the database's URL")?;
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let sum = "SELECT CAST(sum(tasks) AS text) FROM task_rollup WHERE what = 'sent' AND span = 60";
    eventually("it to be added up", SOON, async || {
        Ok(select_text(url, sum).await?.filter(|sum| sum == "1"))
    })
    .await?;
    Ok(daemon.stop().await?)
}
