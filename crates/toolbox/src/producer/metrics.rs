//! What producers count.

use super::error::SendError;
use crate::telemetry::metrics::{BREAKER_OPEN, BREAKER_OPENINGS, SEND_SECONDS, SENDS};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::time::Instant;

/// How sends end.
#[derive(Debug)]
pub(super) struct Metrics {
    confirmed: Counter,
    full: Counter,
    unavailable: Counter,
    unknown: Counter,
    refused: Counter,
    invalid: Counter,
    seconds: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let sends = |outcome: &'static str| counter!(SENDS, "outcome" => outcome);
        Self {
            confirmed: sends("confirmed"),
            full: sends("full"),
            unavailable: sends("unavailable"),
            unknown: sends("unknown"),
            refused: sends("refused"),
            invalid: sends("invalid"),
            seconds: histogram!(SEND_SECONDS),
        }
    }

    pub(super) fn confirmed(&self, began: Instant) {
        self.confirmed.increment(1);
        self.seconds.record(began.elapsed().as_secs_f64());
    }

    /// One word for it.
    pub(super) fn failed(&self, error: &SendError, began: Instant) -> &'static str {
        self.seconds.record(began.elapsed().as_secs_f64());
        let (counter, word) = match error {
            SendError::QueueFull { .. } => (&self.full, "full"),
            SendError::BrokerUnavailable { .. } => (&self.unavailable, "unavailable"),
            SendError::Unknown { .. } => (&self.unknown, "unknown"),
            SendError::Refused { .. } | SendError::Levels(_) | SendError::Results(_) => {
                (&self.refused, "refused")
            }
            SendError::Name(_)
            | SendError::Arguments { .. }
            | SendError::TooLarge { .. }
            | SendError::NoTime { .. }
            | SendError::Delay(_) => (&self.invalid, "invalid"),
        };
        counter.increment(1);
        word
    }
}

/// Whether one breaker is open.
#[derive(Debug)]
pub(super) struct BreakerMetrics {
    open: Gauge,
    openings: Counter,
    is_open: bool,
}

impl BreakerMetrics {
    pub(super) fn new() -> Self {
        let open = gauge!(BREAKER_OPEN);
        open.increment(0.0);
        Self {
            open,
            openings: counter!(BREAKER_OPENINGS),
            is_open: false,
        }
    }

    pub(super) fn opened(&mut self) {
        if !std::mem::replace(&mut self.is_open, true) {
            self.open.increment(1.0);
            self.openings.increment(1);
        }
    }

    pub(super) fn closed(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.open.decrement(1.0);
        }
    }
}

impl Drop for BreakerMetrics {
    fn drop(&mut self) {
        self.closed();
    }
}
