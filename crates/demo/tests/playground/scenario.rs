//! The plan against what a worker really does with it.

use crate::stage::{Mirror, Stage, state};
use anyhow::{Context, Result};
use counterfoil_demo::scenario::{Planned, plan};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::producer::SendOptions;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn two_hundred_planned_tasks_end_as_the_plan_says_within_ten_seconds() -> Result<()> {
    let stage = Stage::start().await?;
    let mut mirror = Mirror::of(&stage);
    let (started, mut sent) = (Instant::now(), Vec::new());
    for planned in plan(200) {
        let options = SendOptions::new();
        let id = stage
            .producer
            .send_raw(planned.task.clone(), options)
            .await?;
        sent.push((id, planned));
    }
    let (waiting, ending): (Vec<_>, Vec<_>) = sent
        .into_iter()
        .partition(|(_, planned)| planned.expected == TaskState::Unroutable);
    let children: usize = ending.iter().map(|(_, planned)| planned.children).sum();
    mirror.read_until_ended(ending.len() + children).await?;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    for (id, planned) in ending {
        let event = mirror
            .tasks
            .remove(&id)
            .context("a task without an event")?;
        check(&planned, &event).with_context(|| format!("{planned:?}"))?;
    }
    for event in mirror.tasks.values() {
        assert_eq!(event.task.as_str(), "demo.tree");
        assert_eq!(state(event), Some(TaskState::Success));
    }
    let unroutable = stage.ready(&stage.names.unroutable_queue).await?;
    assert_eq!(usize::try_from(unroutable)?, waiting.len());
    stage.drain().await
}

fn check(planned: &Planned, event: &Event) -> Result<()> {
    anyhow::ensure!(state(event) == Some(planned.expected), "{event:?}");
    if let Some(kind) = planned.fault {
        let fault = event.error.as_ref().context("an error")?;
        anyhow::ensure!(fault.kind == kind, "{fault:?}");
    }
    if let Some(wanted) = &planned.result {
        let result = event.result.as_ref().context("a result")?;
        let result: Value = serde_json::from_str(result.get())?;
        anyhow::ensure!(result == *wanted, "{result}");
    }
    Ok(())
}
