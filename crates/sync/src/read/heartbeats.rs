//! Signs of life of workers. An unreadable one is not kept: the next comes in a few seconds.

use super::{Record, marker};
use counterfoil_store::{JsonText, MarkerPlace, StoredMessage, WorkerSeen};
use counterfoil_toolbox::heartbeat::Heartbeat;
use serde_json::json;
use std::time::Duration;

pub(super) fn read(message: &StoredMessage, out: &mut Vec<Record>) {
    let service = message.routing_key.strip_prefix("heartbeat.").unwrap_or("");
    if let Some(id) = marker::read(service, &message.content) {
        return out.push(Record::Marker(id, MarkerPlace::Heartbeats));
    }
    match understand(message) {
        Ok(worker) => out.push(Record::Worker(Box::new(worker))),
        Err(reason) => {
            let routing_key = &*message.routing_key;
            tracing::warn!(routing_key, reason, "a sign of life could not be read");
        }
    }
}

fn understand(message: &StoredMessage) -> Result<WorkerSeen, String> {
    let beat: Heartbeat = serde_json::from_slice(&message.content.body)
        .map_err(|error| format!("not a sign of life: {error}"))?;
    let service = beat.services.first().ok_or("it names no service")?;
    if message.routing_key.strip_prefix("heartbeat.") != Some(service.as_str()) {
        return Err(format!("worker {} speaks for another service", beat.worker));
    }
    let tasks = beat.tasks.as_ref().map(|tasks| {
        tasks
            .iter()
            .map(|(name, schema)| json!({"name": name, "schema": schema}))
            .collect::<serde_json::Value>()
    });
    Ok(WorkerSeen {
        service: service.as_str().into(),
        id: beat.worker,
        host: beat.host.into(),
        pid: Some(beat.pid.into()),
        version: Some(beat.version.into()),
        tasks: tasks.and_then(|tasks| JsonText::storable(&tasks.to_string())),
        phase: beat.phase,
        queues: beat.queues,
        hands: beat.hands,
        limits: beat.limits,
        leases: beat.leases,
        running: i64::try_from(beat.running).unwrap_or(i64::MAX),
        processed: i64::try_from(beat.processed).unwrap_or(i64::MAX),
        interval: Duration::from_millis(beat.interval_ms),
        started_at: Some(beat.started_at),
        paused: beat.paused,
        follows_control: beat.follows_control,
        heard_until: beat.heard_until,
    })
}
