//! What a transaction does about sessions, written once for both databases: lists go in as JSON texts.

/// Declares `write_sessions`, the last step of a batch's transaction. The two lists that are long whenever a
/// session is busy, and those that open one, go in as each database takes them fastest: `of_subtasks`, `known_of`,
/// `changes_of` and `subtasks_of` are declared beside it.
macro_rules! session_steps {
    ($db:ty) => {
        type Tx<'a> = &'a mut <$db as sqlx::Database>::Connection;

        /// Counts what the batch changed, opens and ends sessions, and hands over the finalizers of those
        /// that are over.
        pub(super) async fn write_sessions(
            tx: Tx<'_>,
            sql: &Statements,
            batch: &Batch,
            mut touched: Vec<Touched>,
            applied: &mut Applied,
        ) -> Result<(), sqlx::Error> {
            let heard = retried(tx, sql, batch).await?;
            let retried: BTreeSet<_> = heard.iter().map(|task| task.task_id.clone()).collect();
            touched.extend(heard);
            let changed = touched.iter().map(|subtask| subtask.session_id.as_str());
            let opened = batch.openings.keys().map(|id| id.as_str());
            let ended = batch.endings.keys().map(|id| id.as_str());
            let ids: BTreeSet<&str> = changed.chain(opened).chain(ended).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let ids = json(&ids);
            query(sql.lock_sessions)
                .bind(ids.as_str())
                .fetch_all(&mut *tx)
                .await?;
            let opened = open_sessions(tx, sql, batch).await?;
            let ended = batch.endings.keys().map(|id| id.as_str());
            let mut changed: BTreeSet<String> =
                opened.iter().copied().chain(ended).map(Into::into).collect();
            end_sessions(tx, sql, batch).await?;
            let written_off: Vec<_> = batch.written_off_sessions().map(|id| id.as_str()).collect();
            for (statement, sessions) in [
                (sql.seen_of_sessions, opened),
                (sql.tasks_of_sessions, written_off),
            ] {
                if !sessions.is_empty() {
                    let tasks = query_as::<_, Touched>(statement).bind(json(&sessions));
                    touched.extend(tasks.fetch_all(&mut *tx).await?);
                }
            }
            Touched::each_once(&mut touched);
            let news = news_of(tx, sql, &ids, touched, &retried).await?;
            let back = news.iter();
            let back = back.filter(|news| news.came_back || retried.contains(&news.task_id));
            let back: Vec<_> = back.map(|news| news.task_id.as_str()).collect();
            let mut retries = Vec::new();
            if !back.is_empty() {
                let asked = query_as::<_, Retries>(sql.retries).bind(json(&back));
                retries = asked.fetch_all(&mut *tx).await?;
            }
            let counted = count(news, retries);
            applied.strange_subtasks = counted.strange;
            if !counted.changes.is_empty() {
                let changes = changes_of(sql, &counted.changes);
                changes.execute(&mut *tx).await?;
            }
            if !counted.sessions.is_empty() {
                let counts = query(sql.count_sessions)
                    .bind(json(&counted.sessions));
                counts.execute(&mut *tx).await?;
            }
            finish_sessions(tx, sql, &ids, applied).await?;
            changed.extend(counted.sessions.into_iter().map(|counts| counts.id));
            changed.extend(applied.finished_sessions.iter().map(|(id, _)| id.to_string()));
            tell_changes(tx, sql, "session", &changed).await
        }

        /// Tells whoever follows that these have changed.
        pub(super) async fn tell_changes(
            tx: Tx<'_>,
            sql: &Statements,
            kind: &str,
            ids: &BTreeSet<String>,
        ) -> Result<(), sqlx::Error> {
            if ids.is_empty() {
                return Ok(());
            }
            let told = query(sql.flow.tell_changes).bind(kind).bind(json(ids));
            told.execute(&mut *tx).await.map(drop)
        }

        /// What became of subtasks of the sessions `ids`. `retried`: those of whose retries the batch tells.
        async fn news_of(
            tx: Tx<'_>,
            sql: &Statements,
            ids: &str,
            touched: Vec<Touched>,
            retried: &BTreeSet<String>,
        ) -> Result<Vec<News>, sqlx::Error> {
            if touched.is_empty() {
                return Ok(Vec::new());
            }
            let (mut touched, mut unread): (Vec<_>, Vec<_>) =
                touched.into_iter().partition(|subtask| subtask.row.is_some());
            if !unread.is_empty() {
                let rows = query_as(sql.subtask_rows);
                let rows = of_subtasks(rows, &unread).fetch_all(&mut *tx).await?;
                NthRow::add_to(rows, &mut unread);
                touched.append(&mut unread);
            }
            let sessions = query_as(sql.session_states).bind(ids);
            let sessions = sessions.fetch_all(&mut *tx).await?;
            let ends = plain_ends(&touched, &sessions, retried);
            let known = known_of(tx, sql, &touched, &ends).await?;
            Ok(news(touched, known, sessions))
        }

        /// Subtasks of whose retries `batch` tells: heard of after the end, a retry changes no row, and counts.
        async fn retried(
            tx: Tx<'_>,
            sql: &Statements,
            batch: &Batch,
        ) -> Result<Vec<Touched>, sqlx::Error> {
            let retry = EventKind::State(TaskState::Retry);
            let lines = batch.lines.values().filter(|line| line.kind == retry);
            let ids: BTreeSet<&str> = lines.map(|line| line.task_id.as_str()).collect();
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let of_tasks = query_as::<_, Touched>(sql.sessions_of_tasks).bind(json(&ids));
            of_tasks.fetch_all(&mut *tx).await
        }

        /// Opens those that are not known yet, and returns their ids.
        async fn open_sessions<'b>(
            tx: Tx<'_>,
            sql: &Statements,
            batch: &'b Batch,
        ) -> Result<Vec<&'b str>, sqlx::Error> {
            let mut opened = Vec::new();
            for (id, session) in &batch.openings {
                let (opening, related) = (&session.opening, session.related());
                let ms = |ms: Option<u64>| Some(i64::try_from(ms?).unwrap_or(i64::MAX));
                let total = i32::try_from(opening.subtasks.len()).unwrap_or(i32::MAX);
                let inserted = query(sql.insert_session)
                    .bind(id.as_str())
                    .bind(session.action())
                    .bind(opening.policy.as_str())
                    .bind(total)
                    .bind(ms(opening.estimated_ms))
                    .bind(ms(opening.buffer_ms))
                    .bind(opening.finalizer.id.as_str())
                    .bind(opening.finalizer.task.as_str())
                    .bind(json(&opening.finalizer))
                    .bind(session.creator())
                    .bind(related.as_ref().map(|related| &*related.0))
                    .bind(related.as_ref().map(|related| &*related.1));
                if inserted.execute(&mut *tx).await?.rows_affected() == 0 {
                    continue;
                }
                let subtasks = subtasks_of(sql, opening);
                subtasks.execute(&mut *tx).await?;
                opened.push(id.as_str());
            }
            Ok(opened)
        }

        async fn end_sessions(
            tx: Tx<'_>,
            sql: &Statements,
            batch: &Batch,
        ) -> Result<(), sqlx::Error> {
            if batch.endings.is_empty() {
                return Ok(());
            }
            let endings = batch.endings.iter().map(|(id, ending)| match ending {
                Ending::Aborted { by } => {
                    json!({"id": id, "timed_out": false, "written_off": false, "by": by})
                }
                Ending::TimedOut { written_off } => {
                    json!({"id": id, "timed_out": true, "written_off": written_off, "by": null})
                }
            });
            let endings = query(sql.end_sessions).bind(json(&endings.collect::<Vec<_>>()));
            endings.execute(&mut *tx).await.map(drop)
        }

        /// Ends those of these sessions that are complete. The lock on them makes it happen once.
        async fn finish_sessions(
            tx: Tx<'_>,
            sql: &Statements,
            ids: &str,
            applied: &mut Applied,
        ) -> Result<(), sqlx::Error> {
            let complete = query_as::<_, Complete>(sql.complete_sessions).bind(ids);
            for session in complete.fetch_all(&mut *tx).await? {
                let finalizer = session.finalizer();
                let takes_summary = finalizer.as_ref().is_some_and(|f| f.takes_summary);
                let ends = if takes_summary {
                    ends_of(tx, sql, &session.id).await?
                } else {
                    Vec::new()
                };
                let (status, message) = end_of(&session, finalizer.as_ref(), ends);
                query(sql.finish_session)
                    .bind(session.id.as_str())
                    .bind(status.as_str())
                    .bind(session.duration_ms)
                    .execute(&mut *tx)
                    .await?;
                let id = SessionId::new(&session.id).ok();
                match message {
                    Some((key, content)) => {
                        let name = format!("{}{}", crate::sessions::FINALIZER, session.id);
                        hand_over(tx, sql, &name, &key, &content).await?;
                    }
                    None => applied.unreadable_finalizers.extend(id.clone()),
                }
                if let Some(id) = id {
                    applied.finished_sessions.push((id, status));
                }
            }
            Ok(())
        }

        async fn ends_of(tx: Tx<'_>, sql: &Statements, id: &str) -> Result<Vec<End>, sqlx::Error> {
            let most = SessionSummary::MOST_LISTED + 1;
            let ends = query_as::<_, End>(sql.subtask_ends)
                .bind(id)
                .bind(MOST_RESULT_BYTES)
                .bind(i64::try_from(most).unwrap_or(i64::MAX));
            ends.fetch_all(&mut *tx).await
        }

        fn json(value: &impl serde::Serialize) -> String {
            serde_json::to_string(value).expect("lists of ids and numbers are JSON")
        }
    };
}

