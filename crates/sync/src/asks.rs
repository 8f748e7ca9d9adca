//! Which services the broker is asked about, and when: a pure record.
//!
//! A queue whose node is down costs a time limit each time. What is wrong with the queues of one service is no matter of
//! the others, so it is asked about more and more seldom.

use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How many times as long as the first pause the longest is.
const GROWS: u32 = 8;

/// Services that are not asked about for a while.
#[derive(Debug)]
pub(crate) struct Asks {
    shortest: Duration,
    pauses: HashMap<String, Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Asks {
    /// `shortest`: the first pause.
    pub(crate) fn new(shortest: Duration) -> Self {
        Self {
            shortest,
            pauses: HashMap::new(),
        }
    }

    /// Whether nobody asks about it now.
    pub(crate) fn are_put_off(&self, service: &str, now: Instant) -> bool {
        let pause = self.pauses.get(service);
        pause.is_some_and(|pause| now < pause.until)
    }

    /// Asks about it later, and each time later still. Whether it was answered before.
    pub(crate) fn put_off(&mut self, service: &str, now: Instant) -> bool {
        let before = self.pauses.get(service).map(|pause| pause.length);
        let longest = self.shortest.saturating_mul(GROWS);
        let length = before.map_or(self.shortest, |length| (length * 2).min(longest));
        let until = now + length;
        let pause = Pause { until, length };
        self.pauses.insert(service.to_owned(), pause);
        before.is_none()
    }

    /// It was answered.
    pub(crate) fn answered(&mut self, service: &str) {
        self.pauses.remove(service);
    }
}

/// Says whether it was a matter of one service that its queues could not be looked at: a queue whose node is down
/// looks like a broker that cannot be reached, so the broker is asked for one that must be there.
///
/// # Errors
/// [`TransportError`]: it does not answer that either.
pub(crate) async fn broker_answers(
    transport: &dyn Transport,
    names: &Names,
) -> Result<(), TransportError> {
    transport.depth(&names.tracking_queue).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whoever_does_not_answer_is_asked_more_and_more_seldom_until_he_does() {
        let (mut asks, mut now) = (Asks::new(SECOND), Instant::now());
        assert!(!asks.are_put_off("demo", now));
        assert!(asks.put_off("demo", now));
        for length in [1, 2, 4, 8, 8] {
            assert!(asks.are_put_off("demo", now + SECOND * length - SECOND / 2));
            now += SECOND * length;
            assert!(!asks.are_put_off("demo", now));
            assert!(!asks.put_off("demo", now));
        }
        assert!(!asks.are_put_off("export", now));
        asks.answered("demo");
        assert!(!asks.are_put_off("demo", now));
        assert!(asks.put_off("demo", now));
        assert!(!asks.are_put_off("demo", now + SECOND));
    }
}
