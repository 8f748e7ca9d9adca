//! What was seen of tasks, leases that have ended for example, and since when: a pure record.
//!
//! The end of a lease is a time of the database's clock, which may be set. So it has to be seen ended for
//! a while by the daemon's own clock, in which a worker that lives would renew it.

use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// When it was first seen of each task, and of which attempt.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    seen: HashMap<TaskId, (Lineage, Instant)>,
}

impl Ended {
    /// It is seen of this task: for how long it was, without a break. Call it for all that are
    /// seen in one look, then [`Self::keep`].
    pub(crate) fn see(&mut self, task_id: &TaskId, attempt: Lineage, now: Instant) -> Duration {
        let first = (attempt, now);
        let (lineage, since) = self.seen.entry(task_id.clone()).or_insert(first);
        if *lineage != attempt {
            (*lineage, *since) = first;
        }
        now - *since
    }

    /// Keeps only what was seen in the last look too: others were renewed, or are over.
    pub(crate) fn keep(&mut self, seen: impl Fn(&TaskId) -> bool) {
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

    fn see(ended: &mut Ended, id: &str, executions: i32, now: Instant) -> Duration {
        let attempt = Lineage {
            executions,
            ..Lineage::default()
        };
        ended.see(&TaskId::new(id).expect("valid"), attempt, now)
    }

    #[test]
    fn a_lease_is_ended_since_it_was_first_seen_so_in_every_look() {
        let (mut ended, start) = (Ended::default(), Instant::now());
        let second = Duration::from_secs(1);
        for n in 0..3 {
            let since = see(&mut ended, "t1", 0, start + second * n);
            ended.keep(|_| true);
            assert_eq!(since, second * n);
        }
        // Renewed meanwhile.
        ended.keep(|_| false);
        assert_eq!(see(&mut ended, "t1", 0, start + second * 9), Duration::ZERO);
    }

    #[test]
    fn another_attempt_is_another_lease() {
        let (mut ended, start) = (Ended::default(), Instant::now());
        see(&mut ended, "t1", 0, start);
        let later = start + Duration::from_secs(9);
        assert_eq!(see(&mut ended, "t2", 0, later), Duration::ZERO);
        assert_eq!(see(&mut ended, "t1", 1, later), Duration::ZERO);
    }
}
