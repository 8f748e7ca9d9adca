//! A worker that dies and comes again.

use crate::MemoryPlatform;
use crate::tasks::TestWorker;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::memory::{Faults, MemoryBroker};
use counterfoil_worker::{BuildError, Worker};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Builds the worker of a process on its own connection.
type Build = Box<dyn Fn(Arc<dyn Transport>) -> Result<Worker, BuildError> + Send + Sync>;

/// A process that is started again whenever it ends, as a supervisor does.
pub(super) struct Process {
    number: usize,
    build: Build,
    running: Mutex<Option<Running>>,
}

/// One life of a process.
pub(super) struct Running {
    pub(super) id: WorkerId,
    connection: MemoryBroker,
    worker: TestWorker,
}

impl Process {
    pub(super) fn new(number: usize, build: Build) -> Self {
        Self {
            number,
            build,
            running: Mutex::new(None),
        }
    }

    /// Builds the first worker, for its queues.
    pub(super) fn build(&self, platform: &MemoryPlatform) -> Result<Worker, BuildError> {
        (self.build)(Arc::new(platform.broker().connect()))
    }

    /// Starts it unless it runs. `false`: it did.
    pub(super) fn start(&self, platform: &MemoryPlatform) -> Result<bool, BuildError> {
        let mut running = self.running();
        if running.is_some() {
            return Ok(false);
        }
        *running = Some(self.life(platform)?);
        Ok(true)
    }

    fn life(&self, platform: &MemoryPlatform) -> Result<Running, BuildError> {
        let connection = platform.broker().connect();
        let worker = (self.build)(Arc::new(connection.clone()))?;
        Ok(Running {
            id: worker.id().clone(),
            connection,
            worker: TestWorker::run(worker),
        })
    }

    /// Starts another one beside the one that runs, and returns that.
    pub(super) fn replace(&self, platform: &MemoryPlatform) -> Result<Option<Running>, BuildError> {
        let another = self.life(platform)?;
        Ok(self.running().replace(another))
    }

    /// Takes the one that runs out, to be stopped.
    pub(super) fn take(&self) -> Option<Running> {
        self.running().take()
    }

    /// The same, if it has ended by itself.
    pub(super) fn take_ended(&self) -> Option<Running> {
        self.running().take_if(|running| running.worker.is_over())
    }

    pub(super) fn is_running(&self) -> bool {
        self.running().is_some()
    }

    /// Ways to disturb its connection.
    pub(super) fn faults(&self) -> Option<Faults> {
        let running = self.running();
        running.as_ref().map(|running| running.connection.faults())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Ends it as `kill -9` does. First its connection: whatever of it still runs is heard by nobody.
    pub(super) fn kill(self) {
        self.connection.hang_up();
        drop(self.worker);
    }

    /// Ends it as SIGTERM does.
    pub(super) async fn drain(self) -> anyhow::Result<()> {
        self.worker.drain().await?;
        self.connection.hang_up();
        Ok(())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.number)
    }
}
