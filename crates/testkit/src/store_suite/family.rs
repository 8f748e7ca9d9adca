//! Families of tasks.

use super::samples::{copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::ensure;
use counterfoil_store::{Batch, family_status};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;

/// Whoever else is around; the results of the runs that rows show.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_family_is_counted_by_state_and_has_the_results_that_are_its_own(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let [root, child, grandchild, stranger] = [(); 4].map(|()| TaskId::random());
    let mut batch = Batch::new();
    for (id, parent, is_result) in [
        (&root, None, false),
        (&child, Some(&root), true),
        (&grandchild, Some(&child), true),
        (&stranger, None, true),
    ] {
        let mut envelope = Envelope::new(id.clone(), TaskName::new("demo.tree")?);
        if let Some(parent) = parent {
            (envelope.root_id, envelope.parent_id) = (root.clone(), Some(parent.clone()));
        }
        envelope.is_result = is_result;
        batch.track(&copy_of(envelope));
    }
    for id in [&root, &child, &stranger] {
        let mut done = event(id, lineage(0, 0, 0), TaskState::Success);
        done.root_id = None;
        batch.event(&done);
    }
    site.store().apply(&batch).await?;
    let counts = site.store().family_counts(&root).await?;
    let counts: Vec<_> = counts.iter().map(|it| (it.state, it.tasks)).collect();
    ensure!(
        counts == [(TaskState::Pending, 1), (TaskState::Success, 2)],
        "{counts:?}"
    );
    let status = family_status(counts.iter().map(|(state, _)| *state));
    ensure!(status == Some(TaskState::Started));
    let results = site.store().family_results(&root).await?;
    ensure!(
        results.len() == 1 && results[0].task_id == child,
        "{results:?}"
    );

    let mut batch = Batch::new();
    let mut failed = event(&grandchild, lineage(0, 0, 0), TaskState::Failure);
    failed.root_id = Some(root.clone());
    batch.event(&failed);
    site.store().apply(&batch).await?;
    let counts = site.store().family_counts(&root).await?;
    let status = family_status(counts.iter().map(|it| it.state));
    ensure!(status == Some(TaskState::Failure), "{counts:?}");
    let results = site.store().family_results(&root).await?;
    let results: Vec<_> = results.iter().map(|it| (&it.task_id, it.status)).collect();
    let wanted = [
        (&child, TaskState::Success),
        (&grandchild, TaskState::Failure),
    ];
    ensure!(
        results.len() == 2 && wanted.iter().all(|it| results.contains(it)),
        "{results:?}"
    );
    ensure!(
        site.store()
            .family_counts(&TaskId::random())
            .await?
            .is_empty()
    );
    Ok(())
}
