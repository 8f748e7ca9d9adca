//! Tasks that are over go when their time is over, with all that belongs to them: page by page, with pauses,
//! so that the mirror finds the database free. Sessions go after the last of their tasks.

use crate::leader::Leading;
use counterfoil_store::{Cursor, Kept, KeptSessions, KeptTasks, OldSession, Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::retention::RetentionRules;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Tasks that are looked at together: on PostgreSQL some 50 ms when all of them go.
const AT_ONCE: u32 = 1000;

/// Subtasks of sessions that go together.
const SUBTASKS_AT_ONCE: i32 = 10_000;

/// Least pause between two pages. A page that took longer is followed by a pause as long as it took, so that
/// half of the time nothing is removed.
const PAUSE: Duration = Duration::from_millis(50);

/// How often what belongs to no task is looked for, and what was asked of workers is forgotten.
const SWEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What was asked of workers is forgotten when it has not held for so long.
const CONTROLS: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Removes old tasks. Only the leader does it; what two do is as right, and no faster.
#[derive(Debug)]
pub(crate) struct Remover {
    store: Arc<dyn Store>,
    rules: RetentionRules,
    interval: Duration,
}

/// Why a round ended early.
enum Ended {
    /// Somebody else leads.
    Deposed,
    Failed(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Remover {
    pub(crate) fn new(store: Arc<dyn Store>, rules: RetentionRules, interval: Duration) -> Self {
        Self {
            store,
            rules,
            interval,
        }
    }

    /// Removes until the leadership is lost.
    ///
    /// # Cancel safety
    /// Each page is one transaction; the next leader does the rest.
    pub(crate) async fn run(&self, leading: &Leading) {
        let mut ticks = tokio::time::interval(self.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep_at = Instant::now();
        loop {
            ticks.tick().await;
            let sweeps = sweep_at <= Instant::now();
            match self.round(leading, sweeps).await {
                Ok(()) if sweeps => sweep_at = Instant::now() + SWEEP,
                Ok(()) => {}
                Err(Ended::Deposed) => return,
                Err(Ended::Failed(error)) => {
                    let error = ErrorChain(&error);
                    tracing::warn!(%error, "old tasks are not removed; the next round goes on");
                }
            }
        }
    }

    async fn round(&self, leading: &Leading, sweeps: bool) -> Result<(), Ended> {
        let began = Instant::now();
        let mut count = 0;
        for kept in self.all_kept().await? {
            count += self.remove(&kept, leading).await?;
        }
        let sessions = self.remove_sessions(leading).await?;
        if sweeps {
            self.sweep(leading).await?;
        }
        if sessions > 0 {
            tracing::info!(
                count = sessions,
                "sessions were removed whose time was over"
            );
        }
        if count > 0 {
            let elapsed_ms = began.elapsed().as_millis();
            tracing::info!(count, elapsed_ms, "tasks were removed whose time was over");
        }
        let months = self.store.drop_empty_months().await?;
        if months > 0 {
            tracing::info!(
                count = months,
                "months of history were dropped that were empty"
            );
        }
        Ok(())
    }

    /// All tasks that are not kept for ever, by how long they are.
    async fn all_kept(&self) -> Result<Vec<KeptTasks>, StoreError> {
        let said = self.store.retentions().await?.into_iter();
        let mut all: Vec<_> = said
            .map(|keep| KeptTasks {
                which: Kept::BySaying,
                keep,
            })
            .collect();
        if self.rules.remove_anything() {
            let types = self.store.task_types().await?.into_iter();
            all.extend(types.filter_map(|name| {
                let keep = self.rules.of(&name)?;
                let which = Kept::OfType(name);
                Some(KeptTasks { which, keep })
            }));
        }
        Ok(all)
    }

    async fn remove(&self, kept: &KeptTasks, leading: &Leading) -> Result<usize, Ended> {
        let (mut count, mut after): (usize, Option<Cursor>) = (0, None);
        loop {
            let page = self.paced(
                leading,
                self.store.remove_old(kept, after.as_ref(), AT_ONCE),
            );
            let page = page.await?;
            count += page.tasks;
            if page.next.is_none() {
                return Ok(count);
            }
            after = page.next;
        }
    }

    /// Sessions are kept as long as their finalizers' type, and as long as a row of any of their tasks is there.
    async fn remove_sessions(&self, leading: &Leading) -> Result<usize, Ended> {
        let mut count = 0;
        let kept = match self.rules.remove_anything() {
            true => self.kept_sessions(leading).await?,
            false => Vec::new(),
        };
        if kept.is_empty() {
            return Ok(count);
        }
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.old_sessions(&kept, after.as_ref(), AT_ONCE);
            let page = self.paced(leading, page).await?;
            for ids in groups(&page) {
                let removed = self.store.remove_sessions(&ids);
                count += self.paced(leading, removed).await?;
            }
            let last = page.last().filter(|_| page.len() >= AT_ONCE as usize);
            let Some(last) = last else {
                return Ok(count);
            };
            after = Some(last.place());
        }
    }

    /// How long sessions are kept that are not for ever.
    async fn kept_sessions(&self, leading: &Leading) -> Result<Vec<KeptSessions>, Ended> {
        let types = self.paced(leading, self.store.finalizer_types()).await?;
        let kept = types.into_iter().filter_map(|finalizer_type| {
            let keep = self.rules.of(&finalizer_type)?;
            Some(KeptSessions {
                finalizer_type,
                keep,
            })
        });
        Ok(kept.collect())
    }

    /// Forgets what nobody asks for any more. What goes wrong with one kind is no matter of the others: all are
    /// tried, and the next round tries them again.
    async fn sweep(&self, leading: &Leading) -> Result<(), Ended> {
        let controls = || self.store.forget_controls(CONTROLS, AT_ONCE);
        let controls = self.forget(leading, controls).await;
        let deleted = || self.store.forget_deleted(CONTROLS, AT_ONCE);
        let deleted = self.forget(leading, deleted).await;
        // Whoever leads no more does nothing in any of them.
        let strays = self.remove_strays(leading).await;
        first_failure(first_failure(controls, deleted), strays)
    }

    /// Page by page, until one is not full.
    async fn forget<F>(&self, leading: &Leading, page: impl Fn() -> F) -> Result<(), Ended>
    where
        F: Future<Output = Result<usize, StoreError>>,
    {
        while self.paced(leading, page()).await? >= AT_ONCE as usize {}
        Ok(())
    }

    /// Histories, results and logs of tasks without a row, whose types nobody knows, go when tasks without a rule
    /// would; where those are kept for ever, so are these.
    async fn remove_strays(&self, leading: &Leading) -> Result<(), Ended> {
        let Some(keep) = self.rules.default else {
            return Ok(());
        };
        let mut after: Option<String> = None;
        loop {
            let ids = self.store.ids_without_row(after.as_deref(), AT_ONCE);
            let ids = self.paced(leading, ids).await?;
            if !ids.without_row.is_empty() {
                self.store.remove_strays(&ids.without_row, keep).await?;
            }
            if ids.next.is_none() {
                return Ok(());
            }
            after = ids.next;
        }
    }

    /// One page, while this daemon leads, and the pause after it.
    async fn paced<T>(
        &self,
        leading: &Leading,
        page: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Ended> {
        if !leading.still().await {
            return Err(Ended::Deposed);
        }
        let began = Instant::now();
        let page = page.await?;
        tokio::time::sleep(began.elapsed().max(PAUSE)).await;
        Ok(page)
    }
}

/// The end of the leadership, whenever it came; else what failed first.
fn first_failure(before: Result<(), Ended>, done: Result<(), Ended>) -> Result<(), Ended> {
    match (before, done) {
        (_, Err(Ended::Deposed)) => Err(Ended::Deposed),
        (before @ Err(_), _) => before,
        (Ok(()), done) => done,
    }
}

/// These sessions in groups that go together.
fn groups(sessions: &[OldSession]) -> Vec<Vec<SessionId>> {
    let (mut groups, mut room): (Vec<Vec<SessionId>>, i32) = (Vec::new(), 0);
    for session in sessions {
        room = room.saturating_sub(session.total);
        match groups.last_mut().filter(|_| room >= 0) {
            Some(group) => group.push(session.id.clone()),
            None => {
                groups.push(vec![session.id.clone()]);
                room = SUBTASKS_AT_ONCE.saturating_sub(session.total);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    #[test]
    fn old_sessions_go_in_groups_of_so_many_subtasks() {
        let sessions = [6000, 4000, 1, 20_000].map(|total| OldSession {
            id: SessionId::random(),
            started_at: DateTime::<Utc>::UNIX_EPOCH,
            total,
        });
        let wanted: Vec<Vec<_>> = [vec![0_usize, 1], vec![2], vec![3]]
            .into_iter()
            .map(|group| group.into_iter().map(|n| sessions[n].id.clone()).collect())
            .collect();
        assert_eq!(groups(&sessions), wanted);
        assert!(groups(&[]).is_empty());
    }
}
