//! The daemon: its parts, started together and stopped in order.

use crate::error::SyncError;
use crate::feeds::Appetite;
use crate::gather::Rhythm;
use crate::health::{self, Health};
use crate::leader::Leader;
use crate::pump::Pump;
use crate::said::Listener;
use crate::start;
use counterfoil_store::Store;
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::topology::{Names, QueueSettings};
use counterfoil_toolbox::transport::Transport;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the parts beside the loop may take to end.
const REST: Duration = Duration::from_secs(5);

/// Mirrors every task into the platform database. Any number of them may run at once.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use counterfoil_sync::{Daemon, SyncError};
/// # use counterfoil_toolbox::{config::BrokerSettings, transport::Transport};
/// # async fn example(transport: Arc<dyn Transport>, store: Arc<dyn counterfoil_store::Store>) -> Result<(), SyncError> {
/// let names = BrokerSettings::default().names().expect("the defaults are valid");
/// let daemon = Daemon::new(transport, names, store, Default::default());
/// daemon.run_until(async { tokio::signal::ctrl_c().await.ok(); }).await
/// # }
/// ```
#[derive(Debug)]
pub struct Daemon {
    transport: Arc<dyn Transport>,
    names: Names,
    store: Arc<dyn Store>,
    settings: SyncSettings,
    queue_settings: QueueSettings,
    health: Arc<Health>,
}

impl Daemon {
    /// A daemon that does nothing yet. It closes neither `transport` nor `store`.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        settings: SyncSettings,
    ) -> Self {
        Self {
            transport,
            names,
            store,
            health: Arc::new(Health::new(
                settings.ready_backlog,
                settings.canary_interval,
            )),
            settings,
            queue_settings: QueueSettings::default(),
        }
    }

    /// Where the arguments of queues come from that it declares, those of tokens. Default: from their
    /// declaration.
    #[must_use]
    pub fn queue_settings(mut self, settings: QueueSettings) -> Self {
        self.queue_settings = settings;
        self
    }

    /// How it is doing, for as long as anybody wants to know.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Mirrors until `signal`, then writes what it holds and ends. Where broker or database are
    /// away it waits for them.
    ///
    /// # Errors
    /// [`SyncError`] when waiting does not help, or when what it held could not be written: then
    /// the broker still has it.
    ///
    /// # Cancel safety
    /// Cancelled, nothing is lost: the broker delivers again what was not acknowledged. The parts
    /// end by themselves.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<(), SyncError> {
        let stop = CancellationToken::new();
        let stop_rest = CancellationToken::new();
        // Whatever way this future ends, its parts do too.
        let _guards = (stop.clone().drop_guard(), stop_rest.clone().drop_guard());
        let rest = TaskTracker::new();
        if let Some(address) = &self.settings.health_bind {
            let listener = health::http::bind(address).await?;
            let serving = health::http::serve(listener, self.health(), stop_rest.clone());
            rest.spawn(serving);
        }
        let running = self.mirror(&stop, &rest);
        tokio::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = signal => {
                tracing::info!("stopping: what is in hand is written first");
                self.health.stopping();
                stop.cancel(); // 1 no new deliveries, no new rounds of the leader's
                running.await  // 2 what is in hand is written and acknowledged
            }
        };
        stop.cancel();
        stop_rest.cancel(); // 3 health checks end last
        rest.close();
        if tokio::time::timeout(REST, rest.wait()).await.is_err() {
            tracing::warn!("some parts did not end in time");
        }
        ended
    }

    async fn mirror(&self, stop: &CancellationToken, rest: &TaskTracker) -> Result<(), SyncError> {
        start::wait(
            &*self.transport,
            &self.names,
            &*self.store,
            &self.health,
            &self.settings,
            stop,
        )
        .await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        rest.spawn(health::monitor::run(
            Arc::clone(&self.transport),
            self.names.clone(),
            Arc::clone(&self.store),
            self.health(),
            stop.clone(),
        ));
        let leader = rest.spawn(self.leader().run(stop.clone()));
        let pump = self.pump().run(stop.clone());
        tokio::select! {
            ended = pump => ended,
            // Without it finalizers, schedules and rescues would stand still, and nobody would notice.
            Err(error) = leader => Err(SyncError::Panicked(error)),
        }
    }

    fn leader(&self) -> Leader {
        Leader {
            transport: Arc::clone(&self.transport),
            names: self.names.clone(),
            store: Arc::clone(&self.store),
            health: self.health(),
            settings: self.settings.clone(),
            queue_settings: self.queue_settings,
        }
    }

    fn pump(&self) -> Pump {
        Pump {
            transport: Arc::clone(&self.transport),
            names: self.names.clone(),
            store: Arc::clone(&self.store),
            health: self.health(),
            rhythm: Rhythm {
                appetite: Appetite {
                    messages: self.settings.batch_size.max(1),
                    bytes: self.settings.batch_bytes.max(1),
                },
                wait: self.settings.batch_wait,
            },
            listener: Arc::new(Mutex::new(Listener::new(&self.settings.celery_services))),
        }
    }
}
