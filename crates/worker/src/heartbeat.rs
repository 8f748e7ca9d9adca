//! Saying that the worker is alive, and what it knows and does.

use crate::shared::Shared;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::heartbeat::{Heartbeat, Phase};
use counterfoil_toolbox::ids::hostname;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::names::heartbeat_key;
use counterfoil_toolbox::transport::Publication;
use std::sync::Arc;
use std::time::Duration;

/// Every so many signs of life tell the tasks too, for those who have missed the first.
const TASKS_EVERY: u64 = 10;

/// Longest time for the last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What does not change from one sign of life to the next.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    pub(crate) services: Vec<ServiceName>,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) version: String,
    pub(crate) interval: Duration,
    pub(crate) started_at: DateTime<Utc>,
}

/// Speaks at once and then every interval, until it is dropped.
pub(crate) async fn beat(shared: Arc<Shared>, pulse: Pulse) {
    let mut ticks = tokio::time::interval(pulse.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0;
    let draining = shared.stop.draining();
    while draining.run_until_cancelled(ticks.tick()).await.is_some() {
        let with_tasks = count % TASKS_EVERY == 0;
        say(&shared, &pulse, Phase::Running, with_tasks).await;
        count += 1;
    }
    loop {
        say(&shared, &pulse, Phase::Draining, false).await;
        ticks.tick().await;
    }
}

/// Tells that this worker is gone; does not wait for long.
pub(crate) async fn last_words(shared: &Shared, pulse: &Pulse) {
    let said = say(shared, pulse, Phase::Stopped, false);
    // Unsaid, its silence says the same a little later.
    let _ = tokio::time::timeout(LAST_WORDS, said).await;
}

async fn say(shared: &Shared, pulse: &Pulse, phase: Phase, with_tasks: bool) {
    let Some(first) = pulse.services.first() else {
        return;
    };
    let heartbeat = Heartbeat {
        worker: shared.id.clone(),
        services: pulse.services.clone(),
        host: hostname(),
        pid: std::process::id(),
        version: pulse.version.clone(),
        started_at: pulse.started_at,
        at: Utc::now(),
        interval_ms: u64::try_from(pulse.interval.as_millis()).unwrap_or(u64::MAX),
        queues: pulse.queues.clone(),
        tasks: with_tasks.then(|| shared.registry.schemas()),
        running: shared.counts.running(),
        processed: shared.counts.processed(),
        phase,
    };
    let body = serde_json::to_vec(&heartbeat).expect("names, numbers and schemas are JSON");
    let mut content = Content::json(body);
    // Worth nothing after a restart of the broker.
    content.properties.persistent = false;
    let publication = Publication {
        exchange: shared.names.heartbeats.clone(),
        routing_key: heartbeat_key(first.as_str()),
        content,
    };
    if let Err(error) = shared.senders.copies.publish(publication).await {
        tracing::debug!(%error, "a sign of life was not heard");
    }
}
