//! Lists show what was asked for, newest first, and page by page.

use super::samples::{copy, copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::TimeDelta;
use counterfoil_store::{Batch, Cursor, Store, TaskFilter};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use std::collections::HashSet;
use uuid::{NoContext, Timestamp, Uuid};

/// An id that was made so many seconds after the start of 2026.
fn id_at(seconds: u64) -> TaskId {
    let at = Timestamp::from_unix(NoContext, 1_767_225_600 + seconds, 0);
    TaskId::from(Uuid::new_v7(at))
}

fn named(id: &TaskId, name: &str) -> Envelope {
    Envelope::new(id.clone(), TaskName::new(name).expect("a task name"))
}

async fn found(store: &dyn Store, filter: TaskFilter) -> anyhow::Result<Vec<TaskId>> {
    Ok(store
        .tasks(&filter)
        .await?
        .into_iter()
        .map(|row| row.task_id)
        .collect())
}

/// Each filter alone, two together, and one that nothing matches.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn every_filter_finds_its_tasks_and_no_others(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..6).map(id_at).collect();
    let mut batch = Batch::new();
    for (id, name) in ids.iter().zip([
        "demo.add",
        "demo.echo",
        "demo",
        "export.project",
        "demo-x.add",
        "export.project",
    ]) {
        let mut envelope = named(id, name);
        if id == &ids[1] {
            envelope.creator_id = Some("7".into());
            envelope.identifier = Some("nightly".into());
            envelope.related = Some("projects.project:42".into());
        }
        if id == &ids[3] || id == &ids[5] {
            envelope.root_id = ids[1].clone();
        }
        batch.track(&copy_of(envelope));
    }
    batch.event(&event(&ids[0], lineage(0, 0, 0), TaskState::Success));
    batch.event(&event(&ids[1], lineage(0, 0, 0), TaskState::Failure));
    site.store().apply(&batch).await?;
    let all = TaskFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let since = site
        .store()
        .task(ids[4].as_str())
        .await?
        .context("a row")?
        .created_date;
    let cases = [
        (all(), vec![5, 4, 3, 2, 1, 0]),
        (
            TaskFilter {
                identifier: text("nightly"),
                name: text("demo.echo"),
                ..all()
            },
            vec![1],
        ),
        (
            TaskFilter {
                identifier: text("night"),
                ..all()
            },
            vec![],
        ),
        (
            TaskFilter {
                state: Some(TaskState::Success),
                ..all()
            },
            vec![0],
        ),
        (
            TaskFilter {
                state: Some(TaskState::Failure),
                ..all()
            },
            vec![1],
        ),
        (
            TaskFilter {
                state: Some(TaskState::Pending),
                ..all()
            },
            vec![5, 4, 3, 2],
        ),
        (
            TaskFilter {
                name: text("export.project"),
                ..all()
            },
            vec![5, 3],
        ),
        (
            TaskFilter {
                service: text("demo"),
                ..all()
            },
            vec![2, 1, 0],
        ),
        (
            TaskFilter {
                creator: text("7"),
                ..all()
            },
            vec![1],
        ),
        (
            TaskFilter {
                related: Some(("projects.project".into(), "42".into())),
                ..all()
            },
            vec![1],
        ),
        (
            TaskFilter {
                related: Some(("projects.project".into(), "43".into())),
                ..all()
            },
            vec![],
        ),
        (
            TaskFilter {
                root: text(ids[1].as_str()),
                ..all()
            },
            vec![5, 3, 1],
        ),
        (
            TaskFilter {
                since: Some(since),
                ..all()
            },
            vec![5, 4],
        ),
        (
            TaskFilter {
                service: text("export"),
                limit: 1,
                ..all()
            },
            vec![5],
        ),
        (
            TaskFilter {
                service: text("demo"),
                name: text("export.project"),
                ..all()
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        let expected: Vec<TaskId> = expected
            .into_iter()
            .map(|n: usize| ids[n].clone())
            .collect();
        ensure!(
            found(site.store(), filter.clone()).await? == expected,
            "{filter:?}"
        );
    }
    ensure!(site.store().task("'; --\0").await?.is_none());
    let row = site.store().task(&site.store().public_id(&ids[2])?).await?;
    ensure!(row.context("found by its public id")?.task_id == ids[2]);
    Ok(())
}

/// Even when many were sent at the same instant, and new ones arrive between two pages.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn pages_show_every_task_once(site: &StoreSite) -> anyhow::Result<()> {
    let ids: HashSet<TaskId> = (0..25).map(|n| id_at(n / 10)).collect();
    let mut batch = Batch::new();
    ids.iter().for_each(|id| batch.track(&copy(id)));
    site.store().apply(&batch).await?;
    let mut seen = HashSet::new();
    let mut after = None;
    loop {
        let filter = TaskFilter {
            limit: 4,
            after,
            ..TaskFilter::default()
        };
        let page = site.store().tasks(&filter).await?;
        let Some(last) = page.last() else { break };
        // Through its text, as it travels in a URL.
        after = Some(Cursor::after(last).to_string().parse()?);
        for row in page {
            ensure!(
                seen.insert(row.task_id.clone()),
                "{} came twice",
                row.task_id
            );
        }
        let mut batch = Batch::new();
        batch.track(&copy(&id_at(100)));
        site.store().apply(&batch).await?;
    }
    ensure!(
        ids.is_subset(&seen),
        "{} of {} were shown",
        seen.len(),
        ids.len()
    );
    Ok(())
}

/// Children may be there before their root.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_family_is_found_by_its_root(site: &StoreSite) -> anyhow::Result<()> {
    let [root, child, grandchild, stranger] = [0, 1, 2, 3].map(id_at);
    let mut batch = Batch::new();
    for (id, parent) in [(&child, &root), (&grandchild, &child)] {
        let mut envelope = named(id, "demo.tree");
        envelope.root_id = root.clone();
        envelope.parent_id = Some(parent.clone());
        batch.track(&copy_of(envelope));
    }
    batch.track(&copy(&stranger));
    site.store().apply(&batch).await?;
    let family = async || -> anyhow::Result<Vec<TaskId>> {
        let rows = site.store().family(&root).await?;
        Ok(rows.into_iter().map(|row| row.task_id).collect())
    };
    ensure!(family().await? == [child.clone(), grandchild.clone()]);
    let mut batch = Batch::new();
    batch.track(&copy(&root));
    site.store().apply(&batch).await?;
    ensure!(family().await? == [root.clone(), child, grandchild]);
    let row = site.store().task(root.as_str()).await?.context("a row")?;
    ensure!(row.root_id.as_deref() == Some(root.as_str()) && row.parent_id.is_none());
    Ok(())
}

