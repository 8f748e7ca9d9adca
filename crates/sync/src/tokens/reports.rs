//! What workers say of the limits that they keep. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::tokens::{LimitReport, MOST_TOKENS, TokenId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Signs of life that may be lost before a worker's word on a limit does not count any more.
const GONE: i32 = 3;

/// Those before what it had in hand is taken for returned.
const FORGOTTEN: i32 = 6;

/// Shortest and longest interval of signs of life that is believed.
const SHORTEST_INTERVAL: TimeDelta = TimeDelta::milliseconds(1);
const LONGEST_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// What is known of one limit.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) limit: u32,
    /// Tokens that were in hand, and how long ago that was said.
    pub(super) tokens: Vec<(TokenId, Duration)>,
    /// Nobody that may have tokens in hand is late with its signs of life.
    pub(super) is_sure: bool,
    /// Longest interval of signs of life.
    pub(super) interval: Duration,
    /// Who said so: of the task's own service, and when it started.
    by: (bool, Option<DateTime<Utc>>),
}

/// The limits that workers keep which are there at `now`. Of those that do not agree, as while a new
/// version comes in, the worker that started last counts, and workers of the task's own service more
/// than others: only they speak for it by the broker's permissions.
pub(super) fn known(workers: &[WorkerRow], now: DateTime<Utc>) -> BTreeMap<TaskName, Known> {
    let mut all: BTreeMap<TaskName, Known> = BTreeMap::new();
    // Whoever is silent for a while still counts for what it had in hand.
    let mut late = Vec::new();
    for worker in workers {
        let Some(said) = Said::by(worker, now) else {
            continue;
        };
        for (task, report) in said.limits {
            if !(1..=MOST_TOKENS).contains(&report.limit) {
                continue;
            }
            let is_own = task.service() == worker.service;
            let known = Known {
                limit: report.limit,
                tokens: report
                    .tokens
                    .iter()
                    .map(|token| (*token, said.age))
                    .collect(),
                is_sure: said.is_in_time,
                interval: said.interval,
                by: (is_own, worker.started_at),
            };
            match said.is_there {
                true => merge(&mut all, task, known),
                false => late.push((task, known)),
            }
        }
    }
    for (task, known) in late {
        if let Some(limit) = all.get(&task).map(|there| (there.limit, there.by)) {
            let (limit, by) = limit;
            merge(&mut all, task, Known { limit, by, ..known });
        }
    }
    all
}

fn merge(all: &mut BTreeMap<TaskName, Known>, task: TaskName, new: Known) {
    let Some(known) = all.get_mut(&task) else {
        all.insert(task, new);
        return;
    };
    known.tokens.extend(new.tokens);
    known.is_sure &= new.is_sure;
    known.interval = known.interval.max(new.interval);
    if new.by > known.by {
        (known.limit, known.by) = (new.limit, new.by);
    }
}

/// What one worker said last.
struct Said {
    limits: BTreeMap<TaskName, LimitReport>,
    age: Duration,
    interval: Duration,
    is_there: bool,
    is_in_time: bool,
}

impl Said {
    /// `None`: it is gone, and so is all that it had in hand.
    fn by(worker: &WorkerRow, now: DateTime<Utc>) -> Option<Self> {
        let interval = worker.interval().clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let age = (now - worker.last_heartbeat).max(TimeDelta::zero());
        if worker.has_stopped() || age > interval * FORGOTTEN {
            return None;
        }
        Some(Self {
            limits: serde_json::from_str(worker.limits.get()).ok()?,
            age: age.to_std().ok()?,
            interval: interval.to_std().ok()?,
            is_there: age <= interval * GONE,
            is_in_time: age <= interval * 5 / 4 + TimeDelta::milliseconds(500),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::JsonText;
    use serde_json::{Value, json};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    /// A worker of `service` that started at minute `started` and spoke `age` seconds ago.
    fn worker(service: &str, started: i64, age: i64, limits: &Value) -> WorkerRow {
        let text = |json: &Value| JsonText::storable(&json.to_string()).expect("JSON");
        WorkerRow {
            id: format!("{service}@{started}"),
            service: service.to_owned(),
            host: "h".to_owned(),
            pid: None,
            version: None,
            tasks: None,
            phase: "running".to_owned(),
            queues: text(&json!([])),
            limits: text(limits),
            paused: text(&json!([])),
            follows_control: true,
            heard_until: None,
            hands: text(&json!({})),
            running: 0,
            processed: 0,
            interval_ms: 10_000,
            started_at: Some(now() + TimeDelta::minutes(started)),
            last_heartbeat: now() - TimeDelta::seconds(age),
        }
    }

    fn limit(limit: u32, tokens: &[&str]) -> Value {
        json!({"demo.limited": {"limit": limit, "tokens": tokens}})
    }

    fn only(workers: &[WorkerRow]) -> Option<Known> {
        let mut all = known(workers, now());
        assert!(all.len() <= 1);
        all.pop_first().map(|(_, known)| known)
    }

    #[test]
    fn the_worker_that_started_last_says_how_many_may_run() {
        let workers = [
            worker("demo", 1, 1, &limit(5, &["1-a"])),
            worker("demo", 2, 1, &limit(2, &["2-a"])),
            worker("demo", 0, 1, &limit(9, &[])),
        ];
        let known = only(&workers).expect("a limit");
        assert_eq!((known.limit, known.tokens.len()), (2, 2));
        assert!(known.is_sure);
    }

    #[test]
    fn workers_of_another_service_count_only_where_those_of_the_tasks_own_are_silent() {
        let own = worker("demo", 1, 1, &limit(3, &[]));
        let other = worker("export", 2, 1, &limit(100, &[]));
        let both = only(&[own, other.clone()]).map(|known| known.limit);
        assert_eq!(both, Some(3));
        assert_eq!(only(&[other]).map(|known| known.limit), Some(100));
    }

    #[test]
    fn a_silent_worker_makes_unsure_and_then_does_not_count() {
        let there = worker("demo", 1, 1, &limit(3, &[]));
        let silent = |age| worker("demo", 2, age, &limit(7, &["1-a"]));
        let with = |age| only(&[there.clone(), silent(age)]).expect("a limit");
        let told = |age| {
            let known = with(age);
            (known.limit, known.tokens.len(), known.is_sure)
        };
        assert_eq!(told(12), (7, 1, true));
        assert_eq!(told(29), (7, 1, false));
        assert_eq!(told(31), (3, 1, false));
        assert_eq!(told(61), (3, 0, true));
        assert!(only(&[silent(31)]).is_none());
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let odd = [
            json!({"demo.x": 3}),
            json!([]),
            limit(0, &[]),
            limit(1_000_000, &[]),
        ];
        for limits in odd {
            assert!(only(&[worker("demo", 1, 1, &limits)]).is_none(), "{limits}");
        }
    }
}
