//! How the daemon is doing: facts that its parts note down, and the report made of them.

mod foreign;
pub(crate) mod http;
pub(crate) mod monitor;
mod report;

pub use report::{CanaryReport, DatabaseReport, FeedReport, Report};

use crate::feeds::Feed;
use crate::gather::Tally;
use crate::metrics::Metrics;
use chrono::{DateTime, Utc};
use counterfoil_store::{OutboxState, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::SubscriptionStatus;
use foreign::{Foreign, tells};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Silence of the loop after which it is taken for stuck. A batch is read in milliseconds.
const STUCK: Duration = Duration::from_secs(30);

/// How long messages may be in hand, or a write may fail, before the database is behind by that.
const LATE: Duration = Duration::from_secs(1);

/// How often a wait shows that it goes on.
const TICK: Duration = Duration::from_secs(1);

/// What the daemon knows of itself. Shared by all of its parts, and by whoever runs it.
#[derive(Debug)]
pub struct Health {
    facts: Mutex<Facts>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Facts {
    started: Instant,
    phase: Phase,
    last_tick: Instant,
    last_commit: Option<(Instant, DateTime<Utc>)>,
    in_hand: usize,
    oldest: Option<Instant>,
    /// What the database said last, and since when it says nothing better.
    database: Option<(Instant, String)>,
    database_answered: bool,
    feeds: Vec<(Feed, watch::Receiver<SubscriptionStatus>)>,
    backlog: BTreeMap<&'static str, u32>,
    ready_backlog: u32,
    messages: u64,
    redelivered: u64,
    leads: bool,
    canary: Canary,
    outbox: Option<OutboxState>,
    foreign: Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
}

/// What became of the last canary that this daemon sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Canary {
    /// None was sent, or it is still on its way.
    #[default]
    Unknown,
    /// It was seen everywhere.
    Seen {
        /// When it was sent.
        sent_at: DateTime<Utc>,
    },
    /// It was not seen in these places.
    Missed {
        /// When it was sent.
        sent_at: DateTime<Utc>,
        /// Where it did not come through.
        missing: Vec<&'static str>,
    },
}

impl Health {
    /// Not ready while more than `ready_backlog` messages wait in one of the queues.
    pub(crate) fn new(ready_backlog: u32, canary_interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            facts: Mutex::new(Facts {
                started: now,
                phase: Phase::Starting,
                last_tick: now,
                last_commit: None,
                in_hand: 0,
                oldest: None,
                database: None,
                database_answered: false,
                feeds: Vec::new(),
                backlog: BTreeMap::new(),
                ready_backlog,
                messages: 0,
                redelivered: 0,
                leads: false,
                canary: Canary::Unknown,
                outbox: None,
                foreign: Foreign::new(canary_interval),
            }),
            metrics: Metrics::new(),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // A panic elsewhere cannot leave these facts half written: each is one assignment.
        self.facts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The loop went round.
    pub(crate) fn tick(&self) {
        self.facts().last_tick = Instant::now();
    }

    /// Waits for something that has a deadline of its own: meanwhile the loop is not stuck.
    pub(crate) async fn while_waiting<T>(&self, awaited: impl Future<Output = T>) -> T {
        let mut ticks = tokio::time::interval(TICK);
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                biased;
                outcome = &mut awaited => {
                    self.tick();
                    return outcome;
                }
                _ = ticks.tick() => self.tick(),
            }
        }
    }

    /// Consuming begins.
    pub(crate) fn watch(&self, feeds: Vec<(Feed, watch::Receiver<SubscriptionStatus>)>) {
        let mut facts = self.facts();
        facts.feeds = feeds;
        facts.phase = Phase::Running;
    }

    /// The daemon was asked to stop.
    pub(crate) fn stopping(&self) {
        self.facts().phase = Phase::Stopping;
    }

    /// What has gathered and is not being written yet.
    pub(crate) fn holds(&self, messages: usize, oldest: Option<Instant>) {
        let mut facts = self.facts();
        (facts.in_hand, facts.oldest) = (messages, oldest);
        self.metrics.holds(messages);
    }

    /// A transaction was committed.
    pub(crate) fn committed(&self) {
        self.facts().last_commit = Some((Instant::now(), Utc::now()));
        self.database_answered();
    }

    /// A batch was acknowledged.
    pub(crate) fn settled(&self, tally: Tally) {
        self.metrics.settled(&tally.content);
        let mut facts = self.facts();
        facts.messages += u64::try_from(tally.messages).unwrap_or(u64::MAX);
        facts.redelivered += u64::try_from(tally.stale).unwrap_or(u64::MAX);
    }

    pub(crate) fn database_answered(&self) {
        let mut facts = self.facts();
        if let Some((since, _)) = facts.database.take() {
            let away = since.elapsed();
            tracing::info!(?away, "the database answers again");
        }
        facts.database_answered = true;
    }

    pub(crate) fn database_failed(&self, error: &StoreError) {
        let mut facts = self.facts();
        let since = facts
            .database
            .take()
            .map_or_else(Instant::now, |(since, _)| since);
        facts.database = Some((since, ErrorChain(error).to_string()));
    }

    /// Canaries came by that somebody sent who has another database.
    pub(crate) fn foreign_canaries(&self, canaries: &[Uuid]) {
        // As after nearly every batch.
        if canaries.is_empty() {
            return;
        }
        let mut facts = self.facts();
        let running = facts.started.elapsed();
        let is_telling = canaries.iter().any(|id| tells(id, Utc::now(), running));
        if is_telling && facts.foreign.seen(Instant::now()) {
            tracing::error!(
                "another counterfoil-sync reads the queues of this broker for another database, so each writes down a part of what happens: end it, or give both the same database.url"
            );
        }
    }

    /// Whether the database failed when it was last asked.
    pub(crate) fn database_fails(&self) -> bool {
        self.facts().database.is_some()
    }

    pub(crate) fn backlog(&self, feed: Feed, ready: u32) {
        self.facts().backlog.insert(feed.as_str(), ready);
        self.metrics.backlog(feed, ready);
    }

    pub(crate) fn leads(&self, leads: bool) {
        let mut facts = self.facts();
        facts.leads = leads;
        self.metrics.leads(leads);
        if !leads {
            self.metrics.outbox(None);
            self.metrics.sessions(0);
            facts.canary = Canary::Unknown;
            facts.outbox = None;
        }
    }

    pub(crate) fn outbox(&self, state: OutboxState) {
        self.facts().outbox = Some(state);
        self.metrics.outbox(Some(state));
    }

    /// So many are open. Whoever leads now tells of it, if that is another daemon.
    pub(crate) fn sessions(&self, open: i64) {
        let facts = self.facts();
        if facts.leads {
            self.metrics.sessions(open);
        }
    }

    pub(crate) fn canary(&self, canary: Canary) {
        if let Canary::Missed { .. } = canary {
            self.metrics.canary_missed();
        }
        self.facts().canary = canary;
    }

    /// What is counted beside.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether this daemon leads.
    pub(crate) fn is_leading(&self) -> bool {
        self.facts().leads
    }

    /// Sets what is measured now and then: whether it does its work, and how far it is behind.
    pub(crate) fn measure(&self) {
        let report = self.report();
        self.metrics.ready(report.ready);
        let waiting = report
            .broker
            .values()
            .any(|feed| feed.waiting.unwrap_or(0) > 0);
        let facts = self.facts();
        // What a database that fails has got is not in hand any more, and nothing new comes.
        let failing = facts.database.as_ref().map(|(since, _)| *since);
        let since = facts.oldest.into_iter().chain(failing).min();
        match since.map(|since| since.elapsed()) {
            // What was in hand when the last batch was written may be older by its own word.
            Some(here) if here > LATE => self.metrics.lags(Some(here)),
            None if !waiting => self.metrics.lags(None),
            Some(_) | None => {}
        }
    }

    /// Whether the loop goes round: an answer to "should this process be restarted?".
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.facts().last_tick.elapsed() < STUCK
    }

    /// Everything about the daemon's condition.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(&self.facts())
    }
}

#[cfg(test)]
mod tests;
