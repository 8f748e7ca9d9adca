//! A web page's handler is moved from thread to thread while it waits.

use crate::site::{Site, demo};
use counterfoil_operations::dead::{Deal, Dealing, Fate, Which};
use counterfoil_operations::tasks::{
    Action, Cancel, CancelFamilies, Delete, Living, Pause, Rerun, Resume, act, matching,
};
use counterfoil_operations::{Doer, Mode, Told, queues, why};
use counterfoil_store::TaskFilter;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::{BrokerSettings, SyncSettings};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_awaited_by_a_task_of_its_own() -> anyhow::Result<()> {
    let site = Site::in_memory().await?;
    site.task("t1", TaskState::Pending).await?;
    tokio::spawn(everything(site)).await?
}

async fn everything(site: Site) -> anyhow::Result<()> {
    let (store, doer) = (&*site.store, Doer::default());
    one(&site, Pause::new(store, doer.clone())).await?;
    one(&site, Resume::new(store, doer.clone())).await?;
    one(&site, Cancel::new(store, doer.clone())).await?;
    let cancel = Cancel::new(store, doer.clone());
    one(&site, CancelFamilies::new(cancel)).await?;
    let rerun = Rerun::new(&site.platform, doer.clone(), Living::Refused);
    rerun.clear_dead().await?;
    one(&site, rerun).await?;
    let deal = Deal {
        fate: Fate::Redrive,
        mode: Mode::Do,
        service: demo(),
        which: Which::default(),
        limit: usize::MAX,
        doer: doer.clone(),
    };
    let mut told = Vec::new();
    let mut dealing = Dealing::begin(&site.platform, deal).await?;
    dealing.run(|one| told.push(one)).await?;
    assert!(told.is_empty(), "{told:?}");
    let asked = why::Site {
        store,
        broker: &Ok(Arc::clone(&site.transport)),
        names: &site.names,
        settings: &SyncSettings::default(),
    };
    assert!(!why::why("t1", asked).await?.is_of_nobody());
    let settings = BrokerSettings::default();
    let known = queues::known(store).await?;
    queues::look(&*site.transport, &site.names, &settings, Some(&known)).await?;
    one(&site, Cancel::new(store, doer.clone())).await?;
    one(&site, Delete::new(store, doer)).await?;
    assert!(
        store.task("t1").await?.is_none(),
        "it was cancelled, and deleted"
    );
    Ok(())
}

/// Does it to all tasks to which it can be done.
async fn one(site: &Site, mut action: impl Action) -> anyhow::Result<Vec<Told>> {
    let store = &*site.store;
    let found = matching(&action, store, TaskFilter::default(), usize::MAX).await?;
    let mut told = Vec::new();
    act(&mut action, Mode::Do, store, &found.ids, |one| {
        told.push(one);
    })
    .await?;
    Ok(told)
}
