//! Saying that the worker is alive, and what it knows and does.

use crate::control::Following;
use crate::shared::Shared;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::control::Standing;
use counterfoil_toolbox::heartbeat::{Hand, Heartbeat, Phase};
use counterfoil_toolbox::ids::hostname;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::names::heartbeat_key;
use counterfoil_toolbox::transport::Publication;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Every so many signs of life tell the tasks too, for those who have missed the first.
const TASKS_EVERY: u64 = 10;

/// A token is told of in so many signs of life after it was in hand: one or two may be lost.
const TOKENS_OF: u32 = 3;

/// How soon it is looked again whether all is told that was begun before a session was ended.
const SETTLES: Duration = Duration::from_millis(100);

/// Longest time for the last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What does not change from one sign of life to the next.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    pub(crate) services: Vec<ServiceName>,
    pub(crate) version: String,
    pub(crate) interval: Duration,
    pub(crate) started_at: DateTime<Utc>,
}

/// What people have asked of the worker, as far as signs of life tell it.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    standing: Standing,
    paused: Vec<ServiceName>,
    follows_control: bool,
    heard_until: Option<DateTime<Utc>>,
}

impl Asked {
    fn now(shared: &Shared, pulse: &Pulse) -> Self {
        let control = &shared.control;
        let services = pulse.services.iter();
        let paused = services.filter(|service| control.is_paused(service.as_str()));
        Self {
            standing: control.standing(),
            paused: paused.cloned().collect(),
            // While it catches up it starts nothing, so nothing is done against anybody's will.
            follows_control: !matches!(*control.following().borrow(), Following::No(_)),
            heard_until: control.heard_until(shared.reporter.told_until()),
        }
    }
}

/// Speaks at once, then every interval and whenever something else is asked of the worker, until it is
/// dropped.
pub(crate) async fn beat(shared: Arc<Shared>, pulse: Pulse) {
    let mut ticks = tokio::time::interval(pulse.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0;
    let draining = shared.stop.draining();
    // Kept, so that what changes while something is said is not missed.
    let (mut changes, mut following) = (shared.control.changes(), shared.control.following());
    let mut said = None;
    loop {
        let is_time = tokio::select! {
            biased;
            () = draining.cancelled() => break,
            _ = ticks.tick() => true,
            _ = changes.changed() => false,
            _ = following.changed() => false,
            () = sleep(SETTLES), if shared.control.is_settling() => false,
        };
        let asked = Asked::now(&shared, &pulse);
        if is_time || said.as_ref() != Some(&asked) {
            let with_tasks = count % TASKS_EVERY == 0;
            let phase = match asked.standing {
                Standing::AtWork => Phase::Running,
                Standing::Quiet | Standing::Stopped => Phase::Quiet,
            };
            say(&shared, &pulse, phase, with_tasks, asked.clone()).await;
            said = Some(asked);
            count += 1;
        }
    }
    loop {
        say_now(&shared, &pulse, Phase::Draining).await;
        ticks.tick().await;
    }
}

/// Tells that this worker is gone; does not wait for long.
pub(crate) async fn last_words(shared: &Shared, pulse: &Pulse) {
    let said = say_now(shared, pulse, Phase::Stopped);
    // Unsaid, its silence says the same a little later.
    let _ = tokio::time::timeout(LAST_WORDS, said).await;
}

async fn say_now(shared: &Shared, pulse: &Pulse, phase: Phase) {
    say(shared, pulse, phase, false, Asked::now(shared, pulse)).await;
}

async fn say(shared: &Shared, pulse: &Pulse, phase: Phase, with_tasks: bool, asked: Asked) {
    let Some(first) = pulse.services.first() else {
        return;
    };
    let Asked {
        paused,
        follows_control,
        heard_until,
        ..
    } = asked;
    let begun = Instant::now();
    let heartbeat = Heartbeat {
        worker: shared.id.clone(),
        services: pulse.services.clone(),
        host: hostname(),
        pid: std::process::id(),
        version: pulse.version.clone(),
        started_at: pulse.started_at,
        at: Utc::now(),
        interval_ms: u64::try_from(pulse.interval.as_millis()).unwrap_or(u64::MAX),
        queues: shared.consumers.queues(),
        hands: hands(shared),
        tasks: with_tasks.then(|| shared.registry.schemas()),
        limits: shared.tokens.reports(pulse.interval * TOKENS_OF),
        // Whoever goes has nothing any more.
        leases: match phase {
            Phase::Stopped => Vec::new(),
            Phase::Running | Phase::Quiet | Phase::Draining => shared.guard.taken_over(),
        },
        running: shared.counts.running(),
        processed: shared.counts.processed(),
        phase,
        paused,
        follows_control,
        heard_until,
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
    match shared.senders.copies.publish(publication).await {
        Ok(()) => shared.was_heard(begun),
        Err(error) => tracing::debug!(%error, "a sign of life was not heard"),
    }
}

fn hands(shared: &Shared) -> BTreeMap<QueueName, Hand> {
    // What was said and did not get through has not been heard.
    let unheard = u32::from(shared.reporter.is_behind());
    let mut hands = BTreeMap::new();
    // A queue that was left and is consumed again comes twice.
    for (queue, hand) in shared.consumers.hands() {
        let of_queue = hands.entry(queue).or_insert(Hand {
            consumers: 0,
            untold: unheard,
        });
        of_queue.consumers += hand.consumers();
        of_queue.untold = of_queue.untold.saturating_add(hand.untold());
    }
    hands
}
