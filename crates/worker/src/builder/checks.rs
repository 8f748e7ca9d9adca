//! What settings and limits of tasks must be like.

use super::WorkerBuilder;
use crate::error::BuildFault;
use counterfoil_toolbox::event::{LONGEST_LEASE, SHORTEST_LEASE};
use counterfoil_toolbox::task::{Ack, longest_run};
use counterfoil_toolbox::tokens::MOST_TOKENS;

/// Signs of life in one lease, at least: one or two may be lost.
const BEATS_PER_LEASE: u32 = 3;

/// Largest result that a message of events can carry.
const MAX_RESULT_BYTES: usize = 15 * 1024 * 1024;

impl WorkerBuilder {
    /// Notes everything that breaks a rule.
    pub(super) fn check(&mut self) {
        self.check_settings();
        self.check_limits();
        self.check_tokens();
    }

    fn check_settings(&mut self) {
        let settings = &self.settings;
        let too_large = settings.max_result_bytes > MAX_RESULT_BYTES;
        let rules = [
            (
                settings.concurrency == 0,
                "concurrency",
                "must be at least 1",
            ),
            (
                settings.prefetch == Some(0),
                "prefetch",
                "must be at least 1",
            ),
            (
                settings.heartbeat.is_zero(),
                "heartbeat",
                "must be longer than nothing",
            ),
            (
                settings.time_limit.is_some_and(|limit| limit.is_zero()),
                "time_limit",
                "is 0s and must be longer than nothing; \"none\" is no limit",
            ),
            (
                too_large,
                "max_result_bytes",
                "must be at most 15 MiB: results travel in messages",
            ),
        ];
        let tasks = self.registry.sorted();
        let any_early = tasks.iter().any(|task| task.options.ack == Ack::Early);
        let beats = settings.heartbeat.saturating_mul(BEATS_PER_LEASE);
        let shortest = beats.max(SHORTEST_LEASE);
        let lease = (
            any_early && !(shortest..=LONGEST_LEASE).contains(&settings.lease),
            "lease",
            "must be at least three times `heartbeat`, at least 3 s and at most an hour",
        );
        for (is_broken, setting, why) in rules.into_iter().chain([lease]) {
            if is_broken {
                self.faults.push(BuildFault::Setting { setting, why });
            }
        }
    }

    fn check_limits(&mut self) {
        let longest = longest_run(self.consumer_timeout);
        for task in self.registry.sorted() {
            self.faults.extend(task.no_time());
            if task.options.max_concurrency == Some(0) {
                let name = task.name.to_string();
                self.faults.push(BuildFault::NoConcurrency { name });
            }
            let is_late = task.options.ack == Ack::Late;
            let of_worker = self.settings.time_limit.filter(|_| is_late);
            let limit = task.options.time_limit.or(of_worker);
            if let (Some(soft), Some(limit)) = (task.options.soft_time_limit, limit)
                && soft >= limit
            {
                let name = task.name.to_string();
                self.faults
                    .push(BuildFault::SoftTimeLimit { name, soft, limit });
            }
            if let Some(limit) = limit.filter(|limit| is_late && *limit > longest) {
                self.faults.push(BuildFault::TimeLimit {
                    name: task.name.to_string(),
                    whose: match task.options.time_limit {
                        Some(_) => "in its options",
                        None => "worker.time_limit",
                    },
                    limit,
                    longest,
                    consumer_timeout: self.consumer_timeout,
                });
            }
        }
    }

    fn check_tokens(&mut self) {
        for task in self.registry.sorted() {
            let Some(limit) = task.options.max_concurrency_global else {
                continue;
            };
            if !(1..=MOST_TOKENS).contains(&limit) {
                let name = task.name.to_string();
                self.faults.push(BuildFault::GlobalLimit { name, limit });
            }
            let time = task.options.time_limit;
            let longest = longest_run(self.consumer_timeout);
            if task.options.ack == Ack::Early && time.is_none_or(|time| time > longest) {
                let name = task.name.to_string();
                self.faults.push(BuildFault::LongToken { name, longest });
            }
            let queue = self.names.token_queue(&task.name);
            self.faults.extend(queue.err().map(BuildFault::from));
        }
    }
}