/// All of them, and those since a time.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn tasks_are_counted_by_state_and_service(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..4).map(id_at).collect();
    let mut batch = Batch::new();
    for (id, name) in ids
        .iter()
        .zip(["demo.add", "demo.add", "export.project", "export.project"])
    {
        batch.track(&copy_of(named(id, name)));
    }
    batch.event(&event(&ids[0], lineage(0, 0, 0), TaskState::Success));
    site.store().apply(&batch).await?;
    let by_state = site.store().counts_by_state(None).await?;
    let by_state: Vec<_> = by_state
        .iter()
        .map(|count| (count.state, count.tasks))
        .collect();
    ensure!(
        by_state == [(TaskState::Pending, 3), (TaskState::Success, 1)],
        "{by_state:?}"
    );
    ensure!(site.store().services().await? == ["demo", "export"]);
    let second = site.store().task(ids[1].as_str()).await?.context("a row")?;
    let since = second.created_date - TimeDelta::milliseconds(1);
    let by_service = site.store().counts_by_service(Some(since)).await?;
    let by_service: Vec<_> = by_service
        .iter()
        .map(|c| (&*c.service, c.state, c.tasks))
        .collect();
    let pending = TaskState::Pending;
    ensure!(
        by_service == [("demo", pending, 1), ("export", pending, 2)],
        "{by_service:?}"
    );
    Ok(())
}
