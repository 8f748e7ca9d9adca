//! The report: what `/readyz` answers.

use super::{Canary, Facts, Phase, STUCK};
use chrono::{DateTime, Utc};
use counterfoil_store::OutboxState;
use counterfoil_toolbox::transport::SubscriptionStatus;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long messages may be in hand unwritten before the daemon counts as not ready.
const LATE: Duration = Duration::from_secs(30);

/// The condition of a daemon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether it does its work: nothing is in `problems`.
    pub ready: bool,
    /// Whether its loop goes round.
    pub alive: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// Version of the daemon.
    pub version: &'static str,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// The queues that it reads.
    pub broker: BTreeMap<&'static str, FeedReport>,
    /// The database.
    pub database: DatabaseReport,
    /// When the last transaction was committed.
    pub last_commit: Option<DateTime<Utc>>,
    /// Messages that have gathered and are not being written yet.
    pub in_hand: usize,
    /// Age of the oldest of them, in milliseconds.
    pub oldest_in_hand_ms: u64,
    /// Messages written since the start.
    pub messages: u64,
    /// Those of them whose acknowledgement was too late, and which came again.
    pub redelivered: u64,
    /// Whether this daemon is the one that sends tasks and canaries by itself.
    pub leader: bool,
    /// The last canary that this daemon sent.
    pub canary: CanaryReport,
    /// How the outbox was doing lately, while this daemon leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<OutboxState>,
}

/// One queue that the daemon reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// `consuming`, `connecting`, `down` or `stopped`.
    pub status: &'static str,
    /// What the broker or the network said, while it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Messages that wait, as of the last look; absent for queues that are not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
}

/// The database, as the daemon sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseReport {
    /// Whether it answered the last time that it was asked.
    pub reachable: bool,
    /// What it said instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For how many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// The last canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CanaryReport {
    /// `seen`, `missed`, or `unknown` while none is due.
    pub status: &'static str,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<DateTime<Utc>>,
    /// Where it did not come through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<&'static str>,
}

impl Report {
    pub(super) fn of(facts: &Facts) -> Self {
        let broker: BTreeMap<_, _> = facts
            .feeds
            .iter()
            .map(|(feed, status)| {
                let waiting = facts.backlog.get(feed.as_str()).copied();
                (feed.as_str(), FeedReport::of(&status.borrow(), waiting))
            })
            .collect();
        let database = DatabaseReport::of(facts);
        let canary = CanaryReport::of(&facts.canary);
        let alive = facts.last_tick.elapsed() < STUCK;
        let problems = problems(facts, &broker, &database, &canary);
        Self {
            ready: problems.is_empty(),
            alive,
            stopping: facts.phase == Phase::Stopping,
            problems,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: facts.started.elapsed().as_secs(),
            broker,
            database,
            last_commit: facts.last_commit.map(|(_, at)| at),
            in_hand: facts.in_hand,
            oldest_in_hand_ms: millis(facts.oldest.map(|at| at.elapsed())),
            messages: facts.messages,
            redelivered: facts.redelivered,
            leader: facts.leads,
            canary,
            outbox: facts.outbox,
        }
    }

    /// The report on one line, for `systemctl status`.
    #[must_use]
    pub fn line(&self) -> String {
        match self.problems.first() {
            Some(first) if self.problems.len() == 1 => first.clone(),
            Some(first) => format!("{first} (and {} more)", self.problems.len() - 1),
            None => {
                let waiting: u32 = self.broker.values().filter_map(|feed| feed.waiting).sum();
                let role = if self.leader { "leader, " } else { "" };
                format!(
                    "{role}{} messages written, {waiting} waiting",
                    self.messages
                )
            }
        }
    }
}

fn problems(
    facts: &Facts,
    broker: &BTreeMap<&'static str, FeedReport>,
    database: &DatabaseReport,
    canary: &CanaryReport,
) -> Vec<String> {
    let mut problems = Vec::new();
    match facts.phase {
        Phase::Starting => problems.push("starting".to_owned()),
        Phase::Stopping => problems.push("stopping".to_owned()),
        Phase::Running => {}
    }
    if facts.last_tick.elapsed() >= STUCK {
        problems.push("the loop is stuck".to_owned());
    }
    for (feed, report) in broker {
        if report.status != "consuming" {
            let reason = report.reason.as_deref().unwrap_or(report.status);
            problems.push(format!("queue of {feed}: {reason}"));
        }
        if let Some(waiting) = report
            .waiting
            .filter(|waiting| *waiting > facts.ready_backlog)
        {
            problems.push(format!(
                "far behind: {waiting} messages wait in the queue of {feed}"
            ));
        }
    }
    if let Some(error) = &database.error {
        problems.push(format!("database: {error}"));
    } else if !database.reachable {
        problems.push("database: not asked yet".to_owned());
    }
    if facts.oldest.is_some_and(|at| at.elapsed() >= LATE) {
        problems.push(format!("{} messages wait to be written", facts.in_hand));
    }
    if facts.foreign.is_there(Instant::now()) {
        problems
            .push("another counterfoil-sync reads these queues for another database".to_owned());
    }
    if !canary.missing.is_empty() {
        let missing = canary.missing.join(", ");
        problems.push(format!("the last canary did not come through: {missing}"));
    }
    problems
}

impl FeedReport {
    fn of(status: &SubscriptionStatus, waiting: Option<u32>) -> Self {
        let (status, reason) = match status {
            SubscriptionStatus::Consuming => ("consuming", None),
            SubscriptionStatus::Connecting => ("connecting", None),
            SubscriptionStatus::Down { reason, .. } => ("down", Some(reason.clone())),
            SubscriptionStatus::Paused => ("paused", None),
            SubscriptionStatus::Cancelled => ("stopped", None),
        };
        Self {
            status,
            reason,
            waiting,
        }
    }
}

impl DatabaseReport {
    fn of(facts: &Facts) -> Self {
        Self {
            reachable: facts.database.is_none() && facts.database_answered,
            error: facts.database.as_ref().map(|(_, error)| error.clone()),
            for_s: facts
                .database
                .as_ref()
                .map(|(since, _)| since.elapsed().as_secs()),
        }
    }
}

impl CanaryReport {
    fn of(canary: &Canary) -> Self {
        let (status, sent_at, missing) = match canary {
            Canary::Unknown => ("unknown", None, Vec::new()),
            Canary::Seen { sent_at } => ("seen", Some(*sent_at), Vec::new()),
            Canary::Missed { sent_at, missing } => ("missed", Some(*sent_at), missing.clone()),
        };
        Self {
            status,
            sent_at,
            missing,
        }
    }
}

fn millis(duration: Option<Duration>) -> u64 {
    duration.map_or(0, |duration| {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
    })
}
