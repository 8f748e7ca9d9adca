//! Broker and database of the demo: in this process and a temporary folder, or real ones.

use super::DemoArgs;
use super::books::Unaccounted;
use super::producers::Sent;
use crate::command::{init, topology};
use crate::failure::{Code, Failure};
use crate::open;
use chrono::{DateTime, Utc};
use counterfoil_store::{ParkedFilter, Store, StoreOptions};
use counterfoil_toolbox::config::{BrokerSettings, Config, DatabaseSettings};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Where everything takes place.
pub(super) struct Stage {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) names: Names,
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Config,
    /// Who wants the tasks of this demo: tells them apart from others in the same database.
    pub(super) creator: String,
    /// When it began, by this machine's clock.
    pub(super) since: DateTime<Utc>,
    broker: String,
    /// Nobody else uses the broker.
    is_alone: bool,
    /// The database is a file in `folder`.
    has_own_database: bool,
    folder: Folder,
}

enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Stage {
    /// Opens broker and database, migrates, and applies the topology.
    pub(super) async fn set(args: &DemoArgs, mut config: Config) -> Result<Self, Failure> {
        let folder = folder(args.keep.as_deref())?;
        config.broker.services = counterfoil_demo::services();
        config.worker.queues.clear();
        config.sync.health_bind = None;
        let store = store(args, &config, folder.path()).await?;
        store.migrate().await?;
        store.prepare_months().await?;
        let is_alone = args.amqp_url.is_none();
        let (transport, broker) = match is_alone {
            true => (
                Arc::new(MemoryBroker::new()) as Arc<dyn Transport>,
                "in memory".to_owned(),
            ),
            false => (
                open::broker(&config.broker).await?,
                open::addresses(&config.broker),
            ),
        };
        if !is_alone {
            ensure_unused(&*transport, &open::names(&config.broker)?).await?;
        }
        let applied = apply(&*transport, &config.broker).await?;
        if applied.queues_created > 0 && !is_alone {
            tokio::time::sleep(init::QUEUE_AGE).await;
        }
        Ok(Self {
            transport,
            names: open::names(&config.broker)?,
            store,
            creator: format!("demo-{}", TaskId::random()),
            since: Utc::now(),
            config,
            broker,
            is_alone,
            has_own_database: args.database_url.is_none(),
            folder,
        })
    }

    /// The broker, for people.
    pub(super) fn broker(&self) -> &str {
        &self.broker
    }

    /// The database, for people.
    pub(super) fn database(&self) -> &str {
        match self.folder {
            Folder::Temporary(_) if self.has_own_database => {
                "a temporary SQLite file (--keep DIR keeps it)"
            }
            Folder::Temporary(_) | Folder::Kept(_) => self.store.server(),
        }
    }

    /// Where exports go.
    pub(super) fn exports(&self) -> PathBuf {
        self.folder.path().join("exports")
    }

    /// What is left lying about after everybody has gone: parked messages, and on a broker of our
    /// own anything that waits.
    pub(super) async fn leftovers(&self, sent: &[Sent]) -> Result<Vec<Unaccounted>, Failure> {
        let ours: HashSet<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
        let is_ours = |id: Option<&str>| self.is_alone || id.is_some_and(|id| ours.contains(id));
        let mut left = Vec::new();
        for parked in self.store.parked(&ParkedFilter::default()).await? {
            if parked.parked_at >= self.since && is_ours(parked.task_id.as_deref()) {
                left.push(Unaccounted::parked(&parked));
            }
        }
        if self.is_alone {
            left.extend(self.waiting().await?);
        }
        Ok(left)
    }

    async fn waiting(&self) -> Result<Vec<Unaccounted>, Failure> {
        let names = &self.names;
        let services = &self.config.broker.services;
        let queues = services.iter().map(|service| names.service_queue(service));
        let queues = queues.chain([
            names.tracking_queue.clone(),
            names.events_queue.clone(),
            names.deaths_queue.clone(),
            names.unroutable_queue.clone(),
            names.expired_queue.clone(),
            names.platform_dead_queue.clone(),
        ]);
        let mut left = Vec::new();
        for queue in queues {
            let ready = self
                .transport
                .depth(&queue)
                .await?
                .map_or(0, |depth| depth.ready);
            if ready > 0 {
                left.push(Unaccounted::waiting(&queue, ready));
            }
        }
        Ok(left)
    }

    /// Closes everything, and says where what is kept can be looked at.
    pub(super) async fn strike(self) {
        self.transport.close().await;
        self.store.close().await;
        match self.folder {
            Folder::Kept(folder) => {
                let file = database_file(&folder);
                if file.exists() {
                    let file = file.display();
                    eprintln!(
                        "look at it: COUNTERFOIL_DATABASE__URL=sqlite://{file} counterfoil task list"
                    );
                }
            }
            Folder::Temporary(folder) => {
                // A task that was interrupted may write its file just now: then it takes a second try.
                let removed = std::fs::remove_dir_all(folder.path());
                if let Err(error) = removed.or_else(|_| folder.close()) {
                    eprintln!("warning: the temporary folder could not be removed: {error}");
                }
            }
        }
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// The demo's daemon would take a platform's messages and write them where nobody looks.
async fn ensure_unused(transport: &dyn Transport, names: &Names) -> Result<(), Failure> {
    let queue = &names.tracking_queue;
    let depth = transport.depth(queue).await?;
    let consumers = depth.map_or(0, |depth| depth.consumers);
    if consumers == 0 {
        return Ok(());
    }
    let text = format!("the broker is in use: {queue} has {consumers} consumers");
    Err(Failure::new(Code::Configuration, anyhow::anyhow!(text))
        .remedy("give the demo a virtual host of its own, as in --amqp-url amqp://…/demo"))
}

fn folder(keep: Option<&Path>) -> Result<Folder, Failure> {
    let made = match keep {
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| std::path::absolute(folder))
            .map(Folder::Kept),
        None => tempfile::Builder::new()
            .prefix("counterfoil-demo-")
            .tempdir()
            .map(Folder::Temporary),
    };
    made.map_err(|error| {
        Failure::failed(format!("the folder for the demo cannot be made: {error}"))
    })
}

fn database_file(folder: &Path) -> PathBuf {
    folder.join("counterfoil.db")
}

async fn store(args: &DemoArgs, config: &Config, folder: &Path) -> Result<Arc<dyn Store>, Failure> {
    let defaults = DatabaseSettings::default();
    let configured = config.database.as_ref().unwrap_or(&defaults);
    let url = match args.database_url {
        Some(_) => configured.url.clone(),
        None => format!("sqlite://{}", database_file(folder).display()).into(),
    };
    let options = StoreOptions {
        url,
        acquire_timeout: config.broker.connect_timeout,
        ..StoreOptions::from(configured)
    };
    Ok(counterfoil_store::connect(&options).await?)
}

async fn apply(
    transport: &dyn Transport,
    settings: &BrokerSettings,
) -> Result<init::Applied, Failure> {
    let applied = init::apply_topology(transport, topology::wanted(settings)?).await?;
    let Some(wrong) = applied.wrong.first() else {
        return Ok(applied);
    };
    let error = anyhow::anyhow!("{} is not as it is declared: {:?}", wrong.item, wrong.state);
    Err(Failure::new(Code::Configuration, error).remedy("see `counterfoil topology plan`"))
}
