//! How lists run their statements, written once for both databases.

/// Gives a store what [`implement_lists!`](super::implement_lists) reads rows with.
macro_rules! list_statements {
    ($store:ty) => {
        impl $store {
            async fn all_matching(
                &self,
                filter: &TaskFilter,
                (search, places): (Option<&crate::lists::Search>, Places),
                time: Option<Duration>,
            ) -> Result<Option<Vec<TaskRow>>, StoreError> {
                let statement = match filter.walk() {
                    TaskOrder::NewestFirst => self.sql.tasks,
                    TaskOrder::OldestFirst => self.sql.tasks_oldest,
                };
                let limit = row_limit(filter.limit);
                // Without a text the root is read by its id: together with others it keeps them from their index.
                let root = search.map_or(Root::Apart, |_| Root::Too);
                let listed = Self::matching(query_as(statement), filter, limit, root);
                // Errors have an index by time and one of their parts, and of those the planner knows enough. Of
                // the other places together it does not: their own indexes first, whatever it thinks.
                let few = search.is_some_and(|search| search.kinds.is_empty());
                let way = match places {
                    Places::Others if few => Way::Bitmaps,
                    Places::Others | Places::Errors | Places::All => Way::Planners,
                };
                let listed = Self::searching(listed, search, places);
                self.all_within("list tasks", listed, (time, way)).await
            }

            async fn all_of_types(
                &self,
                filter: &TaskFilter,
                kinds: &[(String, String)],
                time: Option<Duration>,
            ) -> Result<Option<Vec<TaskRow>>, StoreError> {
                let statement = match filter.walk() {
                    TaskOrder::NewestFirst => self.sql.tasks_of_types,
                    TaskOrder::OldestFirst => self.sql.tasks_of_types_oldest,
                };
                let limit = row_limit(filter.limit);
                let listed = Self::matching(query_as(statement), filter, limit, Root::Too)
                    .bind(Self::texts(
                        kinds.iter().map(|(service, _)| service.as_str()),
                    ))
                    .bind(Self::texts(kinds.iter().map(|(_, name)| name.as_str())));
                self.all_within("list tasks of some types", listed, (time, Way::Planners))
                    .await
            }

            /// Services and types of all tasks.
            async fn kinds(&self) -> Result<Vec<(String, String)>, StoreError> {
                self.all("list the types of tasks", query_as(self.sql.task_types))
                    .await
            }

            /// What a filter's text is compared with.
            async fn search(
                &self,
                filter: &TaskFilter,
            ) -> Result<Option<crate::lists::Search>, StoreError> {
                let Some(text) = filter.text.as_deref().and_then(crate::lists::text_of) else {
                    return Ok(None);
                };
                let mut kinds = self.kinds().await?;
                crate::lists::wanted_types(filter, &mut kinds);
                let related = query_as::<_, (String,)>(self.sql.related_types);
                let related = self
                    .all("list the types of related objects", related)
                    .await?;
                let related = related.into_iter().map(|(kind,)| kind).collect();
                Ok(crate::lists::Search::new(&text, kinds, related))
            }

            /// Binds the parameters 1 to 17 of a statement about tasks.
            fn matching<'q, T>(
                statement: sqlx::query::QueryAs<'q, Db, T, <Db as sqlx::Database>::Arguments>,
                filter: &'q TaskFilter,
                limit: i64,
                root: Root,
            ) -> sqlx::query::QueryAs<'q, Db, T, <Db as sqlx::Database>::Arguments> {
                let related = filter.related.as_ref();
                let (older, newer) = (filter.older_than(), filter.newer_than());
                statement
                    .bind(filter.state.map(|state| state.as_str()))
                    .bind(filter.service_or_that_of_name())
                    .bind(filter.name.as_deref())
                    .bind(filter.creator.as_deref())
                    .bind(related.map(|(kind, _)| kind.as_str()))
                    .bind(related.map(|(_, id)| id.as_str()))
                    .bind(filter.root.as_deref())
                    .bind(filter.since.map(Self::time))
                    .bind(older.map(|than| Self::time(than.created_date)))
                    .bind(older.map(|than| than.id.as_str()))
                    .bind(limit)
                    .bind(filter.identifier.as_deref())
                    .bind(filter.session.as_deref())
                    .bind(filter.until.map(Self::time))
                    .bind(newer.map(|than| Self::time(than.created_date)))
                    .bind(newer.map(|than| than.id.as_str()))
                    .bind(root == Root::Too)
            }

            /// Binds the parameters 18 to 26. What is empty is left out, or the planner would take it for something.
            fn searching<'q, T>(
                statement: sqlx::query::QueryAs<'q, Db, T, <Db as sqlx::Database>::Arguments>,
                search: Option<&'q crate::lists::Search>,
                places: Places,
            ) -> sqlx::query::QueryAs<'q, Db, T, <Db as sqlx::Database>::Arguments> {
                let errors = search.filter(|_| places != Places::Others);
                let search = search.filter(|_| places != Places::Errors);
                let related = search.map(|search| &search.related_types);
                let related = related.filter(|types| !types.is_empty());
                let kinds = search.map(|search| &search.kinds);
                let kinds = kinds.filter(|kinds| !kinds.is_empty());
                statement
                    .bind(search.map(|search| search.whole.as_str()))
                    .bind(search.and_then(|search| search.part.as_deref()))
                    .bind(search.and_then(|search| search.beginning.as_deref()))
                    .bind(search.and_then(|search| search.beginning_of_id.as_deref()))
                    .bind(related.map(|types| Self::texts(types.iter().map(String::as_str))))
                    .bind(search.map(|search| search.related_id.as_str()))
                    .bind(kinds.map(|all| Self::texts(all.iter().map(|(of, _)| of.as_str()))))
                    .bind(kinds.map(|all| Self::texts(all.iter().map(|(_, name)| name.as_str()))))
                    .bind(errors.and_then(|search| search.part.as_deref()))
            }

            /// All rows of a reading statement, unless that takes longer than it may.
            async fn all_within<'q, T>(
                &self,
                operation: &'static str,
                query: sqlx::query::QueryAs<'q, Db, T, <Db as sqlx::Database>::Arguments>,
                (time, way): (Option<Duration>, Way),
            ) -> Result<Option<Vec<T>>, StoreError>
            where
                T: Send + Unpin + for<'r> sqlx::FromRow<'r, <Db as sqlx::Database>::Row>,
            {
                match time {
                    Some(time) => self.all_soon(operation, query, (time, way)).await,
                    None => self.all(operation, query).await.map(Some),
                }
            }
        }
    };
}

pub(crate) use list_statements;
