//! Leases that were seen ended, and since when: a pure record.
//!
//! The end of a lease is a time of the database's clock, which may be set. So it has to be seen ended for
//! a while by the daemon's own clock, in which a worker that lives would renew it.

use counterfoil_store::record::LostTask;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// When the lease of each task was first seen ended, and of which attempt.
#[derive(Debug, Default)]
pub(super) struct Ended {
    seen: HashMap<TaskId, (Lineage, Instant)>,
}

impl Ended {
    /// The lease of this task is seen ended: since when it was, without a break. Call it for all that are
    /// seen in one look, then [`Self::keep`].
    pub(super) fn see(&mut self, task: &LostTask, now: Instant) -> Duration {
        let first = (task.lineage, now);
        let (lineage, since) = self.seen.entry(task.task_id.clone()).or_insert(first);
        if *lineage != task.lineage {
            (*lineage, *since) = first;
        }
        now - *since
    }

    /// Keeps only what was seen in the last look too: others were renewed, or are over.
    pub(super) fn keep(&mut self, seen: impl Fn(&TaskId) -> bool) {
        self.seen.retain(|task_id, _| seen(task_id));
    }
}

/// How long a lease has to be seen ended: a worker that lives speaks three times in it at least.
pub(super) fn long_enough(lease: Duration) -> Duration {
    lease / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, executions: i32) -> LostTask {
        LostTask {
            task_id: TaskId::new(id).expect("valid"),
            name: "demo.long".to_owned(),
            lineage: Lineage {
                executions,
                ..Lineage::default()
            },
            restarts: 0,
            worker: None,
            lease: Duration::from_secs(60),
            message: None,
        }
    }

    #[test]
    fn a_lease_is_ended_since_it_was_first_seen_so_in_every_look() {
        let (mut ended, start) = (Ended::default(), Instant::now());
        let second = Duration::from_secs(1);
        for n in 0..3 {
            let since = ended.see(&task("t1", 0), start + second * n);
            ended.keep(|_| true);
            assert_eq!(since, second * n);
        }
        // Renewed meanwhile.
        ended.keep(|_| false);
        assert_eq!(
            ended.see(&task("t1", 0), start + second * 9),
            Duration::ZERO
        );
    }

    #[test]
    fn another_attempt_is_another_lease() {
        let (mut ended, start) = (Ended::default(), Instant::now());
        ended.see(&task("t1", 0), start);
        let later = start + Duration::from_secs(9);
        assert_eq!(ended.see(&task("t2", 0), later), Duration::ZERO);
        assert_eq!(ended.see(&task("t1", 1), later), Duration::ZERO);
    }
}
