//! Locks between processes that share an SQLite file: SQLite has none that a process can hold.

use crate::error::StoreError;
use crate::store::Lead;
use async_trait::async_trait;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// An exclusive lock on a file beside the database. It ends with this value, or with the process.
/// The file stays: deleting it would let two processes lock two files of one name.
#[derive(Debug)]
pub(crate) struct FileLock(#[expect(dead_code, reason = "open as long as the lock is held")] File);

impl FileLock {
    /// Takes the lock, if it is free.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, StoreError> {
        let error = |source| StoreError::LockFile {
            path: path.display().to_string(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(error(source)),
        }
    }

    /// Takes the lock as soon as it is free.
    pub(crate) async fn wait(
        path: PathBuf,
        at_most: Duration,
        server: &Arc<str>,
    ) -> Result<Self, StoreError> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(lock) = Self::try_take(&path)? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Deadline {
                    operation: "lock the database file",
                    server: Arc::clone(server),
                    after: at_most,
                });
            }
            // Asking again instead of blocking: a blocked thread could not be called back.
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[async_trait]
impl Lead for FileLock {
    async fn still_leads(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }
}
