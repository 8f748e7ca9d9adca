//! Tasks that tasks schedule.

use crate::platform::{PATIENCE, Platform, all_rows, wait_for_count};
use counterfoil_testkit::{Broker, Database};
use counterfoil_toolbox::TaskState;
use std::collections::BTreeSet;

#[tokio::test]
async fn children_are_mirrored_with_parent_and_root_and_drawn_as_a_family() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let (_daemon, _worker) = (platform.daemon()?, platform.worker()?);
    let store = platform.store().await?;

    let sent = platform.cli(&["send", "demo.tree", r#"{"width": 2, "depth": 2}"#])?;
    anyhow::ensure!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let root = String::from_utf8(sent.stdout)?.trim().to_owned();
    // One root, two children, four grandchildren.
    wait_for_count(&*store, TaskState::Success, 7, PATIENCE).await?;

    let rows = all_rows(&*store).await?;
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.task_id.as_str()).collect();
    for row in &rows {
        assert_eq!(row.root_id.as_deref(), Some(root.as_str()));
        match row.parent_id.as_deref() {
            None => assert_eq!(row.task_id, root.as_str()),
            Some(parent) => assert!(ids.contains(parent)),
        }
    }
    let drawn = String::from_utf8(platform.cli(&["task", "tree", &root])?.stdout)?;
    assert_eq!(
        drawn
            .lines()
            .filter(|line| line.contains("demo.tree"))
            .count(),
        7,
        "{drawn}"
    );
    // By characters, not bytes: the branches are drawn with box characters.
    let column = |line: &str| {
        line.split_once("demo.tree")
            .map(|(before, _)| before.chars().count())
    };
    let indents: BTreeSet<usize> = drawn.lines().filter_map(column).collect();
    assert_eq!(indents.len(), 3, "three generations:\n{drawn}");
    Ok(())
}
