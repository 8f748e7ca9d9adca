//! `task tree`, for families that are larger than a screen.

use crate::program::Program;
use chrono::{DateTime, Utc};
use counterfoil_store::{Batch, StoreOptions, connect};
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::state::{Lineage, TaskState};

const GENERATIONS: usize = 10_000;

/// A chain of tasks in which each scheduled the next.
async fn chain(program: &Program) -> anyhow::Result<()> {
    let file = program.folder().join("counterfoil.db");
    let options = StoreOptions::new(format!("sqlite://{}", file.display()));
    let store = connect(&options.id_secret("secret")).await?;
    store.migrate().await?;
    let id = |n: usize| TaskId::new(&format!("task-{n}"));
    let now: DateTime<Utc> = Utc::now();
    let mut batch = Batch::new();
    for n in 0..GENERATIONS {
        let mut event = Event::new(
            id(n)?,
            TaskName::new("demo.tree")?,
            Lineage::default(),
            EventKind::State(TaskState::Success),
            now,
        );
        event.root_id = Some(id(0)?);
        event.parent_id = n.checked_sub(1).map(id).transpose()?;
        batch.event(&event);
    }
    store.apply(&batch).await?;
    store.close().await;
    Ok(())
}

#[tokio::test]
async fn a_family_of_ten_thousand_generations_is_shown_as_far_as_asked() -> anyhow::Result<()> {
    let program = Program::new();
    chain(&program).await?;
    let ran = program.run(&["task", "tree", "task-77"]).await.ends_with(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 1002);
    assert!(
        lines[1].starts_with("└─ demo.tree  SUCCESS"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[1000], "… 9000 more are not shown: see --limit");
    assert_eq!(lines[1001], "family: SUCCESS (10000 SUCCESS)");

    let root = [
        "task", "list", "--root", "task-77", "--limit", "5", "--json",
    ];
    let ran = program.run(&root).await.ends_with(0);
    assert_eq!(ran.documents().len(), 5, "the family of any member");

    let limit = ["task", "tree", "task-77", "--limit", "20000"];
    let ran = program.run(&limit).await.ends_with(0);
    assert_eq!(ran.stdout.lines().count(), GENERATIONS + 1);
    assert!(ran.stdout.len() < 2_000_000, "{}", ran.stdout.len());

    let ran = program
        .run(&["task", "tree", "task-77", "--json", "--limit", "300"])
        .await
        .ends_with(0);
    let documents = ran.documents();
    assert_eq!(documents[299]["generation"], 299);
    assert_eq!(documents[299]["task_id"], "task-299");
    assert_eq!(documents[299]["parent_id"], "task-298");
    assert_eq!(documents[300]["not_shown"], 9_700);
    let family = &documents[301]["family"];
    assert_eq!(family["status"], "SUCCESS");
    assert_eq!(family["states"]["SUCCESS"], 10_000);
    Ok(())
}
