//! Which tables of Celery there are. Those that are missing are made, those that are there are used as they are.

use counterfoil_toolbox::config::CeleryEncoding;
use std::collections::BTreeSet;

/// How results are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keeping {
    pub(crate) encoding: CeleryEncoding,
    /// Whether the table has what Celery 5.7 brought: `children` and `stamps`.
    pub(crate) has_children: bool,
}

/// Columns that any Celery since 5.0 makes.
const COLUMNS: [&str; 12] = [
    "id",
    "task_id",
    "status",
    "result",
    "date_done",
    "traceback",
    "name",
    "args",
    "kwargs",
    "worker",
    "retries",
    "queue",
];

/// Columns that Celery 5.7 brought.
const NEW: [&str; 2] = ["children", "stamps"];

/// How results are kept in a table with these columns.
///
/// # Errors
/// What it lacks, and what to do about it.
pub(crate) fn keeping(
    columns: &BTreeSet<String>,
    encoding: CeleryEncoding,
) -> Result<Keeping, String> {
    let lacks = |names: &[&'static str]| -> Vec<&'static str> {
        let missing = names.iter().filter(|name| !columns.contains(**name));
        missing.copied().collect()
    };
    let (missing, new) = (lacks(&COLUMNS), lacks(&NEW));
    if !missing.is_empty() {
        return Err(format!(
            "its table celery_taskmeta has no column {}: a Celery older than 5.0 has made it, or somebody else; start a \
             newer Celery on it, or drop it if nobody needs its rows",
            missing.join(", ")
        ));
    }
    if new.len() == 1 {
        return Err(format!(
            "its table celery_taskmeta has no column {}, and has others of Celery 5.7: a worker of that adds it when it \
             starts",
            new[0]
        ));
    }
    Ok(Keeping {
        encoding,
        has_children: new.is_empty(),
    })
}

/// Implements [`CeleryTables`](super::CeleryTables) for a store that has the field `celery`, the statements
/// `MAKE_CELERY_TABLES` in its module, and what `implement_store!` asks for.
macro_rules! implement_celery_tables {
    ($store:ty, $make:expr) => {
        #[async_trait::async_trait]
        impl crate::celery::CeleryTables for $store {
            async fn keep_celery_results(
                &self,
                encoding: counterfoil_toolbox::config::CeleryEncoding,
            ) -> Result<(), StoreError> {
                if self.celery.get().is_some() {
                    return Ok(());
                }
                let mut columns = self.celery_columns().await?;
                if columns.is_empty() {
                    let made = self.make_celery_tables().await;
                    columns = self.celery_columns().await?;
                    // Somebody else may have made them meanwhile.
                    if columns.is_empty() {
                        made?;
                    }
                }
                let unusable = |why, forbidden| StoreError::CeleryTables {
                    server: Arc::clone(&self.limits.server),
                    why,
                    forbidden,
                };
                let keeping = crate::celery::keeping(&columns, encoding);
                let keeping = keeping.map_err(|why| unusable(why, false))?;
                let rights = query_as::<_, (bool,)>(self.sql.celery_rights);
                let rights = self.all("look at the tables of Celery", rights).await?;
                if rights.first() != Some(&(true,)) {
                    let why = "its user may not SELECT, INSERT, UPDATE and DELETE in celery_taskmeta and use the sequence \
                               task_id_sequence: grant it that";
                    return Err(unusable(why.to_owned(), true));
                }
                // Whoever asked at the same time has found the same.
                let _ = self.celery.set(keeping);
                Ok(())
            }

            async fn unlock_chords(&self, limit: u32) -> Result<usize, StoreError> {
                let due = match self.celery.get() {
                    Some(_) => self.sql.due_told_chords,
                    None => self.sql.due_chords,
                };
                let due = query_as::<_, (String,)>(due).bind(row_limit(limit));
                let mut unlocked = 0;
                for (id,) in self.all(UNLOCK, due).await? {
                    let done = match self.unlock_chord(&id, None).await {
                        Err(error) if error.is_bad_data() => {
                            let why = format!("its results cannot be stored: {}", counterfoil_toolbox::error::ErrorChain(&error));
                            self.unlock_chord(&id, Some(&crate::celery::Outcome::failed(why))).await
                        }
                        done => done,
                    };
                    match done {
                        Ok(done) => unlocked += usize::from(done),
                        // The others are no worse for it, and go first.
                        Err(error) => {
                            tracing::error!(task_id = %id, error = %counterfoil_toolbox::error::ErrorChain(&error), "a chord cannot be told of now");
                            self.execute(UNLOCK, query(self.sql.put_off_chord).bind(&id)).await?;
                        }
                    }
                }
                Ok(unlocked)
            }

            async fn fail_replaced(&self, limit: u32) -> Result<usize, StoreError> {
                let rows = query_as::<_, crate::celery::ReplacedRow>(self.sql.replaced_in_vain)
                    .bind(row_limit(limit));
                let rows = self.all("look for tasks that were replaced", rows).await?;
                if rows.is_empty() {
                    return Ok(0);
                }
                let now = self.clock().await?;
                let mut batch = Batch::new();
                let failed: Vec<_> = rows.iter().filter_map(|row| row.failure(now)).collect();
                failed.iter().for_each(|event| batch.event(event));
                self.write(&batch).await?;
                Ok(failed.len())
            }

            async fn forget_skipped(&self, age: Duration) -> Result<(), StoreError> {
                const FORGET: &str = "forget tasks that were never sent";
                if let Some(kept) = self.celery.get() {
                    let told = query(self.sql.delete_old_told)
                        .bind(age.as_secs_f64())
                        .bind(crate::celery::revoked_result(kept.encoding));
                    self.execute(FORGET, told).await?;
                }
                let gone = query(self.sql.delete_old_skipped).bind(age.as_secs_f64());
                self.execute(FORGET, gone).await
            }
        }

        const UNLOCK: &str = "look after chords";

        impl $store {
            async fn unlock_chord(
                &self,
                id: &str,
                instead: Option<&crate::celery::Outcome>,
            ) -> Result<bool, StoreError> {
                let mut held = self.limits.acquire(UNLOCK, self.writers()).await?;
                let done = async {
                    let mut tx = Self::begin(&mut held).await?;
                    let known = (self.sql, self.celery.get());
                    match celery::unlock_chord(&mut tx, known, id, instead).await {
                        Ok(done) => tx.commit().await.map(|()| done),
                        // Before it is taken back, whoever tries again finds the chord in other hands.
                        Err(error) => {
                            tx.rollback().await?;
                            Err(error)
                        }
                    }
                };
                let done = self.limits.within(UNLOCK, done).await;
                held.settle(done)
            }

            async fn celery_columns(
                &self,
            ) -> Result<std::collections::BTreeSet<String>, StoreError> {
                let columns = query_as::<_, (String,)>(self.sql.celery_columns);
                let columns = self.all("look at the tables of Celery", columns).await?;
                Ok(columns.into_iter().map(|(name,)| name).collect())
            }

            async fn make_celery_tables(&self) -> Result<(), StoreError> {
                for statement in $make {
                    let made = self
                        .execute("make the tables of Celery", query(statement))
                        .await;
                    made.map_err(|error| match error.is_forbidden() {
                        true => StoreError::CeleryTables {
                            server: Arc::clone(&self.limits.server),
                            why: "they are not there, and its user may not make them: run `counterfoil init` as their owner, or grant it \
                                  CREATE on the schema for once"
                                .to_owned(),
                            forbidden: true,
                        },
                        false => error,
                    })?;
                }
                Ok(())
            }
        }
    };
}
pub(crate) use implement_celery_tables;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_used_as_it_is_and_what_it_lacks_is_named() {
        let of = |columns: &[&str]| columns.iter().map(|name| (*name).to_owned()).collect();
        let mut all: BTreeSet<String> = of(&COLUMNS);
        let found = keeping(&all, CeleryEncoding::Json).map(|it| it.has_children);
        assert_eq!(found, Ok(false));
        all.insert("stamps".to_owned());
        let half = keeping(&all, CeleryEncoding::Json).expect_err("half of Celery 5.7");
        assert!(half.contains("no column children"), "{half}");
        all.insert("children".to_owned());
        let found = keeping(&all, CeleryEncoding::Json).map(|it| it.has_children);
        assert_eq!(found, Ok(true));
        all.remove("worker");
        let old = keeping(&all, CeleryEncoding::Json).expect_err("an old table");
        assert!(old.contains("no column worker"), "{old}");
    }
}
