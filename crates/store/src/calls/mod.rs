//! The calls that both databases answer alike, written once.

mod columns;
mod statements;

pub(crate) use statements::{row_limit, run_statements};

pub(crate) use columns::{
    DeadColumns, LostTaskColumns, OwnersColumns, ParkedColumns, StoredTaskColumns,
    UnroutableColumns,
};

/// Implements [`Store`](crate::Store).
///
/// The type has the fields `limits`, `sql` and `ids`, the methods `readers` and `writers` (pools),
/// `write`, `migrate_now`, `prepare_months_now`, `lead` and `close_all`, and the functions `time` and
/// `texts`, which turn a time and a list of texts into what the database takes as a parameter.
macro_rules! implement_store {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl Store for $store {
            fn server(&self) -> &str {
                &self.limits.server
            }

            fn public_id(&self, task_id: &TaskId) -> Result<String, StoreError> {
                let ids = required(self.ids.as_ref(), &self.limits.server)?;
                Ok(ids.public_id(task_id))
            }

            async fn migrate(&self) -> Result<usize, StoreError> {
                let missing = self.pending_migrations().await?.len();
                // Without rights to change the schema there is no need to try.
                if missing > 0 {
                    self.migrate_now().await?;
                }
                self.prepare_months_now().await?;
                Ok(missing)
            }

            async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
                const WHAT: &str = "read the applied migrations";
                let any = query_as::<_, (bool,)>(self.sql.has_migrations);
                let any = self.all(WHAT, any).await?;
                let applied = if any.first().is_some_and(|(any,)| *any) {
                    let applied = query_as::<_, (i64, Vec<u8>)>(self.sql.applied_migrations);
                    self.all(WHAT, applied).await?
                } else {
                    Vec::new()
                };
                crate::migrate::pending(&Self::migrator(), &applied, &self.limits.server)
            }

            async fn prepare_months(&self) -> Result<(), StoreError> {
                self.prepare_months_now().await
            }

            async fn apply(&self, batch: &Batch) -> Result<Applied, StoreError> {
                self.write(batch).await
            }

            async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
                self.tasks_now(filter).await
            }

            async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError> {
                let task = query_as(self.sql.task).bind(cleaned(id, INDEXED).into_owned());
                Ok(self.all("read a task", task).await?.pop())
            }

            async fn tasks_with_ids(&self, ids: &[TaskId]) -> Result<Vec<TaskRow>, StoreError> {
                let ids = Self::texts(ids.iter().map(|id| id.as_str()));
                let tasks = query_as(self.sql.tasks_with_ids).bind(ids);
                self.all("read tasks", tasks).await
            }

            async fn delete_tasks(
                &self,
                ids: &[TaskId],
                by: Option<&str>,
            ) -> Result<HashSet<TaskId>, StoreError> {
                const WHAT: &str = "delete tasks";
                let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                let why = crate::retention::Going::Deleted { by };
                let deleted = Self::delete_now(&mut held, (self.sql, self.celery.get()), ids, why);
                let deleted = self.limits.within(WHAT, deleted).await;
                held.settle(deleted)
            }

            async fn history(&self, task_id: &TaskId) -> Result<Vec<EventRow>, StoreError> {
                let lines = self.last_events(task_id, row_limit(0)).await?;
                Ok(crate::history::told(lines))
            }

            async fn log(&self, task_id: &TaskId) -> Result<Vec<LogRow>, StoreError> {
                let mut lines = self.last_lines(task_id, row_limit(0)).await?;
                lines.reverse();
                Ok(lines)
            }

            async fn result(
                &self,
                task_id: &TaskId,
                run: i32,
            ) -> Result<Option<ResultRow>, StoreError> {
                let result = query_as(self.sql.result).bind(task_id.as_str()).bind(run);
                Ok(self.all("read a result", result).await?.pop())
            }

            async fn family(&self, root_id: &TaskId) -> Result<Vec<TaskRow>, StoreError> {
                self.first_members(root_id, row_limit(0)).await
            }

            async fn counts_by_state(
                &self,
                since: Option<DateTime<Utc>>,
            ) -> Result<Vec<StateCount>, StoreError> {
                let counts = query_as(self.sql.counts_by_state).bind(since.map(Self::time));
                self.all("count tasks", counts).await
            }

            async fn counts_by_service(
                &self,
                since: Option<DateTime<Utc>>,
            ) -> Result<Vec<ServiceCount>, StoreError> {
                let counts = query_as(self.sql.counts_by_service).bind(since.map(Self::time));
                self.all("count tasks", counts).await
            }

            async fn services(&self) -> Result<Vec<String>, StoreError> {
                let services: Vec<(String,)> = self
                    .all("list services", query_as(self.sql.services))
                    .await?;
                Ok(services.into_iter().map(|(service,)| service).collect())
            }

            async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
                self.all("list workers", query_as(self.sql.workers)).await
            }

            async fn task_schema(&self, name: &str) -> Result<Option<JsonText>, StoreError> {
                let schema =
                    query_as(self.sql.task_schema).bind(cleaned(name, INDEXED).into_owned());
                let schema: Vec<(JsonText,)> =
                    self.all("read the schema of a task", schema).await?;
                Ok(schema.into_iter().next().map(|(schema,)| schema))
            }

            async fn dead(&self, filter: &DeadFilter) -> Result<Vec<DeadRow>, StoreError> {
                let after = filter.after.as_ref();
                let rows = query_as(self.sql.dead)
                    .bind(filter.service.as_deref())
                    .bind(filter.id.as_deref())
                    .bind(filter.reason.as_deref())
                    .bind(filter.name.as_deref())
                    .bind(filter.since.map(Self::time))
                    .bind(row_limit(filter.limit))
                    .bind(after.map(|after| Self::time(after.created_date)))
                    .bind(after.map(|after| after.id.as_str()));
                let rows: Vec<DeadColumns> = self.all("list dead letters", rows).await?;
                Ok(rows.into_iter().map(DeadRow::from).collect())
            }

            async fn dead_records(
                &self,
                filter: &DeadFilter,
            ) -> Result<Vec<DeadRecord>, StoreError> {
                let rows = query_as(self.sql.dead_records)
                    .bind(filter.service.as_deref())
                    .bind(filter.id.as_deref())
                    .bind(filter.reason.as_deref())
                    .bind(filter.name.as_deref())
                    .bind(filter.since.map(Self::time));
                self.all("find dead letters", rows).await
            }

            async fn dead_services(&self, ids: &[TaskId]) -> Result<Vec<String>, StoreError> {
                let ids = Self::texts(ids.iter().map(|id| id.as_str()));
                let services = query_as(self.sql.dead_services).bind(ids);
                let services: Vec<(String,)> =
                    self.all("find the dead queues of tasks", services).await?;
                Ok(services.into_iter().map(|(service,)| service).collect())
            }

            async fn stored_tasks(&self, ids: &[TaskId]) -> Result<Vec<StoredTask>, StoreError> {
                let ids = Self::texts(ids.iter().map(|id| id.as_str()));
                let rows = query_as(self.sql.stored_tasks).bind(ids);
                let rows: Vec<StoredTaskColumns> = self.all("read messages of tasks", rows).await?;
                Ok(rows.into_iter().map(StoredTask::from).collect())
            }

            async fn parked(&self, filter: &ParkedFilter) -> Result<Vec<ParkedRow>, StoreError> {
                let after = filter.after.as_ref();
                let rows = query_as(self.sql.parked)
                    .bind(filter.queue.as_deref())
                    .bind(filter.id.as_deref())
                    .bind(row_limit(filter.limit))
                    .bind(after.map(|after| Self::time(after.created_date)))
                    .bind(after.map(|after| after.id.as_str()));
                let rows: Vec<ParkedColumns> = self.all("list parked messages", rows).await?;
                Ok(rows.into_iter().map(ParkedRow::from).collect())
            }

            async fn unroutable_services(&self) -> Result<Vec<String>, StoreError> {
                let services = query_as(self.sql.unroutable_services);
                let services: Vec<(String,)> = self
                    .all("list services of unroutable tasks", services)
                    .await?;
                Ok(services.into_iter().map(|(service,)| service).collect())
            }

            async fn unroutable(
                &self,
                filter: &UnroutableFilter,
            ) -> Result<Vec<UnroutableTask>, StoreError> {
                let after = filter.after.as_ref();
                let rows = query_as(self.sql.unroutable)
                    .bind(filter.service.as_str())
                    .bind(filter.first_time_only)
                    .bind(after.map(|after| Self::time(after.created_date)))
                    .bind(after.map(|after| after.id.as_str()))
                    .bind(row_limit(filter.limit));
                let rows: Vec<UnroutableColumns> = self.all("list unroutable tasks", rows).await?;
                Ok(rows.into_iter().map(UnroutableTask::from).collect())
            }

            async fn mark_resent(&self, tasks: &[UnroutableTask]) -> Result<(), StoreError> {
                self.mark_now(tasks.iter().map(Into::into).collect()).await
            }

            async fn shortest_lease(&self) -> Result<Option<Duration>, StoreError> {
                self.shortest_lease_now().await
            }

            async fn lost_tasks(
                &self,
                after: Option<&TaskId>,
                limit: u32,
            ) -> Result<Vec<LostTask>, StoreError> {
                self.lost_tasks_now(after, limit).await
            }

            async fn mark_rescued(&self, tasks: &[LostTask]) -> Result<(), StoreError> {
                self.mark_now(tasks.iter().map(Into::into).collect()).await
            }

            async fn marker_sent(&self, id: Uuid) -> Result<(), StoreError> {
                self.marker_sent_now(id).await
            }

            async fn marker_seen(&self, id: Uuid) -> Result<bool, StoreError> {
                self.marker_seen_now(id).await
            }

            async fn owners(
                &self,
                task_ids: &[TaskId],
            ) -> Result<HashMap<TaskId, Owners>, StoreError> {
                let ids = Self::texts(task_ids.iter().map(|id| id.as_str()));
                let rows = query_as(self.sql.owners).bind(ids);
                let rows: Vec<OwnersColumns> = self.all("look who owns tasks", rows).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }

            async fn waiting(&self, limit: u32) -> Result<Vec<ParkedRow>, StoreError> {
                let rows = query_as(self.sql.waiting).bind(row_limit(limit));
                let rows: Vec<ParkedColumns> = self.all("list waiting reports", rows).await?;
                Ok(rows.into_iter().map(ParkedRow::from).collect())
            }

            async fn controls(
                &self,
                filter: &ControlFilter,
            ) -> Result<Vec<ControlRow>, StoreError> {
                let rows = query_as(self.sql.controls)
                    .bind(filter.kind.as_deref())
                    .bind(filter.subject.as_deref())
                    .bind(row_limit(filter.limit));
                self.all("list what was asked of workers", rows).await
            }

            async fn unpublished_controls(
                &self,
                limit: u32,
            ) -> Result<Vec<ControlRow>, StoreError> {
                let rows = query_as(self.sql.unpublished_controls).bind(row_limit(limit));
                self.all("list what is to be published", rows).await
            }

            async fn controls_to_renew(
                &self,
                published_before: DateTime<Utc>,
                limit: u32,
            ) -> Result<Vec<ControlRow>, StoreError> {
                let rows = query_as(self.sql.controls_to_renew)
                    .bind(Self::time(published_before))
                    .bind(row_limit(limit));
                self.all("list what is to be published again", rows).await
            }

            async fn mark_published(
                &self,
                ids: &[Uuid],
                at: DateTime<Utc>,
            ) -> Result<(), StoreError> {
                let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
                let marked = query(self.sql.mark_published)
                    .bind(Self::texts(ids.iter().map(String::as_str)))
                    .bind(Self::time(at));
                self.execute("note what was published", marked).await
            }

            async fn count_unpublished(&self, ids: &[Uuid]) -> Result<i64, StoreError> {
                let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
                let ids = Self::texts(ids.iter().map(String::as_str));
                let count = query_as(self.sql.count_unpublished).bind(ids);
                let count: Vec<(i64,)> = self.all("count what is to be published", count).await?;
                let (count,) = count.first().expect("the statement selects one row");
                Ok(*count)
            }

            async fn end_controls(
                &self,
                published_before: DateTime<Utc>,
                asked_before: DateTime<Utc>,
            ) -> Result<(), StoreError> {
                let ended = query(self.sql.end_controls)
                    .bind(Self::time(published_before))
                    .bind(Self::time(asked_before));
                self.execute("end what was asked about tasks that are over", ended)
                    .await
            }

            async fn forget_workers(&self, silence: Duration) -> Result<(), StoreError> {
                let workers = query(self.sql.delete_old_workers).bind(silence.as_secs_f64());
                self.execute("forget workers", workers).await
            }

            async fn probe(&self) -> Result<(), StoreError> {
                self.execute("write at all", query(self.sql.probe)).await
            }

            async fn canary_sent(&self, id: Uuid) -> Result<(), StoreError> {
                self.execute("forget old canaries", query(self.sql.delete_old_canaries))
                    .await?;
                let canary = query(self.sql.insert_canary).bind(id.to_string());
                self.execute("record a canary", canary).await
            }

            async fn canaries(&self, limit: u32) -> Result<Vec<CanaryRow>, StoreError> {
                let canaries = query_as(self.sql.canaries).bind(row_limit(limit));
                self.all("list canaries", canaries).await
            }

            async fn ping(&self) -> Result<(), StoreError> {
                self.clock().await.map(drop)
            }

            async fn clock(&self) -> Result<DateTime<Utc>, StoreError> {
                let now: Vec<(DateTime<Utc>,)> =
                    self.all("read the clock", query_as(self.sql.clock)).await?;
                let (now,) = now.first().expect("the statement selects one row");
                Ok(*now)
            }

            async fn version(&self) -> Result<String, StoreError> {
                let version = query_as::<_, (String,)>(self.sql.version);
                let version = self.all("read the version", version).await?;
                Ok(version.into_iter().map(|(version,)| version).collect())
            }

            async fn try_lead(&self, name: &str) -> Result<Option<LeaderGuard>, StoreError> {
                self.lead(name).await
            }

            async fn close(&self) {
                self.close_all().await;
            }
        }

        $crate::calls::run_statements!($store);
    };
}

pub(crate) use implement_store;
