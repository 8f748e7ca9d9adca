//! A worker of yours, tried at a real broker.
//!
//! `report` is what was found, `run` lets the worker run a task.

mod report;
mod run;

pub use report::SuiteReport;

use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::config::{Config, Declaring};
use counterfoil_toolbox::doctor::{
    Check, Duty, broker, broker_fault, permissions, probe, topology,
};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::start::prepare_queues;
use counterfoil_toolbox::topology::{self, Item, Names};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_worker::{Worker, WorkerBuilder};
use run::tried;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tries a worker at the broker of `config`, and says of everything that is wrong what mends it.
///
/// `register` adds handlers and state, as the worker's own `main` does; it is called more than once. In development
/// (`profile`) missing exchanges and queues are declared, in production they are only looked for. Then:
///
/// - the broker answers, and its version lacks nothing;
/// - exchanges and queues are there, of the right type and with the right arguments;
/// - the user may do what a worker of these services does;
/// - what is sent to each queue arrives there, and a copy of it in the tracking queue, exactly once;
/// - the worker starts, takes a task of the suite's own, runs it once, its result comes back, and it drains.
///
/// With a database in `config` (feature `servers`), the result must come there too, which takes a daemon. A file of
/// SQLite that is not there does not count.
///
/// No task of anybody else is disturbed. Where others consume a queue of the worker, the suite's own task could
/// reach them, so it is not sent, and that is a failed check: give the suite a virtual host of its own, or a
/// `broker.queue_prefix`. The task is called `<service>.functional-suite`; a daemon makes a row of it, and removes that
/// after an hour.
///
/// ```no_run
/// # use counterfoil_toolbox::config::{Config, LoadOptions, Role};
/// # use counterfoil_worker::WorkerBuilder;
/// # fn register(worker: WorkerBuilder) -> WorkerBuilder { worker }
/// # async fn example() -> anyhow::Result<()> {
/// let config = Config::load(LoadOptions::from_process(Role::Worker))?;
/// let report = counterfoil_testkit::functional_suite(&config, register).await?;
/// report.assert_ok();
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the worker cannot be built, or `config` names no broker. What is wrong at the broker is a failed check.
///
/// # Cancel safety
/// Cancelled, the worker stops at once. A message may be left in a queue: a worker drops a probe, and runs a task.
pub async fn functional_suite(
    config: &Config,
    register: impl Fn(WorkerBuilder) -> WorkerBuilder,
) -> anyhow::Result<SuiteReport> {
    let names = config.broker.names()?;
    let transport = AmqpTransport::new(&config.broker)?;
    let worker = Worker::builder(transport.clone(), names.clone(), config.worker.clone());
    let worker = register(worker.broker(&config.broker)).build()?;
    let suite = Suite {
        config,
        names: &names,
        services: services(&names, worker.queues()),
        queues: worker.queues().to_vec(),
        transport: transport.clone(),
    };
    drop(worker);
    let mut report = SuiteReport::default();
    suite.run(&register, &mut report).await?;
    transport.close().await;
    Ok(report)
}

/// What is tried, and where.
struct Suite<'a> {
    config: &'a Config,
    names: &'a Names,
    services: Vec<ServiceName>,
    queues: Vec<QueueName>,
    transport: Arc<AmqpTransport>,
}

impl Suite<'_> {
    /// Goes on for as long as what is wrong leaves something to look at.
    async fn run(
        &self,
        register: &impl Fn(WorkerBuilder) -> WorkerBuilder,
        report: &mut SuiteReport,
    ) -> anyhow::Result<()> {
        report.add(broker(&*self.transport).await);
        if report.has_failed() {
            return Ok(());
        }
        if let Err(error) = prepare_queues(&*self.transport, self.config, &self.queues).await {
            let remedy = "see the message; `counterfoil topology plan` tells all of it";
            report.add([Check::fail("queues", error.to_string(), remedy)]);
        }
        report.add(topology(&*self.transport, self.items()).await);
        for service in &self.services {
            let settings = self.config.broker.service(service);
            let duty = Duty::Worker { service, settings };
            report.add(permissions(&self.transport, self.names, &duty).await);
        }
        report.add(probe(&self.transport, &self.config.broker, &self.services).await);
        if !report.has_failed() {
            report.add(self.strangers().await);
        }
        if report.has_failed() {
            report.add([Check::warn(
                "task",
                "skipped: what failed above keeps a task from coming back",
                "mend that first, then run it again",
            )]);
            return Ok(());
        }
        report.add(tried(self, register).await?);
        Ok(())
    }

    /// What must be at the broker for this worker.
    fn items(&self) -> Vec<Item> {
        let broker = &self.config.broker;
        let mut items = topology::platform(self.names, broker.queue_settings);
        for service in &self.services {
            // Off: somebody else declares it in a way of their own.
            if broker.declaring(service) != Declaring::Off {
                items.extend(topology::service(
                    self.names,
                    service,
                    &broker.service(service),
                ));
            }
        }
        items
    }

    /// Whether somebody else consumes a queue of the worker.
    async fn strangers(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for queue in &self.queues {
            let consumers = match self.transport.depth(queue).await {
                Ok(depth) => depth.map_or(0, |depth| depth.consumers),
                Err(error) => {
                    checks.push(broker_fault(&error));
                    continue;
                }
            };
            if consumers > 0 {
                checks.push(Check::fail(
                    "strangers",
                    format!("others consume queue {queue}, and would get tasks of this suite"),
                    "set COUNTERFOIL_BROKER__QUEUE_PREFIX=test- (broker.queue_prefix), or use a virtual host of its own",
                ));
            }
        }
        checks
    }
}

/// The services of these queues.
fn services(names: &Names, queues: &[QueueName]) -> Vec<ServiceName> {
    let services = queues.iter().map(|queue| names.service_of(queue));
    // A service may have several of the queues; one may be somebody else's, with a name of its own.
    let services: BTreeSet<_> = services.collect();
    let services = services.into_iter().map(ServiceName::new);
    services.filter_map(Result::ok).collect()
}
