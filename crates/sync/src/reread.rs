//! Parked messages that somebody asks to be read once more, for example after a fault was mended.
//!
//! They are read where they are kept, not published again: the way back into their queue would lose
//! the key that they came with, and the exchange that they came by would hand the others that listen
//! there a second copy.

use crate::feeds::Feed;
use crate::read::{Record, read_message};
use crate::said::{self, Listener};
use crate::trust;
use counterfoil_store::record::ParkedRow;
use counterfoil_store::{Batch, Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;

/// Reads a parked message as the daemon would if it came now. Read, it is parked no longer. `celery`: services that
/// Celery's workers run.
///
/// # Errors
/// When the database cannot be used. A message that still cannot be read is no error of that kind: the
/// reason is in the inner result, and it stays parked as it was.
///
/// # Cancel safety
/// Cancelled, it is read or it is not; reading it again is harmless.
pub async fn read_again(
    store: &dyn Store,
    names: &Names,
    celery: &[ServiceName],
    row: &ParkedRow,
) -> Result<Result<(), String>, StoreError> {
    let feed = Feed::ALL
        .into_iter()
        .find(|feed| feed.queue(names).as_str() == row.queue);
    let Some(feed) = feed else {
        return Ok(Err(format!("the daemon reads no queue {}", row.queue)));
    };
    let mut records = Vec::new();
    read_message(feed, &row.queue, row.message.clone(), names, &mut records);
    let rows = said::rows(store, &records).await?;
    let mut listener = Listener::new(celery);
    for record in &mut records {
        if let Some(meant) = record.meant(&row.queue, &rows, &mut listener) {
            *record = meant;
        }
    }
    let is_answer = |record: &Record| matches!(record, Record::Answer(_));
    if records.iter().any(is_answer) {
        let reason = "answers to callers are passed on when they come, or never: nobody waits for this one any more";
        return Ok(Err(reason.to_owned()));
    }
    let tasks = records.iter().flat_map(Record::judged);
    let known = store.owners(&trust::subjects(tasks)).await?;
    let mut batch = Batch::new();
    batch.unpark(row.id);
    for record in records {
        let objection = record
            .event()
            .and_then(|event| trust::objection(event, &row.queue, &known, &Batch::new()));
        if let Some(parked) = objection.as_ref().or(record.parked())
            && parked.id() == row.id
        {
            return Ok(Err(parked.reason.to_string()));
        }
        match objection {
            Some(parked) => batch.park(parked),
            None => record.add_to(&mut batch),
        }
    }
    match store.apply(&batch).await {
        Ok(_) => Ok(Ok(())),
        Err(error) if error.is_bad_data() => Ok(Err(ErrorChain(&error).to_string())),
        Err(error) => Err(error),
    }
}
