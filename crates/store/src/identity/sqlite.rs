//! The strict answer, in a transaction of SQLite.

use crate::sql::SQLITE;
use counterfoil_toolbox::ids::TaskId;
use sqlx::{SqliteConnection, query_as};

/// The task that lives and has the type and identifier that `task_id` is to have. `None`: there is none, and
/// nobody can send one before the transaction that `connection` is in is over.
///
/// Call it in the transaction that sends the task, after that has written something: SQLite has one writer
/// at a time.
///
/// # Errors
/// When the database does not answer, or refuses.
pub async fn living_namesake(
    connection: &mut SqliteConnection,
    (name, identifier): (&str, &str),
    task_id: &TaskId,
) -> Result<Option<TaskId>, sqlx::Error> {
    let found = query_as::<_, (String,)>(SQLITE.living_namesake)
        .bind(name)
        .bind(identifier)
        .bind(task_id.as_str());
    let found = found.fetch_optional(connection).await?;
    Ok(found.and_then(|(id,)| TaskId::new(&id).ok()))
}
