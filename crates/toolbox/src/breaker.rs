//! The circuit breaker: whether trying the broker is worth a sender's time. Pure: time comes in as an
//! argument.
//!
//! **Closed**, everything passes, and failures in a row are counted. `fail_max` of them open it.
//! **Open**, nothing passes until `reset_timeout` is over. **Half-open**, one sender probes the broker
//! while the others are still refused: its success closes the breaker, its failure opens it again.
//!
//! It also hears of the connection. While that cannot be made nobody probes, since whoever connects
//! does, and wastes no sender's time; once it is made the breaker is closed at once. A connection that
//! was never lost says nothing, so a broker that takes messages and confirms none needs the probe.

use crate::config::BreakerSettings;
use std::time::Duration;
use tokio::time::Instant;

/// A circuit breaker.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    /// After how long a probe of which nobody has heard holds up the next one no longer.
    probe_timeout: Duration,
    state: State,
    /// The connection cannot be made, or not be used; when that is tried again.
    away: Option<Instant>,
    /// Counts changes of state: what passed before the last one says nothing about the broker of now.
    era: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        /// When the next sender may probe.
        due: Instant,
    },
    HalfOpen {
        due: Instant,
        /// When the probe under way is given up for lost.
        overdue: Instant,
    },
}

/// Leave to try the broker once, by which the outcome is told. One that is told nothing of must be
/// [released](Breaker::release).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    era: u64,
}

impl Breaker {
    /// A closed breaker. A probe should be over after `probe_timeout`.
    pub(crate) fn new(settings: BreakerSettings, probe_timeout: Duration) -> Self {
        Self {
            settings,
            probe_timeout,
            state: State::Closed { failures: 0 },
            away: None,
            era: 0,
        }
    }

    /// Leave to send, unless the breaker is open.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        let due = match self.state {
            State::Closed { .. } => return Some(Ticket { era: self.era }),
            State::Open { due } | State::HalfOpen { due, .. } => due,
        };
        if self.free_at().is_none_or(|free| now < free) {
            return None;
        }
        let overdue = now + self.probe_timeout;
        self.change(State::HalfOpen { due, overdue });
        Some(Ticket { era: self.era })
    }

    /// The broker has answered what passed with `ticket`.
    pub(crate) fn succeeded(&mut self, ticket: Ticket) {
        if !self.is_current(ticket) {
            return;
        }
        match self.state {
            State::Closed { .. } => self.state = State::Closed { failures: 0 },
            State::Open { .. } | State::HalfOpen { .. } => self.close(),
        }
    }

    /// The broker has failed what passed with `ticket`.
    pub(crate) fn failed(&mut self, ticket: Ticket, now: Instant) {
        if self.is_current(ticket) {
            self.count_failure(now);
        }
    }

    /// Nobody will say what became of what passed with `ticket`: if it was the probe, the next sender
    /// is.
    pub(crate) fn release(&mut self, ticket: Ticket) {
        if let State::HalfOpen { due, .. } = self.state
            && self.is_current(ticket)
        {
            self.change(State::Open { due });
        }
    }

    /// A connection could not be made, or the broker takes nothing through it. `again`: when that is
    /// tried again.
    pub(crate) fn disconnected(&mut self, now: Instant, again: Instant) {
        self.away = Some(again);
        self.count_failure(now);
    }

    /// The connection can be used. After it could not, the breaker is closed.
    pub(crate) fn connected(&mut self) {
        if self.away.take().is_some() {
            self.close();
        }
    }

    /// Whether everything passes.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether its state is still that in which it gave `ticket` away.
    pub(crate) fn is_current(&self, ticket: Ticket) -> bool {
        ticket.era == self.era
    }

    /// When the next sender may probe: it may be over. `None`: all pass, or nobody does while the
    /// connection is away.
    pub(crate) fn free_at(&self) -> Option<Instant> {
        match (self.away, self.state) {
            (Some(_), _) | (None, State::Closed { .. }) => None,
            (None, State::Open { due }) => Some(due),
            (None, State::HalfOpen { overdue, .. }) => Some(overdue),
        }
    }

    /// How long until the broker is tried again; nothing while that is under way.
    pub(crate) fn tried_again_in(&self, now: Instant) -> Duration {
        let at = match (self.away, self.state) {
            (Some(again), _) => again,
            (None, State::Closed { .. } | State::HalfOpen { .. }) => now,
            (None, State::Open { due }) => due,
        };
        at.saturating_duration_since(now)
    }

    fn count_failure(&mut self, now: Instant) {
        let due = now + self.settings.reset_timeout;
        match self.state {
            State::Closed { failures } if failures + 1 < self.settings.fail_max => {
                let failures = failures + 1;
                self.state = State::Closed { failures };
            }
            State::Closed { .. } | State::HalfOpen { .. } => self.change(State::Open { due }),
            State::Open { .. } => self.state = State::Open { due },
        }
    }

    fn close(&mut self) {
        self.change(State::Closed { failures: 0 });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

#[cfg(test)]
mod tests;
