//! What a database lacks of the schema, and whether it has the one that this program knows.

use crate::error::{FaultClass, StoreError};
use sqlx::migrate::{MigrateError, Migrator};
use std::sync::Arc;

/// Version and description of what has not been applied yet.
///
/// # Errors
/// [`StoreError::Migrate`] when something else was applied than this program knows: by a newer
/// version, or by one that was never released.
pub(crate) fn pending(
    all: &Migrator,
    applied: &[(i64, Vec<u8>)],
    server: &Arc<str>,
) -> Result<Vec<String>, StoreError> {
    for (version, checksum) in applied {
        let known = all.iter().find(|migration| migration.version == *version);
        let error = match known {
            Some(known) if known.checksum[..] == checksum[..] => continue,
            Some(_) => MigrateError::VersionMismatch(*version),
            None => MigrateError::VersionMissing(*version),
        };
        return Err(StoreError::Migrate {
            server: Arc::clone(server),
            kind: FaultClass::Fatal,
            code: None,
            source: error.into(),
        });
    }
    let is_applied = |version| applied.iter().any(|(applied, _)| *applied == version);
    let pending = all.iter().filter(|m| !is_applied(m.version));
    Ok(pending
        .map(|m| format!("{} {}", m.version, m.description))
        .collect())
}
