//! Work that only one daemon does: the leader's rounds.

use crate::aborts::Aborter;
use crate::canary::Canaries;
use crate::chords::end_what_waits;
use crate::control::Controls;
use crate::doubles::revoke_doubles;
use crate::health::Health;
use crate::missing::Searcher;
use crate::relay::Relay;
use crate::rescue::Rescuer;
use crate::resend::Resender;
use crate::retention::Remover;
use crate::schedule::Scheduler;
use crate::start::prepare_months;
use crate::sweep::keep_short;
use crate::tokens::Treasurer;
use crate::trust;
use crate::watchdog::Watchdog;
use counterfoil_store::{LeaderGuard, Store};
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::{Names, QueueSettings};
use counterfoil_toolbox::transport::Transport;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Name of the lock.
const NAME: &str = "counterfoil-sync";

/// How often a daemon that does not lead asks whether nobody else does.
const ASK: Duration = Duration::from_secs(5);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Silence after which a worker is forgotten, and with it the schemas that only it announced. Longer
/// than a service is usually switched off.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What the leader needs.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) health: Arc<Health>,
    pub(crate) settings: SyncSettings,
    pub(crate) queue_settings: QueueSettings,
}

impl Leader {
    /// Leads whenever nobody else does, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ask = interval(ASK);
        while stop.run_until_cancelled(ask.tick()).await.is_some() {
            let elected = stop.run_until_cancelled(self.store.try_lead(NAME)).await;
            match elected {
                None => return,
                Some(Ok(Some(guard))) => {
                    tracing::info!("this daemon leads");
                    self.health.leads(true);
                    stop.run_until_cancelled(self.lead(guard)).await;
                    self.health.leads(false);
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    tracing::warn!(error = %ErrorChain(&error), "could not ask who leads");
                }
            }
        }
    }

    /// Works until the leadership is lost. What people ask of workers does not wait for the rounds.
    async fn lead(&self, guard: LeaderGuard) {
        let leading = Leading(Mutex::new(guard));
        let store = || Arc::clone(&self.store);
        let controls = Controls::new(&self.transport, self.names.clone(), store());
        let (names, health) = (self.names.clone(), Arc::clone(&self.health));
        let rescuer = Rescuer::new(&self.transport, names, store(), health);
        let names = self.names.clone();
        let watchdog = Watchdog::new(&self.transport, names, store(), &self.settings);
        let names = self.names.clone();
        let bound = self.settings.lost_after;
        let aborter = Aborter::new(&self.transport, names, store(), bound);
        let rules = self.settings.retention.clone();
        let remover = Remover::new(store(), rules, self.settings.retention_interval);
        let relay = Relay::new(
            &self.transport,
            self.names.clone(),
            store(),
            Arc::clone(&self.health),
            self.settings.outbox_interval,
        );
        let searcher = Searcher::new(
            &self.transport,
            self.names.clone(),
            store(),
            self.settings.lost_after,
        );
        tokio::select! {
            () = self.rounds(&leading) => {}
            () = relay.run(&leading) => {}
            () = Scheduler::new(store()).run(&leading) => {}
            () = controls.run() => {}
            () = rescuer.run(&leading) => {}
            () = watchdog.run(&leading) => {}
            () = aborter.run(&leading) => {}
            () = remover.run(&leading) => {}
            () = searcher.run(&leading) => {}
            () = revoke_doubles(store(), &leading) => {}
            () = end_what_waits(store(), &leading) => {}
            () = keep_short(store(), &leading) => {}
        }
    }

    /// One round after the other until the leadership is lost.
    ///
    /// # Cancel safety
    /// Cancelled between sending a task and marking it, the task is sent once more by the next
    /// leader.
    async fn rounds(&self, leading: &Leading) {
        let mut resender = Resender::new(
            Arc::clone(&self.transport),
            self.names.clone(),
            Arc::clone(&self.store),
            self.settings.unroutable_interval,
        );
        let mut canaries = Canaries::new(
            &self.transport,
            self.names.clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.health),
        );
        let mut treasurer = Treasurer::new(
            Arc::clone(&self.transport),
            self.names.clone(),
            self.queue_settings,
            Arc::clone(&self.store),
            self.settings.token_interval,
        );
        let mut tokens = interval(self.settings.token_interval);
        let mut resend = interval(self.settings.unroutable_interval);
        let mut canary = interval(self.settings.canary_interval);
        // As often: both wait for something that may come at any time.
        let mut hear_again = interval(self.settings.unroutable_interval);
        let mut housekeeping = interval(DAY);
        loop {
            let due = tokio::select! {
                _ = resend.tick() => Due::Resend,
                _ = canary.tick() => Due::Canary,
                _ = tokens.tick() => Due::Tokens,
                _ = hear_again.tick() => Due::HearAgain,
                _ = housekeeping.tick() => Due::Housekeeping,
            };
            if !leading.still().await {
                return;
            }
            let done = match due {
                Due::Resend => said(resender.round().await),
                Due::Canary => said(canaries.round().await),
                Due::Tokens => said(treasurer.round().await),
                Due::HearAgain => said(
                    trust::hear_again(&*self.store, &self.names, &self.settings.celery_services)
                        .await,
                ),
                Due::Housekeeping => {
                    prepare_months(&*self.store).await;
                    said(self.store.forget_skipped(FORGOTTEN).await).ok();
                    said(self.store.forget_workers(FORGOTTEN).await)
                }
            };
            if let Err(error) = done {
                tracing::warn!(error, ?due, "a round of the leader's ended early");
            }
        }
    }
}

/// What the leader does next.
#[derive(Debug, Clone, Copy)]
enum Due {
    Resend,
    Canary,
    Tokens,
    HearAgain,
    Housekeeping,
}

/// The outcome of a round, with its error in words.
fn said(done: Result<(), impl std::error::Error>) -> Result<(), String> {
    done.map_err(|error| ErrorChain(&error).to_string())
}

/// The leadership, for all that goes on under it.
#[derive(Debug)]
pub(crate) struct Leading(Mutex<LeaderGuard>);

impl Leading {
    /// Whether it still holds.
    pub(crate) async fn still(&self) -> bool {
        match self.0.lock().await.still_leads().await {
            Ok(true) => true,
            Ok(false) => {
                tracing::warn!("another daemon leads now");
                false
            }
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "this daemon does not lead any more");
                false
            }
        }
    }
}

/// Ticks that do not bunch up after a delay. An interval of nothing would be a busy loop.
fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
