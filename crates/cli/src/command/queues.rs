//! `queues`: how full queues are, and who consumes them.

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use chrono::TimeDelta;
use counterfoil_operations::services::paused;
use counterfoil_toolbox::config::{Config, Needs};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::{Names, work_queues};
use counterfoil_toolbox::transport::{QueueDepth, Transport};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// One queue. Numbers are absent for a queue that does not exist.
#[derive(Debug, Serialize)]
struct Line {
    queue: QueueName,
    /// Absent for the platform's own queues.
    service: Option<ServiceName>,
    ready: Option<u32>,
    consumers: Option<u32>,
    /// Messages in the service's dead queue.
    dead: Option<u32>,
    /// Tasks of the service that were sent within the last minute, as far as they are mirrored.
    /// Absent when the database cannot be asked.
    sent_per_minute: Option<i64>,
    /// Whether somebody paused the service. Absent when the database cannot be asked.
    paused: Option<bool>,
}

/// What the database tells of a service.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    sent_per_minute: Option<i64>,
    paused: Option<bool>,
}

pub(crate) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BROKER)?;
    let names = open::names(&config.broker)?;
    let services = services(&config).await;
    let transport = open::broker(&config.broker).await?;
    let mut lines = Vec::new();
    for (service, told) in services {
        let mut own = of_service(&*transport, &config, &names, service).await?;
        if is_ghost(&own, &told, &config) {
            continue;
        }
        own[0].sent_per_minute = told.sent_per_minute;
        own.iter_mut().for_each(|line| line.paused = told.paused);
        lines.extend(own);
    }
    for queue in of_platform(&names) {
        let depth = transport.depth(queue).await?;
        lines.push(line(queue.clone(), None, depth));
    }
    transport.close().await;
    let columns = [
        words("QUEUE"),
        numbers("READY"),
        numbers("CONSUMERS"),
        numbers("DEAD"),
        numbers("SENT/MIN"),
        words("PAUSED"),
    ];
    output.list(&lines, &columns, |line| {
        let of_service = |text| match line.service {
            Some(_) => text,
            None => String::new(),
        };
        vec![
            line.queue.to_string(),
            number(line.ready),
            number(line.consumers),
            of_service(number(line.dead)),
            of_service(number(line.sent_per_minute)),
            match line.paused {
                Some(true) => "yes".to_owned(),
                Some(false) | None => String::new(),
            },
        ]
    })
}

/// Whether there is nothing of a service but a name in old tasks, as mistyped ones leave it.
fn is_ghost(queues: &[Line], told: &Told, config: &Config) -> bool {
    let broker = &config.broker;
    let is_configured = |service: &ServiceName| {
        broker.services.contains(service) || broker.queues.contains_key(service)
    };
    let is_missing = |line: &Line| line.ready.is_none() && line.dead.is_none();
    queues.iter().all(is_missing)
        && !queues
            .iter()
            .filter_map(|line| line.service.as_ref())
            .any(is_configured)
        && told.sent_per_minute == Some(0)
        && told.paused == Some(false)
}

fn number<N: ToString>(number: Option<N>) -> String {
    number.map_or("-".to_owned(), |n| n.to_string())
}

async fn of_service(
    transport: &dyn Transport,
    config: &Config,
    names: &Names,
    service: ServiceName,
) -> Result<Vec<Line>, Failure> {
    let dead = transport.depth(&names.dead_queue(&service)).await?;
    let dead = dead.map(|depth| depth.ready);
    let mut lines = Vec::new();
    for queue in work_queues(names, &service, &config.broker.service(&service)) {
        let depth = transport.depth(&queue).await?;
        lines.push(line(queue, Some(service.clone()), depth));
    }
    // It has one dead queue, told of beside its own.
    lines[0].dead = dead;
    Ok(lines)
}

fn line(queue: QueueName, service: Option<ServiceName>, depth: Option<QueueDepth>) -> Line {
    Line {
        queue,
        service,
        ready: depth.map(|depth| depth.ready),
        consumers: depth.map(|depth| depth.consumers),
        dead: None,
        sent_per_minute: None,
        paused: None,
    }
}

/// Those in which messages may wait. The control stream never empties, and signs of life expire.
fn of_platform(names: &Names) -> [&QueueName; 7] {
    [
        &names.tracking_queue,
        &names.events_queue,
        &names.deaths_queue,
        &names.expired_queue,
        &names.unroutable_queue,
        &names.celeryev_queue,
        &names.platform_dead_queue,
    ]
}

/// Services of the configuration, and those that the database knows, each with what that tells, if it
/// can be asked.
async fn services(config: &Config) -> BTreeMap<ServiceName, Told> {
    let configured = config.broker.services.iter();
    let configured = configured.chain(config.broker.queues.keys()).cloned();
    let mut services: BTreeMap<_, _> = configured
        .map(|service| (service, Told::default()))
        .collect();
    let is_there = config
        .database
        .as_ref()
        .is_some_and(|database| database.missing_file().is_none());
    if is_there {
        match told(config).await {
            Ok((lately, paused)) => {
                for (service, sent) in lately {
                    services.entry(service).or_default().sent_per_minute = Some(sent);
                }
                for (service, told) in &mut services {
                    told.sent_per_minute.get_or_insert(0);
                    told.paused = Some(paused.contains(service.as_str()));
                }
            }
            Err(failure) => eprint!("warning: services of the database are left out: {failure}"),
        }
    }
    services
}

/// How many tasks of each service were sent within the last minute, and which services are paused.
async fn told(config: &Config) -> Result<(Vec<(ServiceName, i64)>, HashSet<String>), Failure> {
    let store = open::database(config).await?;
    let since = store.clock().await? - TimeDelta::minutes(1);
    let workers = store.workers().await?.into_iter();
    let ever = store.services().await?.into_iter();
    let lately = store.counts_by_service(Some(since)).await?;
    let paused = paused(&*store).await?.into_iter();
    let paused: HashSet<String> = paused.map(|row| row.subject).collect();
    store.close().await;
    let names = workers.map(|worker| worker.service).chain(ever);
    let names = names.chain(paused.iter().cloned());
    let mut services = Vec::new();
    for name in names {
        let sent = lately.iter().filter(|count| count.service == name);
        let sent = sent.map(|count| count.tasks).sum();
        match ServiceName::new(&name) {
            Ok(service) => services.push((service, sent)),
            // Anybody may send a task of any name.
            Err(error) => tracing::debug!(error = %ErrorChain(&error), "no queue has this name"),
        }
    }
    Ok((services, paused))
}
