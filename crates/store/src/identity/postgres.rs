//! The strict answer, in a transaction of PostgreSQL.

use crate::sql::POSTGRES;
use crate::sql::postgres::LOCK_IDENTITY;
use counterfoil_toolbox::ids::TaskId;
use sqlx::{PgConnection, query, query_as};

/// The task that lives and has the type and identifier that `task_id` is to have. `None`: there is none, and
/// nobody who asks here can send one before the transaction that `connection` is in is over.
///
/// Call it in the transaction that sends the task, before it writes the row. It locks and looks in two
/// statements, since the second must see what those have committed for whom the first waited.
///
/// # Errors
/// When the database does not answer, or refuses.
pub async fn living_namesake(
    connection: &mut PgConnection,
    (name, identifier): (&str, &str),
    task_id: &TaskId,
) -> Result<Option<TaskId>, sqlx::Error> {
    let lock = query(LOCK_IDENTITY).bind(name).bind(identifier);
    lock.execute(&mut *connection).await?;
    let found = query_as::<_, (String,)>(POSTGRES.living_namesake)
        .bind(name)
        .bind(identifier)
        .bind(task_id.as_str());
    let found = found.fetch_optional(connection).await?;
    Ok(found.and_then(|(id,)| TaskId::new(&id).ok()))
}
