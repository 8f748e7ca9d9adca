//! Who may still begin or run a subtask of an aborted session: a pure judgement.

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::SubtaskRow;
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of all workers.
#[derive(Debug)]
pub(super) struct Crew {
    workers: BTreeMap<String, Member>,
    /// Services whose queues nobody takes from who does not know the order.
    settled: BTreeSet<String>,
}

#[derive(Debug)]
struct Member {
    standing: Standing,
    /// Consumers that it tells of, by service.
    consumers: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It lives and knows the order, and has told what it had begun before.
    Knows,
    /// It lives and may not know.
    MayNotKnow,
    /// It said goodbye or has been silent for long. While it has anything, the broker counts its consumers.
    Silent,
}

impl Crew {
    /// What these rows tell at the database's time `now` about an order that was published at `told_at`.
    pub(super) fn new(
        names: &Names,
        workers: &[WorkerRow],
        told_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let member = |row: &WorkerRow| {
            let member = Member {
                standing: standing(row, told_at, now),
                consumers: consumers(names, row),
            };
            (row.id.clone(), member)
        };
        Self {
            workers: workers.iter().map(member).collect(),
            settled: BTreeSet::new(),
        }
    }

    /// Adds how many consumers the broker counts at the queues of `service`.
    pub(super) fn sees(&mut self, service: &ServiceName, consumers: u32) {
        let mut known = 0_u32;
        for member in self.workers.values() {
            let Some(told) = member.consumers.get(service.as_str()) else {
                continue;
            };
            match member.standing {
                Standing::Knows => known = known.saturating_add(*told),
                Standing::MayNotKnow => return,
                Standing::Silent => {}
            }
        }
        // Whoever else consumes was never told, or only looks dead.
        if consumers <= known {
            self.settled.insert(service.to_string());
        }
    }

    /// Whether nothing can be said of any subtask yet.
    pub(super) fn is_unsettled(&self) -> bool {
        self.settled.is_empty()
    }

    /// Whether nobody will report on this subtask, whose row was read after a marker had come through. A run
    /// that people asked for since is no part of the session to the workers, and they run it.
    ///
    /// `is_gone`: what to think of a worker of ours that is not known any more.
    pub(super) fn leaves_over(
        &self,
        row: &SubtaskRow,
        is_gone: impl FnOnce(&WorkerId) -> bool,
    ) -> bool {
        let may_be_run = !row.waits() && !self.is_deserted(row, is_gone);
        row.is_own && row.run == 0 && self.settled.contains(row.service()) && !may_be_run
    }

    /// Whether the worker that ran it is gone. What it had taken over from the broker is sent again by whoever
    /// looks after leases, and waits then.
    fn is_deserted(&self, row: &SubtaskRow, is_gone: impl FnOnce(&WorkerId) -> bool) -> bool {
        let Some(id) = row.worker.as_deref().filter(|_| !row.is_leased) else {
            return false;
        };
        match self.workers.get(id) {
            Some(worker) => worker.standing == Standing::Silent,
            // Others may run for as long as they like without a word.
            None => WorkerId::new(id).is_ok_and(|id| id.is_of_a_process() && is_gone(&id)),
        }
    }
}

fn standing(row: &WorkerRow, told_at: DateTime<Utc>, now: DateTime<Utc>) -> Standing {
    if row.has_stopped() || row.gone_for(now) > TimeDelta::zero() {
        return Standing::Silent;
    }
    match row.heard_until {
        Some(heard) if heard >= told_at => Standing::Knows,
        Some(_) | None => Standing::MayNotKnow,
    }
}

