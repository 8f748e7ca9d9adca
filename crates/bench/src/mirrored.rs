//! Watching rows appear.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use counterfoil_store::{Store, StoreOptions};
use counterfoil_sync::Daemon;
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::{TaskId, TaskState};
use std::sync::Arc;
use std::time::Duration;

use crate::setting::Setting;

/// How often rows are counted; counting takes a few milliseconds of the database's time.
const POLL: Duration = Duration::from_millis(50);

/// How long the count may stand still before the scenario gives up.
const STUCK: Duration = Duration::from_secs(30);

/// A database, and the rows of the tasks that are sent from now on: what is there already makes no difference.
pub(crate) struct Rows {
    pub(crate) store: Arc<dyn Store>,
    since: DateTime<Utc>,
}

impl Rows {
    /// Opens the database and brings its schema up to date.
    pub(crate) async fn open(database_url: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !database_url.is_empty(),
            "this scenario writes rows: give it --database-url"
        );
        let store = counterfoil_store::connect(
            &StoreOptions::new(database_url.to_owned()).id_secret("bench".to_owned()),
        )
        .await?;
        store.migrate().await?;
        store.prepare_months().await?;
        Ok(Self {
            store,
            since: now(),
        })
    }

    /// From now on only later tasks count.
    pub(crate) fn forget(&mut self) {
        self.since = now();
    }

    /// How many there are in `state`, or in any.
    pub(crate) async fn count(&self, state: Option<TaskState>) -> anyhow::Result<usize> {
        let counts = self.store.counts_by_state(Some(self.since)).await?;
        let wanted = counts
            .iter()
            .filter(|count| state.is_none_or(|state| count.state == state));
        Ok(usize::try_from(
            wanted.map(|count| count.tasks).sum::<i64>(),
        )?)
    }

    /// Waits until there are `wanted`, calling `seen` with each count on the way.
    pub(crate) async fn wait_for(
        &self,
        state: Option<TaskState>,
        wanted: usize,
        seen: impl FnMut(usize),
    ) -> anyhow::Result<()> {
        wait_until(wanted, async || self.count(state).await, seen).await
    }

    /// Waits until the copy of each of these tasks has been written.
    pub(crate) async fn wait_for_copies(&self, ids: &[TaskId]) -> anyhow::Result<()> {
        let copies = async || Ok(self.store.owners(ids).await?.len());
        wait_until(ids.len(), copies, |_| {}).await
    }
}

/// Waits until `count` says `wanted`, calling `seen` with all that it says on the way.
pub(crate) async fn wait_until(
    wanted: usize,
    count: impl AsyncFn() -> anyhow::Result<usize>,
    mut seen: impl FnMut(usize),
) -> anyhow::Result<()> {
    let (mut last, mut since) = (0, tokio::time::Instant::now());
    loop {
        let there = count().await?;
        seen(there);
        if there >= wanted {
            return Ok(());
        }
        if there != last {
            (last, since) = (there, tokio::time::Instant::now());
        }
        anyhow::ensure!(since.elapsed() < STUCK, "stuck at {there} of {wanted}");
        tokio::time::sleep(POLL).await;
    }
}

/// As ids tell it, which tell whole milliseconds.
fn now() -> DateTime<Utc> {
    Utc::now() - Duration::from_millis(1)
}

/// Runs the daemon in the background until the sender is dropped.
pub(crate) fn daemon(setting: &Setting, store: Arc<dyn Store>) -> Running {
    let daemon = Daemon::new(
        setting.transport.clone(),
        setting.names.clone(),
        store,
        SyncSettings::default(),
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    Running {
        stop,
        ended: tokio::spawn(daemon.run_until(async { drop(stopped.await) })),
    }
}

/// A daemon at work.
pub(crate) struct Running {
    stop: tokio::sync::oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), counterfoil_sync::SyncError>>,
}

impl Running {
    /// Lets it write what it holds, and waits for its end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        self.ended.await?.context("the daemon failed")
    }
}
