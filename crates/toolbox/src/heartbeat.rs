//! Signs of life: what a worker says of itself, every few seconds, and who hears it.
//!
//! One JSON object per message on the heartbeats exchange, under the worker's first service. A
//! worker that was not heard of for a while is taken for gone.

use crate::ids::{TaskId, WorkerId};
use crate::names::{QueueName, ServiceName, TaskName};
use crate::tokens::LimitReport;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One sign of life.
///
/// ```
/// use counterfoil_toolbox::heartbeat::{Heartbeat, Phase};
///
/// # let body = r#"{"worker": "export@h.7.0a0b0c0d", "services": ["export"], "host": "h", "pid": 7, "version": "1.2.3",
/// #     "started_at": "2026-01-02T03:04:05Z", "at": "2026-01-02T03:05:05Z", "interval_ms": 10000, "queues": ["export"],
/// #     "hands": {"export": {"consumers": 2, "untold": 7}}, "running": 3, "processed": 40, "phase": "running",
/// #     "paused": [], "follows_control": true}"#;
/// let beat: Heartbeat = serde_json::from_str(body)?; // a message of `Names::heartbeats_queue`
/// if beat.phase == Phase::Running {
///     println!("{} runs {} tasks", beat.worker, beat.running);
/// }
/// for (queue, hand) in &beat.hands {
///     println!("{} of {queue} that nobody knows of yet", hand.untold);
/// }
/// # assert_eq!((beat.hands.len(), beat.paused.len()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who lives.
    pub worker: WorkerId,
    /// Services whose tasks it runs; the message's key names the first.
    pub services: Vec<ServiceName>,
    /// Name of its machine.
    pub host: String,
    /// Its process id on that machine.
    pub pid: u32,
    /// Version of the worker's own program, as its builder was told; else that of counterfoil.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: DateTime<Utc>,
    /// When it said this, by its own clock.
    pub at: DateTime<Utc>,
    /// Milliseconds until it speaks again.
    pub interval_ms: u64,
    /// Queues that it consumes.
    pub queues: Vec<QueueName>,
    /// Of each of those, what it has in hand. Absent: it does not tell, so nobody can know what became of
    /// a message that was taken out of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hands: BTreeMap<QueueName, Hand>,
    /// Tasks that it knows, with the JSON Schema of their arguments. They are large, so only the
    /// first message and about every tenth carry them; absent: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<BTreeMap<TaskName, Value>>,
    /// Tasks that it runs by tokens, which hold their concurrency down over all workers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<TaskName, LimitReport>,
    /// Tasks that it has and that the broker has forgotten: their leases are renewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<TaskId>,
    /// Tasks whose handlers run now.
    pub running: u64,
    /// Executions that ended since it started, however they ended.
    pub processed: u64,
    /// What it is about.
    pub phase: Phase,
    /// Services of which it takes nothing, because somebody paused them.
    pub paused: Vec<ServiceName>,
    /// Whether it does what is asked of workers. `false`: it cannot read what was cancelled, paused or
    /// held, and works without.
    pub follows_control: bool,
    /// Which ends of sessions it knows: those that were published until then, by the database's clock. What it
    /// had begun before it read of them, it has told. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_until: Option<DateTime<Utc>>,
}

/// What a worker has to do with one queue at the broker. [`Heartbeat`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// Consumers.
    pub consumers: u32,
    /// Deliveries that it has and has said nothing of: whoever reads its events does not know of them.
    pub untold: u32,
}

/// What a worker is about. [`Heartbeat`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It takes tasks.
    Running,
    /// It takes nothing new, because somebody asked it to, and stays.
    Quiet,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// It is gone; its last words.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(tasks: Option<BTreeMap<TaskName, Value>>) -> Heartbeat {
        Heartbeat {
            worker: WorkerId::new("demo@h.7.0a0b0c0d").expect("valid"),
            services: vec![ServiceName::new("demo").expect("valid")],
            host: "h".to_owned(),
            pid: 7,
            version: "1.2.3".to_owned(),
            started_at: DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
            at: DateTime::from_timestamp(1_800_000_010, 0).expect("a time"),
            interval_ms: 10_000,
            queues: vec![QueueName::new("demo").expect("valid")],
            hands: BTreeMap::from([(
                QueueName::new("demo").expect("valid"),
                Hand {
                    consumers: 2,
                    untold: 7,
                },
            )]),
            tasks,
            limits: BTreeMap::from([(
                TaskName::new("demo.limited").expect("valid"),
                LimitReport {
                    limit: 3,
                    tokens: vec!["1-a".parse().expect("a token")],
                },
            )]),
            leases: vec![TaskId::new("t1").expect("valid")],
            running: 3,
            processed: 40,
            phase: Phase::Running,
            paused: vec![ServiceName::new("export").expect("valid")],
            follows_control: true,
            heard_until: DateTime::from_timestamp(1_800_000_005, 0),
        }
    }

    #[test]
    fn a_sign_of_life_reads_back_as_it_was_written() {
        let schemas = BTreeMap::from([(
            TaskName::new("demo.add").expect("valid"),
            serde_json::json!({"type": "object"}),
        )]);
        for tasks in [None, Some(schemas)] {
            let written = serde_json::to_vec(&heartbeat(tasks.clone())).expect("writes");
            assert_eq!(
                serde_json::from_slice::<Heartbeat>(&written).expect("reads"),
                heartbeat(tasks)
            );
        }
    }

    #[test]
    fn schemas_that_did_not_change_take_no_room() {
        let written = serde_json::to_value(heartbeat(None)).expect("writes");
        assert_eq!(written.get("tasks"), None);
        assert_eq!(written["phase"], "running");
    }
}
