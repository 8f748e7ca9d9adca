//! What really ran, as the ledger tells it.

use crate::stage::Stage;
use anyhow::Result;
use counterfoil_demo::tasks::{Add, Block, Flaky};

#[tokio::test(start_paused = true)]
async fn every_execution_of_async_and_blocking_handlers_has_two_lines_with_its_attempt()
-> Result<()> {
    let stage = Stage::start().await?;
    let path = stage.ledger();
    let key = "k".to_owned();
    stage.run(Add { x: 1, y: 2 }).await?;
    stage.run(Block { seconds: 0.0 }).await?;
    stage.run(Flaky { key, failures: 1 }).await?;
    let text = std::fs::read_to_string(&path)?;
    let steps: Vec<_> = text
        .lines()
        .map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            assert_eq!(fields.len(), 5, "{line}");
            assert_eq!(fields[4], std::process::id().to_string());
            format!("{} {}", fields[1], fields[3])
        })
        .collect();
    let wanted = [
        "start 0.0.0",
        "end 0.0.0",
        "start 0.0.0",
        "end 0.0.0",
        "start 0.0.0",
        "end 0.0.0",
        "start 0.1.0",
        "end 0.1.0",
    ];
    assert_eq!(steps, wanted);
    stage.drain().await
}
