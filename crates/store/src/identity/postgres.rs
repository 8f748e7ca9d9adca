//! The strict answer, in a transaction of PostgreSQL.

use crate::sql::POSTGRES;
use crate::sql::postgres::LOCK_IDENTITY;
use counterfoil_toolbox::ids::TaskId;
use sqlx::{PgConnection, query_as};

/// Why a transaction cannot claim an identifier.
const BLIND: &str = "a task with an identifier was to be sent in a transaction that is REPEATABLE READ or SERIALIZABLE, \
                     which cannot see whether another one was sent since it began; make it READ COMMITTED";

/// The task that lives and has the type and identifier that `task_id` is to have. `None`: there is none, and
/// nobody who asks here can send one before the transaction that `connection` is in is over.
///
/// Call it in the transaction that sends the task, before it writes the row. It locks and looks in two
/// statements, since the second must see what those have committed for whom the first waited.
///
/// # Errors
/// When the database does not answer, or refuses; and in a transaction that is REPEATABLE READ or SERIALIZABLE,
/// which could not see what others have sent since it began.
pub async fn living_namesake(
    connection: &mut PgConnection,
    (name, identifier): (&str, &str),
    task_id: &TaskId,
) -> Result<Option<TaskId>, sqlx::Error> {
    let lock = query_as::<_, ((), bool)>(LOCK_IDENTITY)
        .bind(name)
        .bind(identifier);
    let ((), sees_others) = lock.fetch_one(&mut *connection).await?;
    if !sees_others {
        return Err(sqlx::Error::Configuration(BLIND.into()));
    }
    let found = query_as::<_, (String,)>(POSTGRES.living_namesake)
        .bind(name)
        .bind(identifier)
        .bind(task_id.as_str());
    let found = found.fetch_optional(connection).await?;
    Ok(found.and_then(|(id,)| TaskId::new(&id).ok()))
}
