//! The calls, written once for both databases.

/// Implements [`MissingTasks`](super::MissingTasks).
macro_rules! implement_missing {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::missing::MissingTasks for $store {
            async fn missing_tasks(
                &self,
                service: &str,
                unheard_for: Duration,
                after: Option<&TaskId>,
                limit: u32,
            ) -> Result<Vec<crate::missing::MissingTask>, StoreError> {
                let rows = query_as(self.sql.missing_tasks)
                    .bind(service)
                    .bind(unheard_for.as_secs_f64())
                    .bind(after.map_or("", |after| after.as_str()))
                    .bind(row_limit(limit));
                let rows: Vec<crate::missing::MissingColumns> =
                    self.all("look for missing tasks", rows).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }

            async fn mark_found(
                &self,
                tasks: &[(
                    crate::missing::MissingTask,
                    counterfoil_toolbox::state::Lineage,
                )],
            ) -> Result<(), StoreError> {
                self.mark_now(tasks.iter().map(Into::into).collect()).await
            }
        }
    };
}

pub(crate) use implement_missing;
