//! Tasks that schedule tasks.

use crate::stage::{Mirror, Stage};
use anyhow::{Context, Result};
use counterfoil_demo::tasks::Tree;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::{TaskId, TaskState};
use std::collections::{BTreeSet, HashMap};

#[tokio::test(start_paused = true)]
async fn a_tree_grows_to_its_depth_and_every_child_knows_parent_and_root() -> Result<()> {
    let stage = Stage::start().await?;
    let mut mirror = Mirror::of(&stage);
    let task = Tree { width: 3, depth: 2 };
    let root = stage.producer.send(task).await?.id().clone();
    mirror.read_until_ended(13).await?;
    let mut children = HashMap::<TaskId, usize>::new();
    for (id, event) in &mirror.tasks {
        assert_eq!(event.kind.as_str(), TaskState::Success.as_str());
        if *id != root {
            assert_eq!(event.root_id.as_ref(), Some(&root));
            let parent = event.parent_id.clone().context("a parent")?;
            *children.entry(parent).or_default() += 1;
        }
    }
    assert_eq!(children.len(), 4);
    assert!(children.values().all(|count| *count == 3), "{children:?}");
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_runs_twice_sends_the_same_children_again() -> Result<()> {
    let mut families = Vec::new();
    for _ in 0..2 {
        let stage = Stage::start().await?;
        let mut mirror = Mirror::of(&stage);
        let options = SendOptions::new().id(TaskId::new("the oak")?);
        let task = Tree { width: 2, depth: 2 };
        stage.producer.send_with(task, options).await?;
        mirror.read_until_ended(7).await?;
        families.push(mirror.tasks.into_keys().collect::<BTreeSet<_>>());
        stage.drain().await?;
    }
    assert_eq!(families[0], families[1]);
    Ok(())
}
