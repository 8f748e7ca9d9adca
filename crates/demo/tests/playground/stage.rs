//! A broker in memory with the playground's worker on it.

use anyhow::{Context, Result};
use counterfoil_demo::export::ExportFolder;
use counterfoil_demo::ledger::Ledger;
use counterfoil_demo::{Playground, register, services};
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::event::{Event, TaskFault};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::{ResultError, TaskHandle};
use counterfoil_toolbox::state::StateKey;
use counterfoil_toolbox::topology::{self, Names, QueueSettings};
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription, Transport};
use counterfoil_toolbox::{Producer, Task, TaskId, TaskState};
use counterfoil_worker::{Exit, Stopper, Worker};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Longest that anything may take, by the clock of the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A worker at work, and somebody who sends to it.
pub(crate) struct Stage {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) producer: Producer,
    pub(crate) folder: TempDir,
    stopper: Stopper,
    worker: JoinHandle<Exit>,
}

impl Stage {
    /// Starts one worker with default settings; ledger and exports go to a folder of its own.
    pub(crate) async fn start() -> Result<Self> {
        let settings = BrokerSettings::default();
        let names = settings.names()?;
        let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new());
        let mut items = topology::platform(&names, QueueSettings::default());
        for service in services() {
            items.extend(topology::service(
                &names,
                &service,
                &settings.service(&service),
            ));
        }
        topology::apply(&*transport, items).await?;
        let folder = tempfile::tempdir()?;
        let playground = Playground {
            ledger: Ledger::open(&folder.path().join("ledger"))?,
            exports: ExportFolder::new(folder.path().join("exports")),
        };
        let builder = Worker::builder(transport.clone(), names.clone(), WorkerSettings::default());
        let worker = register(builder, playground).build()?;
        let stopper = worker.stopper();
        Ok(Self {
            producer: Producer::listening(transport.clone(), names.clone(), "test").await?,
            worker: tokio::spawn(worker.run_until(std::future::pending())),
            transport,
            names,
            folder,
            stopper,
        })
    }

    /// Sends `task` and returns what its handler returned.
    pub(crate) async fn run<T: Task>(&self, task: T) -> Result<T::Output> {
        let mut handle = self.producer.send(task).await?;
        Ok(handle.result(PATIENCE).await?)
    }

    /// Sends `task`, which must fail, and returns why it did.
    pub(crate) async fn failure_of<T: Task>(&self, task: T) -> Result<TaskFault> {
        let mut handle: TaskHandle<T> = self.producer.send(task).await?;
        match handle.result(PATIENCE).await {
            Err(ResultError::Failed { fault, .. }) => Ok(fault),
            Err(other) => Err(other.into()),
            Ok(_) => anyhow::bail!("it succeeded"),
        }
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    /// Stops the worker after it has finished what it has.
    pub(crate) async fn drain(self) -> Result<()> {
        self.stopper.drain();
        let exit = tokio::time::timeout(PATIENCE, self.worker).await??;
        anyhow::ensure!(exit == Exit::Drained, "{exit:?}");
        Ok(())
    }

    /// Messages that wait in a queue.
    pub(crate) async fn ready(&self, queue: &QueueName) -> Result<u32> {
        let depth = self.transport.depth(queue).await?;
        Ok(depth.context("no such queue")?.ready)
    }
}

/// What the daemon would read: every event, as they come.
pub(crate) struct Mirror {
    events: Subscription,
    /// Of every task, the event that decides its state.
    pub(crate) tasks: HashMap<TaskId, Event>,
    /// All other events, log lines included.
    pub(crate) history: Vec<Event>,
}

impl Mirror {
    pub(crate) fn of(stage: &Stage) -> Self {
        let options = SubscribeOptions::new(stage.names.events_queue.clone(), 100);
        Self {
            events: Subscription::open(stage.transport.clone(), options),
            tasks: HashMap::new(),
            history: Vec::new(),
        }
    }

    /// Reads on until `count` tasks have ended.
    pub(crate) async fn read_until_ended(&mut self, count: usize) -> Result<()> {
        while self.ended() < count {
            let next = tokio::time::timeout(PATIENCE, self.events.next());
            let next = next.await.with_context(|| {
                format!("{} of {count} tasks ended, and no more came", self.ended())
            })?;
            let delivery = next.context("the broker is gone")?;
            let batch: Vec<Event> = serde_json::from_slice(&delivery.content.body)?;
            let _ = delivery.ack();
            batch.into_iter().for_each(|event| self.take(event));
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        self.history.push(event.clone());
        let known = self.tasks.get(&event.task_id).and_then(Event::key);
        if event.key() > known {
            self.tasks.insert(event.task_id.clone(), event);
        }
    }

    fn ended(&self) -> usize {
        let states = self.tasks.values().filter_map(state);
        states.filter(|state| state.is_terminal()).count()
    }
}

/// The state that an event reports; `None`: it is a log line.
pub(crate) fn state(event: &Event) -> Option<TaskState> {
    let _: StateKey = event.key()?;
    event.kind.as_str().parse().ok()
}