/// Implements [`Sessions`](super::Sessions).
macro_rules! implement_sessions {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl Sessions for $store {
            async fn sessions(
                &self,
                filter: &SessionFilter,
            ) -> Result<Vec<SessionRow>, StoreError> {
                let after = filter.after.as_ref();
                let rows = query_as(self.sql.sessions)
                    .bind(filter.status.map(|status| status.as_str()))
                    .bind(filter.action.as_deref())
                    .bind(filter.open)
                    .bind(filter.since.map(Self::time))
                    .bind(after.map(|after| Self::time(after.created_date)))
                    .bind(after.map(|after| after.id.as_str()))
                    .bind(filter.id.as_ref().map(|id| id.as_str()))
                    .bind(filter.finalizer.as_deref())
                    .bind(filter.discarded)
                    .bind(row_limit(filter.limit))
                    .bind(filter.creator.as_deref());
                self.all("list sessions", rows).await
            }

            async fn subtasks(
                &self,
                session: &SessionId,
                after: Option<i32>,
                limit: u32,
            ) -> Result<Vec<SubtaskRow>, StoreError> {
                self.subtasks_now(session, after, false, limit).await
            }

            async fn unfinished_subtasks(
                &self,
                session: &SessionId,
                after: Option<i32>,
                limit: u32,
            ) -> Result<Vec<SubtaskRow>, StoreError> {
                self.subtasks_now(session, after, true, limit).await
            }

            async fn unsent_subtasks(&self, session: &SessionId) -> Result<i64, StoreError> {
                let count = query_as::<_, (i64,)>(self.sql.unsent_subtasks).bind(session.as_str());
                let count = self
                    .all("count the subtasks that were never sent", count)
                    .await?;
                Ok(count.first().map_or(0, |(count,)| *count))
            }

            async fn open_sessions(&self) -> Result<i64, StoreError> {
                let count = query_as::<_, (i64,)>(self.sql.open_sessions);
                let count = self.all("count the sessions that are open", count).await?;
                Ok(count.first().map_or(0, |(count,)| *count))
            }

            async fn aborting_sessions(
                &self,
                limit: u32,
            ) -> Result<Vec<AbortingSession>, StoreError> {
                let rows = query_as(self.sql.aborting_sessions).bind(row_limit(limit));
                self.all("look for sessions that are aborted", rows).await
            }

            async fn overdue_sessions(
                &self,
                estimate: Duration,
                buffer: Duration,
                limit: u32,
            ) -> Result<Vec<SessionId>, StoreError> {
                let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                let ids = query_as::<_, (String,)>(self.sql.overdue_sessions)
                    .bind(ms(estimate))
                    .bind(ms(buffer))
                    .bind(row_limit(limit));
                let ids = self
                    .all("look for sessions whose time is over", ids)
                    .await?;
                let ids = ids.iter().filter_map(|(id,)| SessionId::new(id).ok());
                Ok(ids.collect())
            }
        }

        impl $store {
            async fn subtasks_now(
                &self,
                session: &SessionId,
                after: Option<i32>,
                unfinished_only: bool,
                limit: u32,
            ) -> Result<Vec<SubtaskRow>, StoreError> {
                let rows = query_as(self.sql.subtasks)
                    .bind(session.as_str())
                    .bind(after.unwrap_or(-1))
                    .bind(unfinished_only)
                    .bind(row_limit(limit));
                self.all("list the subtasks of a session", rows).await
            }
        }
    };
}

pub(crate) use {implement_sessions, session_steps};
