//! What both databases write, column by column.

use crate::copy::CopyColumns;
use crate::error::StoreError;
use crate::history::sent_at;
use crate::ids::IdKey;
use crate::merge::{ResultChange, TaskChange};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{LONGEST_LEASE, SHORTEST_LEASE};
use counterfoil_toolbox::message::json::inspect;
use std::sync::Arc;
use std::time::Duration;

/// A row of `background_task`, as one batch would write it.
#[derive(Debug)]
pub(crate) struct TaskValues<'a> {
    pub(crate) id: String,
    pub(crate) event_id: String,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) change: &'a TaskChange,
}

impl<'a> TaskValues<'a> {
    pub(crate) fn new(change: &'a TaskChange, ids: &IdKey) -> Self {
        Self {
            id: ids.public_id(&change.task_id),
            event_id: change.state.key.event_id.to_string(),
            sent_at: sent_at(&change.task_id),
            change,
        }
    }

    pub(crate) fn name(&self) -> &'a str {
        self.change.name().as_str()
    }

    pub(crate) fn service(&self) -> &'a str {
        self.change.name().service()
    }

    /// Milliseconds that its worker may be silent, within reason.
    pub(crate) fn lease_ms(&self) -> Option<i32> {
        let lease = self.change.state.lease?;
        let ms = |lease: Duration| u32::try_from(lease.as_millis()).unwrap_or(u32::MAX);
        let within = lease.ms.clamp(ms(SHORTEST_LEASE), ms(LONGEST_LEASE));
        i32::try_from(within).ok()
    }

    /// How often workers have vanished with it.
    pub(crate) fn restarts(&self) -> Option<i32> {
        self.change.state.lease.map(|lease| lease.restarts)
    }

    /// Seconds that the row is kept once the task is over, where its message says so.
    pub(crate) fn retention_s(&self) -> Option<i64> {
        let keep = self.maybe(|copy| copy.retention)?;
        i64::try_from(keep.as_secs()).ok()
    }

    /// A column of the tracking copy, while there is one.
    pub(crate) fn copy<T>(&self, column: impl FnOnce(&'a CopyColumns) -> T) -> Option<T> {
        self.change.copy.as_deref().map(column)
    }

    /// A column of the tracking copy that may be empty.
    pub(crate) fn maybe<T>(&self, column: impl FnOnce(&'a CopyColumns) -> Option<T>) -> Option<T> {
        self.change.copy.as_deref().and_then(column)
    }

    /// A number of the tracking copy's key; −1 stands below every copy.
    pub(crate) fn copy_number<T: From<i8>>(&self, part: impl FnOnce(&CopyColumns) -> T) -> T {
        self.copy(part).unwrap_or_else(|| T::from(-1))
    }
}

impl ResultChange {
    /// The result, where `jsonb` can hold it.
    pub(crate) fn json(&self) -> Option<&str> {
        self.result
            .as_ref()
            .map(|json| json.get())
            .filter(|text| is_storable(text))
    }

    /// The result's bytes, where it cannot.
    pub(crate) fn raw(&self) -> Option<&[u8]> {
        let text = self.result.as_ref().map(|json| json.get());
        text.filter(|text| !is_storable(text)).map(str::as_bytes)
    }
}

fn is_storable(text: &str) -> bool {
    inspect(text).storable().is_ok()
}

/// The key for public ids, without which nothing is written.
pub(crate) fn required<'a>(
    ids: Option<&'a IdKey>,
    server: &Arc<str>,
) -> Result<&'a IdKey, StoreError> {
    ids.ok_or_else(|| StoreError::NoIdSecret {
        server: Arc::clone(server),
    })
}
