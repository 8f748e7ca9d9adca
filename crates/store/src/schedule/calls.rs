//! The calls, which both databases answer alike.

/// Implements [`Schedules`](super::Schedules). Beside what `implement_store!` asks for, the type has the
/// functions `begin` and `put_in`.
macro_rules! implement_schedules {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::schedule::Schedules for $store {
            async fn schedules(
                &self,
                name: Option<&str>,
            ) -> Result<Vec<crate::schedule::ScheduleRow>, StoreError> {
                let rows = query_as(self.sql.schedules).bind(name);
                self.all("list schedules", rows).await
            }

            async fn add_schedule(
                &self,
                schedule: &crate::schedule::ScheduleRow,
            ) -> Result<bool, StoreError> {
                let added = query(self.sql.insert_schedule)
                    .bind(&schedule.name)
                    .bind(&schedule.cron)
                    .bind(&schedule.time_zone)
                    .bind(&schedule.task)
                    .bind(&schedule.args)
                    .bind(&schedule.kwargs)
                    .bind(&schedule.priority)
                    .bind(schedule.creator_id.as_deref())
                    .bind(schedule.expires_ms)
                    .bind(schedule.jitter_ms)
                    .bind(schedule.catch_up.as_str())
                    .bind(schedule.enabled)
                    .bind(schedule.next_at.map(Self::time));
                self.changes("add a schedule", added).await
            }

            async fn remove_schedule(&self, name: &str) -> Result<bool, StoreError> {
                let removed = query(self.sql.delete_schedule).bind(name);
                self.changes("remove a schedule", removed).await
            }

            async fn enable_schedule(
                &self,
                name: &str,
                enabled: bool,
                next_at: Option<DateTime<Utc>>,
            ) -> Result<bool, StoreError> {
                let enabled = query(self.sql.enable_schedule)
                    .bind(name)
                    .bind(enabled)
                    .bind(next_at.map(Self::time));
                self.changes("pause or resume a schedule", enabled).await
            }

            async fn due_schedules(
                &self,
                except: &[String],
                limit: u32,
            ) -> Result<Vec<crate::schedule::ScheduleRow>, StoreError> {
                let rows = query_as(self.sql.due_schedules)
                    .bind(Self::texts(except.iter().map(String::as_str)))
                    .bind(row_limit(limit));
                self.all("look which schedules are due", rows).await
            }

            async fn fire(&self, firing: &crate::schedule::Firing) -> Result<bool, StoreError> {
                const WHAT: &str = "fire a schedule";
                let ids = required(self.ids.as_ref(), &self.limits.server)?;
                let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                let fired = async {
                    let mut tx = Self::begin(&mut held).await?;
                    let moved = query(self.sql.move_schedule)
                        .bind(&firing.name)
                        .bind(Self::time(firing.was))
                        .bind(firing.next.map(Self::time))
                        .bind(firing.last.map(Self::time));
                    // First, as it keeps others from firing at the same time.
                    if moved.execute(&mut *tx).await?.rows_affected() == 0 {
                        tx.rollback().await?;
                        return Ok(false);
                    }
                    for (key, draft) in &firing.tasks {
                        self.put_in(&mut tx, ids, key, draft).await?;
                    }
                    tx.commit().await?;
                    Ok(true)
                };
                let fired = self.limits.within(WHAT, fired).await;
                held.settle(fired)
            }

            async fn put(
                &self,
                draft: &counterfoil_toolbox::producer::Draft,
            ) -> Result<(), StoreError> {
                const WHAT: &str = "put a task into the outbox";
                let ids = required(self.ids.as_ref(), &self.limits.server)?;
                let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                let put = async {
                    let mut tx = Self::begin(&mut held).await?;
                    let key = crate::outbox::key_of(&draft.id);
                    self.put_in(&mut tx, ids, &key, draft).await?;
                    tx.commit().await
                };
                let put = self.limits.within(WHAT, put).await;
                held.settle(put)
            }
        }
    };
}

pub(crate) use implement_schedules;
