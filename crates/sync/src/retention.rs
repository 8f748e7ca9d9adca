//! Tasks that are over go when their time is over, with all that belongs to them: page by page, with pauses,
//! so that the mirror finds the database free. Sessions go after the last of their tasks.

use crate::leader::Leading;
use chrono::{DateTime, Utc};
use counterfoil_store::{Cursor, Kept, KeptTasks, SessionFilter, SessionRow, Store, StoreError};
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
        let (mut count, mut page) = (0, SessionFilter::default());
        if !self.rules.remove_anything() {
            return Ok(count);
        }
        page.limit = AT_ONCE;
        let now = self.store.clock().await?;
        loop {
            let rows = self.paced(leading, self.store.sessions(&page)).await?;
            for ids in over(&self.rules, now, &rows) {
                let removed = self.store.remove_sessions(&ids);
                count += self.paced(leading, removed).await?;
            }
            let last = rows.last().filter(|_| rows.len() >= AT_ONCE as usize);
            let Some(last) = last else {
                return Ok(count);
            };
            page.after = Some(last.place());
        }
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

/// Those of `rows` whose time is over, in groups that go together.
fn over(rules: &RetentionRules, now: DateTime<Utc>, rows: &[SessionRow]) -> Vec<Vec<SessionId>> {
    let (mut groups, mut room): (Vec<Vec<SessionId>>, i32) = (Vec::new(), 0);
    for row in rows {
        let (Some(keep), Some(end)) = (rules.of(&row.finalizer_type), row.finished_at) else {
            continue;
        };
        if (now - end).to_std().is_ok_and(|since| since >= keep) {
            room -= row.total;
            match groups.last_mut().filter(|_| room >= 0) {
                Some(group) => group.push(row.id.clone()),
                None => {
                    groups.push(vec![row.id.clone()]);
                    room = SUBTASKS_AT_ONCE - row.total;
                }
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::session::SessionStatus;

    const DAY: Duration = Duration::from_secs(86_400);

    fn row(days: Option<i64>, total: i32, finalizer: &str) -> SessionRow {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        SessionRow {
            id: SessionId::random(),
            action: "harvest".to_owned(),
            status: SessionStatus::Success,
            policy: "complete".to_owned(),
            timed_out: false,
            aborted_by: None,
            total,
            succeeded: total,
            failed: 0,
            revoked: 0,
            skipped: 0,
            retried_counted: 0,
            retried_uncounted: 0,
            duration_ms: 0,
            estimated_ms: None,
            buffer_ms: None,
            finalizer_id: "f".to_owned(),
            finalizer_type: finalizer.to_owned(),
            creator_id: None,
            related_content_type: None,
            related_object_id: None,
            started_at: now,
            finished_at: days.map(|days| now - chrono::TimeDelta::days(days)),
            finalizer_discarded_at: None,
            finalizer_discarded_by: None,
            last_updated: now,
        }
    }

    #[test]
    fn sessions_whose_time_is_over_go_in_groups_of_so_many_subtasks() {
        let rules = RetentionRules {
            default: Some(DAY * 30),
            types: [("demo.keep".parse().expect("a pattern"), None)].into(),
        };
        let rows = [
            row(Some(31), 6000, "demo.end"),
            row(Some(29), 1, "demo.end"),
            row(None, 1, "demo.end"),
            row(Some(99), 1, "demo.keep"),
            row(Some(30), 4000, "demo.end"),
            row(Some(40), 1, "demo.end"),
            row(Some(40), 20_000, "demo.end"),
        ];
        let groups = over(&rules, DateTime::UNIX_EPOCH, &rows);
        let wanted: Vec<Vec<_>> = [vec![0_usize, 4], vec![5], vec![6]]
            .into_iter()
            .map(|group| group.into_iter().map(|n| rows[n].id.clone()).collect())
            .collect();
        assert_eq!(groups, wanted);
    }
}
