//! Copies of tasks: from the tracking queue, from that of expired copies, from that of tasks that
//! no service owns.

use super::marker::MARKER;
use super::{CANARY, RESERVED, Record, parked};
use counterfoil_store::{CanaryPlace, MarkerPlace, Seen, StoredMessage, TrackingCopy};
use counterfoil_toolbox::message::{Envelope, TaskMessage};

pub(super) fn read(queue: &str, message: StoredMessage, seen: Seen, out: &mut Vec<Record>) {
    match TaskMessage::decode(&message.content) {
        Ok(task) if task.envelope.name == CANARY => {
            out.push(
                canary(&task.envelope, seen)
                    .unwrap_or_else(|| parked(queue, RESERVED, Some(&task.envelope), message)),
            );
        }
        Ok(task) if task.envelope.name == MARKER => match (task.envelope.id.as_uuid(), seen) {
            (Some(id), Seen::Scheduled) => out.push(Record::Marker(id, MarkerPlace::Tracking)),
            // No service owns it, and nobody waits for that copy.
            (Some(_), Seen::Unroutable) => {}
            (None, _) => out.push(parked(queue, RESERVED, Some(&task.envelope), message)),
        },
        Ok(task) => {
            let input = Some(task.payload.to_input());
            out.push(copy(task.envelope, input, message, seen));
        }
        Err(undecodable) => {
            let envelope = undecodable.envelope.map(|envelope| *envelope);
            out.push(parked(
                queue,
                undecodable.reason,
                envelope.as_ref(),
                message.clone(),
            ));
            // Its headers are good: a row, so that people find the task, and see what a worker
            // says of it.
            if let Some(envelope) = envelope {
                out.push(copy(envelope, None, message, seen));
            }
        }
    }
}

fn copy(envelope: Envelope, input: Option<String>, message: StoredMessage, seen: Seen) -> Record {
    Record::Copy(Box::new(TrackingCopy {
        envelope,
        input,
        message,
        seen,
    }))
}

fn canary(envelope: &Envelope, seen: Seen) -> Option<Record> {
    let place = match seen {
        Seen::Scheduled => CanaryPlace::Tracking,
        Seen::Unroutable => CanaryPlace::Unroutable,
    };
    Some(Record::Canary(envelope.id.as_uuid()?, place))
}