fn consumers(names: &Names, row: &WorkerRow) -> BTreeMap<String, u32> {
    let mut consumers = BTreeMap::new();
    for (queue, hand) in row.in_hand() {
        let service = names.service_of(&queue).to_owned();
        *consumers.entry(service).or_default() += hand.consumers;
    }
    consumers
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::JsonText;
    use counterfoil_toolbox::TaskState;
    use counterfoil_toolbox::ids::TaskId;
    use serde_json::json;

    const TOLD_AT: i64 = 1_800_000_000;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("a time")
    }

    fn worker(id: &str, phase: &str, heard: Option<i64>, silent_for: i64) -> WorkerRow {
        let text = |json: &serde_json::Value| JsonText::storable(&json.to_string()).expect("JSON");
        WorkerRow {
            id: id.to_owned(),
            service: "demo".to_owned(),
            host: "h".to_owned(),
            pid: None,
            version: None,
            tasks: None,
            phase: phase.to_owned(),
            queues: text(&json!(["demo"])),
            hands: text(&json!({"demo": {"consumers": 2, "untold": 5}})),
            limits: text(&json!({})),
            paused: text(&json!([])),
            follows_control: true,
            heard_until: heard.map(at),
            running: 0,
            processed: 0,
            interval_ms: 10_000,
            started_at: None,
            last_heartbeat: at(TOLD_AT + 100 - silent_for),
        }
    }

    fn subtask(status: TaskState, worker: Option<&str>) -> SubtaskRow {
        SubtaskRow {
            task_id: TaskId::random(),
            id: None,
            position: 0,
            name: "demo.add".to_owned(),
            status,
            skipped: false,
            retried_counted: 0,
            retried_uncounted: 0,
            state: None,
            run: 0,
            rescue: 0,
            executions: 0,
            deliveries: 0,
            tries: 0,
            worker: worker.map(str::to_owned),
            error_kind: None,
            error_message: None,
            is_own: true,
            addressee: None,
            is_leased: false,
            was_sent: true,
        }
    }

    fn crew(workers: &[WorkerRow], consumers: u32) -> Crew {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let mut crew = Crew::new(&names, workers, at(TOLD_AT), at(TOLD_AT + 100));
        crew.sees(&ServiceName::new("demo").expect("valid"), consumers);
        crew
    }

    #[test]
    fn what_waits_is_left_over_once_all_who_consume_its_queue_know_the_order() {
        let waits = subtask(TaskState::Pending, None);
        let knows = || worker("a", "running", Some(TOLD_AT), 5);
        for (workers, consumers, left_over) in [
            (vec![], 0, true),
            (vec![knows()], 2, true),
            // Somebody who says nothing.
            (vec![], 1, false),
            (vec![knows()], 3, false),
            // One that lives and has not read it yet, or cannot.
            (vec![worker("a", "running", Some(TOLD_AT - 1), 5)], 2, false),
            (vec![knows(), worker("b", "running", None, 5)], 4, false),
            (vec![worker("b", "draining", None, 5)], 0, false),
            // One that is gone, and one that the broker still has.
            (vec![knows(), worker("b", "running", None, 31)], 2, true),
            (vec![knows(), worker("b", "running", None, 31)], 4, false),
            (vec![worker("b", "stopped", None, 1)], 0, true),
        ] {
            let crew = crew(&workers, consumers);
            assert_eq!(
                crew.leaves_over(&waits, |_| false),
                left_over,
                "{workers:?} {consumers}"
            );
            assert_eq!(crew.is_unsettled(), !left_over);
        }
    }

    #[test]
    fn what_runs_is_left_over_when_its_worker_is_gone_and_nothing_of_another_service_ever() {
        let workers = [
            worker("lives", "running", Some(TOLD_AT), 5),
            worker("silent", "running", Some(TOLD_AT), 31),
        ];
        let crew = crew(&workers, 2);
        for (row, left_over) in [
            (subtask(TaskState::Started, Some("lives")), false),
            (subtask(TaskState::Received, Some("lives")), true),
            (subtask(TaskState::Started, Some("silent")), true),
            (subtask(TaskState::Progress, Some("silent")), true),
            // A Python worker, for all that is known.
            (subtask(TaskState::Started, Some("celery@h")), false),
            (subtask(TaskState::Started, None), false),
        ] {
            assert_eq!(crew.leaves_over(&row, |_| false), left_over, "{row:?}");
        }
        let waits = || subtask(TaskState::Pending, None);
        let leased = SubtaskRow {
            is_leased: true,
            ..subtask(TaskState::Started, Some("silent"))
        };
        let elsewhere = SubtaskRow {
            addressee: Some("export".to_owned()),
            ..waits()
        };
        let foreign = SubtaskRow {
            is_own: false,
            ..waits()
        };
        let run_again = SubtaskRow { run: 1, ..waits() };
        for row in [leased, elsewhere, foreign, run_again] {
            assert!(!crew.leaves_over(&row, |_| false), "{row:?}");
        }
        // One of ours that was forgotten, and one that nobody of ours is.
        for (name, left_over) in [("demo@h.7.0a0b0c0d", true), ("celery@h", false)] {
            let row = subtask(TaskState::Started, Some(name));
            assert!(!crew.leaves_over(&row, |_| false), "{name}");
            assert_eq!(crew.leaves_over(&row, |_| true), left_over, "{name}");
        }
    }
}
