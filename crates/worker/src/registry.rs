//! The tasks that a worker knows, by name.

use crate::error::BuildFault;
use crate::gate::Gate;
use crate::handler::Handler;
use crate::metrics::OfType;
use crate::tuned::Tuned;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use counterfoil_toolbox::{Rate, Task, TaskName};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A task with its handler.
pub(crate) struct Registered {
    pub(crate) name: TaskName,
    pub(crate) handler: Box<dyn Handler>,
    pub(crate) options: TaskOptions,
    /// Its limits on this worker, if it has any.
    gate: Option<Arc<Gate>>,
    /// Those that were changed since.
    tuned: Tuned,
    pub(crate) metrics: OfType,
    /// Whether the worker consumes the queue of its service because of it.
    pub(crate) has_queue: bool,
    /// How often its handler was started.
    begun: AtomicU64,
    schema: Value,
}

impl Registered {
    pub(crate) fn new<T: Task>(name: TaskName, handler: impl Handler + 'static) -> Self {
        let schema = schemars::schema_for!(T).to_value();
        Self::with(name, handler, T::options(), schema)
    }

    /// A task of any arguments.
    pub(crate) fn raw(
        name: TaskName,
        handler: impl Handler + 'static,
        options: TaskOptions,
    ) -> Self {
        // Whatever it is, it fits.
        Self::with(
            name,
            handler,
            options,
            Value::Object(serde_json::Map::new()),
        )
    }

    fn with(
        name: TaskName,
        handler: impl Handler + 'static,
        options: TaskOptions,
        schema: Value,
    ) -> Self {
        let gate = Gate::of(&options, Instant::now()).map(Arc::new);
        Self {
            metrics: OfType::new(name.as_str()),
            name,
            handler: Box::new(handler),
            tuned: Tuned::new(&options, gate.clone()),
            gate,
            options,
            has_queue: true,
            begun: AtomicU64::new(0),
            schema,
        }
    }

    /// The same, which comes by queues of others alone.
    pub(crate) fn without_queue(mut self) -> Self {
        self.has_queue = false;
        self
    }

    /// Its limits on this worker, as they hold now.
    pub(crate) fn gate(&self) -> Option<Arc<Gate>> {
        self.tuned.gate(self.gate.as_ref())
    }

    /// Its hard and soft time limit, as they hold now.
    pub(crate) fn time_limits(&self) -> (Option<Duration>, Option<Duration>) {
        self.tuned.time_limits(&self.options)
    }

    /// Its options, as they hold now.
    pub(crate) fn options_now(&self) -> TaskOptions {
        self.tuned.options(&self.options)
    }

    /// Lets it begin so often from now on.
    pub(crate) fn limit_rate(&self, rate: Option<Rate>) {
        self.tuned.limit_rate(&self.options, rate);
    }

    /// Lets it take so long from now on.
    pub(crate) fn limit_time(&self, hard: Option<Duration>, soft: Option<Duration>) {
        self.tuned.limit_time(hard, soft);
    }

    /// Its handler starts once more.
    pub(crate) fn begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// How often its handler was started.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// A limit of nothing, if it has one.
    pub(crate) fn no_time(&self) -> Option<BuildFault> {
        let (hard, soft) = (self.options.time_limit, self.options.soft_time_limit);
        let limits = [("time limit", hard), ("soft time limit", soft)];
        let none = |(_, limit): &(_, Option<Duration>)| *limit == Some(Duration::ZERO);
        let (limit, _) = limits.into_iter().find(none)?;
        let name = self.name.to_string();
        Some(BuildFault::NoTime { name, limit })
    }

    /// How many workers have vanished with a task of this type, if those are too many to begin it again.
    pub(crate) fn too_often_restarted(&self, task: &Envelope) -> Option<i32> {
        let is_early = self.options.ack == Ack::Early;
        let too_often = is_early && task.restarts.unsigned_abs() > self.options.max_restarts;
        too_often.then_some(task.restarts)
    }
}

/// Every task of a worker.
#[derive(Default)]
pub(crate) struct Registry(HashMap<Box<str>, Registered>);

impl Registry {
    /// Adds a task. `Err`: its name is taken.
    pub(crate) fn add(&mut self, task: Registered) -> Result<(), TaskName> {
        if self.0.contains_key(task.name.as_str()) {
            return Err(task.name);
        }
        self.0.insert(task.name.as_str().into(), task);
        Ok(())
    }

    pub(crate) fn get(&self, name: &TaskName) -> Option<&Registered> {
        self.0.get(name.as_str())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tasks in the order of their names.
    pub(crate) fn sorted(&self) -> Vec<&Registered> {
        let mut tasks: Vec<_> = self.0.values().collect();
        tasks.sort_by(|a, b| a.name.cmp(&b.name));
        tasks
    }

    /// Names with the JSON Schema of their arguments.
    pub(crate) fn schemas(&self) -> BTreeMap<TaskName, Value> {
        let tasks = self.0.values();
        tasks
            .map(|task| (task.name.clone(), task.schema.clone()))
            .collect()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
