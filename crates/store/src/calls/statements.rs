//! How the calls run their statements, written once for both databases.

/// How many rows a list may have: what was asked for, within reason. Whoever asks for one more learns whether there
/// are more than can be shown.
pub(crate) fn row_limit(limit: u32) -> i64 {
    const MOST: u32 = 10_000;
    i64::from(if limit == 0 {
        MOST
    } else {
        limit.min(MOST + 1)
    })
}

/// Gives a store what [`implement_store!`](super::implement_store) runs its statements with.
macro_rules! run_statements {
    ($store:ty) => {
        impl $store {
            /// Removes tasks with all that belongs to them: those that are over, or those that were not
            /// changed for so many seconds.
            async fn delete_now(
                connection: &mut <Db as sqlx::Database>::Connection,
                (sql, celery): (&Statements, Option<&crate::celery::Keeping>),
                ids: &[TaskId],
                why: crate::retention::Going<'_>,
            ) -> Result<HashSet<TaskId>, sqlx::Error> {
                let mut tx = connection.begin().await?;
                let texts = || Self::texts(ids.iter().map(|id| id.as_str()));
                let gone: Vec<(String, String)> = match why {
                    crate::retention::Going::Deleted { by } => {
                        let by = by.map(|by| cleaned(by, INDEXED));
                        let rows = query_as::<_, crate::retention::Deleted>(sql.delete_tasks);
                        let gone = rows.bind(texts()).fetch_all(&mut *tx).await?;
                        let rows = serde_json::to_string(&gone).expect("texts are JSON");
                        let told = query(sql.insert_deleted).bind(rows).bind(by.as_deref());
                        told.execute(&mut *tx).await?;
                        gone.into_iter().map(|row| (row.task_id, row.id)).collect()
                    }
                    crate::retention::Going::Old { seconds } => {
                        let rows = query_as(sql.remove_old).bind(texts()).bind(seconds);
                        rows.fetch_all(&mut *tx).await?
                    }
                };
                let public_ids = crate::feed::ids_as_json(gone.iter().map(|(_, id)| id.as_str()));
                let told_of = query(sql.flow.tell_changes)
                    .bind("deleted")
                    .bind(public_ids);
                told_of.execute(&mut *tx).await?;
                let gone = gone.iter().filter_map(|(id, _)| TaskId::new(id).ok());
                let gone: HashSet<TaskId> = gone.collect();
                let told = celery.map(|_| sql.delete_celery_results);
                let statements = [sql.delete_events, sql.delete_logs, sql.delete_results];
                for statement in statements.into_iter().chain(told) {
                    let ids = Self::texts(gone.iter().map(|id| id.as_str()));
                    query(statement).bind(ids).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok(gone)
            }

            /// Records that the platform sent tasks again by itself.
            async fn mark_now(&self, tasks: Vec<Resent<'_>>) -> Result<(), StoreError> {
                let now = self.clock().await?;
                let mut batch = Batch::new();
                tasks.into_iter().for_each(|task| batch.resent(task, now));
                self.write(&batch).await.map(drop)
            }

            async fn shortest_lease_now(&self) -> Result<Option<Duration>, StoreError> {
                let shortest = query_as::<_, (Option<i32>,)>(self.sql.shortest_lease);
                let shortest = self.all("look for leases", shortest).await?;
                let ms = shortest.first().and_then(|(ms,)| *ms);
                Ok(ms.map(|ms| Duration::from_millis(ms.unsigned_abs().into())))
            }

            async fn lost_tasks_now(
                &self,
                after: Option<&TaskId>,
                limit: u32,
            ) -> Result<Vec<LostTask>, StoreError> {
                let rows = query_as(self.sql.lost_tasks)
                    .bind(after.map_or("", |after| after.as_str()))
                    .bind(row_limit(limit));
                let rows: Vec<LostTaskColumns> = self.all("look for lost tasks", rows).await?;
                Ok(rows.into_iter().map(LostTask::from).collect())
            }

            async fn marker_sent_now(&self, id: Uuid) -> Result<(), StoreError> {
                self.execute("forget markers", query(self.sql.delete_markers))
                    .await?;
                let marker = query(self.sql.insert_marker).bind(id.to_string());
                self.execute("record a marker", marker).await
            }

            async fn marker_seen_now(&self, id: Uuid) -> Result<bool, StoreError> {
                let seen = query_as::<_, (bool,)>(self.sql.marker_seen).bind(id.to_string());
                let seen = self.all("look for a marker", seen).await?;
                Ok(seen.first().is_some_and(|(seen,)| *seen))
            }

            /// All rows of a reading statement.
            async fn all<'q, T>(
                &self,
                operation: &'static str,
                query: sqlx::query::QueryAs<'q, Db, T, <Db as sqlx::Database>::Arguments>,
            ) -> Result<Vec<T>, StoreError>
            where
                T: Send + Unpin + for<'r> sqlx::FromRow<'r, <Db as sqlx::Database>::Row>,
            {
                let mut held = self.limits.acquire(operation, self.readers()).await?;
                let rows = query.fetch_all(&mut *held);
                let rows = self.limits.within(operation, rows).await;
                held.settle(rows)
            }

            /// Runs one writing statement, and tells whether it changed a row.
            async fn changes<'q>(
                &self,
                operation: &'static str,
                query: sqlx::query::Query<'q, Db, <Db as sqlx::Database>::Arguments>,
            ) -> Result<bool, StoreError> {
                Ok(self.changed(operation, query).await? > 0)
            }

            /// Runs one writing statement, and tells how many rows it changed.
            async fn changed<'q>(
                &self,
                operation: &'static str,
                query: sqlx::query::Query<'q, Db, <Db as sqlx::Database>::Arguments>,
            ) -> Result<usize, StoreError> {
                let mut held = self.limits.acquire(operation, self.writers()).await?;
                let done = query.execute(&mut *held);
                let done = self.limits.within(operation, done).await;
                let count = held.settle(done)?.rows_affected();
                Ok(usize::try_from(count).unwrap_or(usize::MAX))
            }

            /// Runs one writing statement.
            async fn execute<'q>(
                &self,
                operation: &'static str,
                query: sqlx::query::Query<'q, Db, <Db as sqlx::Database>::Arguments>,
            ) -> Result<(), StoreError> {
                self.changed(operation, query).await.map(drop)
            }
        }
    };
}

pub(crate) use run_statements;
