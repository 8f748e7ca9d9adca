//! Messages that the platform could not read: read once more, or thrown away.

use crate::error::OperationError;
use crate::outcome::{Outcome, Subject, Words};
use counterfoil_store::record::ParkedRow;
use counterfoil_store::{Batch, ParkedFilter, Store};
use counterfoil_sync::read_again;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;

/// What becomes of parked messages.
#[derive(Debug, Clone)]
pub enum Fate {
    /// The platform reads them once more, with the exchange and key that they came by. What still cannot be read
    /// stays parked.
    Redrive(Box<Reading>),
    /// They are thrown away.
    Discard,
}

/// What has to be known to read a message.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What the exchanges and queues of the broker are called.
    pub names: Names,
    /// Services that Celery's workers run (`sync.celery_services`).
    pub celery_services: Vec<ServiceName>,
}

impl Fate {
    /// What it is, in words.
    #[must_use]
    pub const fn words(&self) -> Words {
        Words {
            things: ["parked message", "parked messages"],
            done: match self {
                Self::Redrive(_) => "read again",
                Self::Discard => "discarded",
            },
        }
    }

    /// Lets it become of one, and returns what came of that.
    ///
    /// # Errors
    /// [`OperationError::Store`].
    ///
    /// # Cancel safety
    /// Dropped, it happened or it did not; done once more, it does no harm.
    pub async fn apply(
        &self,
        row: &ParkedRow,
        store: &dyn Store,
    ) -> Result<Outcome, OperationError> {
        match self {
            Self::Redrive(known) => {
                let Reading {
                    names,
                    celery_services,
                } = &**known;
                let read = read_again(store, names, celery_services, row).await?;
                Ok(read.map_or_else(Outcome::failed, |()| Outcome::Done(None)))
            }
            Self::Discard => {
                let mut batch = Batch::new();
                batch.unpark(row.id);
                store.apply(&batch).await?;
                Ok(Outcome::Done(None))
            }
        }
    }
}

/// Messages that were chosen.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Those that are parked, newest first.
    pub rows: Vec<ParkedRow>,
    /// Ids under which nothing is parked.
    pub unknown: Vec<String>,
}

/// The messages with these ids, of records or of their tasks, which were read from `queue`; without ids, all that
/// were, or everything. At most `limit` (0: 10,000) for each id, the newest first.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn find(
    store: &dyn Store,
    ids: &[String],
    queue: Option<&str>,
    limit: u32,
) -> Result<Found, OperationError> {
    let filter = |id: Option<&String>| ParkedFilter {
        queue: queue.map(str::to_owned),
        id: id.cloned(),
        limit,
        ..ParkedFilter::default()
    };
    let mut found = Found::default();
    if ids.is_empty() {
        found.rows = store.parked(&filter(None)).await?;
    }
    for id in ids {
        let rows = store.parked(&filter(Some(id))).await?;
        if rows.is_empty() {
            found.unknown.push(id.clone());
        }
        found.rows.extend(rows);
    }
    Ok(found)
}

/// Which one it is, among others to which the same is done.
#[must_use]
pub fn subject(row: &ParkedRow) -> Subject {
    Subject {
        id: row.id.to_string(),
        task_id: row.task_id.clone(),
        name: row.name.clone(),
    }
}
