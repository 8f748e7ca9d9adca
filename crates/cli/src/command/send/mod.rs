//! `send`: one task, or one per line of a file.

mod input;
mod schema;
mod taken;

use crate::args::Global;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::{open, when};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::Priority;
use counterfoil_toolbox::config::{Config, Needs};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::{ServiceName, TaskName};
use counterfoil_toolbox::producer::{
    Producer, RawTask, ResultError, SendError, SendOptions, Sending,
};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use futures::{StreamExt, stream};
use input::Order;
pub(crate) use input::related;
use schema::Occasion;
use serde_json::json;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Tasks of a file that are on their way to the broker at the same time.
const UNDER_WAY: usize = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// Name of the task, for example export.project
    name: TaskName,
    /// Arguments by keyword: a JSON object
    #[arg(value_name = "KWARGS", conflicts_with = "from")]
    kwargs: Option<String>,
    /// Arguments by position: a JSON array
    #[arg(long, value_name = "JSON", conflicts_with = "from")]
    args: Option<String>,
    /// One task per line: a JSON object of arguments by keyword, or an array by position; - reads
    /// standard input
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["id", "identifier", "wait"])]
    from: Option<PathBuf>,
    /// Wait so long before it runs: 10s, 5m
    #[arg(long, value_parser = when::duration, conflicts_with = "eta")]
    countdown: Option<Duration>,
    /// Run it not before this time (or duration from now)
    #[arg(long, value_name = "T", value_parser = when::ahead)]
    eta: Option<DateTime<Utc>>,
    /// Do not run it after this time (or duration from now)
    #[arg(long, value_name = "T", value_parser = when::ahead)]
    expires: Option<DateTime<Utc>>,
    /// high, normal or low: the share that it gets of the places of its service's workers, 6 : 3 : 1, where
    /// the service has priorities. What its type says in Rust is not known here
    #[arg(long, value_name = "CLASS", default_value_t)]
    priority: Priority,
    /// Retries after failures [default: as its type says]
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// End each execution after so long, and count it as failed [default: as its type says]
    #[arg(long, value_name = "DURATION", value_parser = input::limit)]
    time_limit: Option<Duration>,
    /// Tell the handler after so long that its time is nearly up [default: as its type says]
    #[arg(long, value_name = "DURATION", value_parser = input::limit)]
    soft_time_limit: Option<Duration>,
    /// Keep it so long once it is over: an hour at least [default: as the daemon's rules say]
    #[arg(long, value_name = "DURATION", value_parser = input::retention)]
    retention: Option<Duration>,
    /// Id of the task [default: a new one]; sent again under the same id, it has one row and may run again
    #[arg(long)]
    id: Option<TaskId>,
    /// Name for it among the living tasks of its type: of two with the same, the daemon revokes the later one
    #[arg(long)]
    identifier: Option<String>,
    /// Who wants the task
    #[arg(long)]
    creator: Option<String>,
    /// What the task is about
    #[arg(long, value_name = "TYPE:ID", value_parser = input::related)]
    related: Option<(String, String)>,
    /// Do not check the arguments against the task's schema
    #[arg(long)]
    unvalidated: bool,
    /// Wait for the end of the task and print its result
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, requires = "wait", value_parser = when::duration, default_value = "30s")]
    timeout: Duration,
}

pub(crate) async fn run(
    args: SendArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::BROKER)?;
    if let (Some(soft), Some(hard)) = (args.soft_time_limit, args.time_limit)
        && soft >= hard
    {
        return Err(Failure::usage(
            "--soft-time-limit must be shorter than --time-limit: the handler would be told when it is over",
        ));
    }
    let orders = match &args.from {
        Some(file) => input::from_file(file)?,
        None => vec![input::from_arguments(
            args.args.as_deref(),
            args.kwargs.as_deref(),
        )?],
    };
    if !args.unvalidated {
        schema::check(&config, &args.name, &orders, Occasion::Sending).await?;
    }
    let names = open::names(&config.broker)?;
    let transport = open::broker(&config.broker).await?;
    let result = if args.wait {
        wait(&args, &config, &transport, names, orders, output).await
    } else {
        // It was looked for just now; if it goes away in the middle of a file, waiting is worth while.
        let producer = Producer::builder(transport.clone(), names)
            .patient()
            .build();
        let sent = send_all(&args, &producer, orders, output).await;
        // Not every task belongs to a service that can have a queue of its name.
        let service = ServiceName::new(args.name.service());
        if let (Ok(()), Ok(service)) = (&sent, service) {
            let queue = producer.names().class_queue(&service, args.priority);
            taken::tell_if_nobody_has(&config, &*transport, &queue, &service).await;
        }
        sent
    };
    transport.close().await;
    result
}

/// Arguments of a schedule as they are typed, by position and by keyword, as JSON text; checked, if they are
/// to be.
pub(crate) async fn arguments(
    config: &Config,
    task: &TaskName,
    args: Option<&str>,
    kwargs: Option<&str>,
    unvalidated: bool,
) -> Result<(String, String), Failure> {
    let order = input::from_arguments(args, kwargs)?;
    let orders = [order];
    if !unvalidated {
        schema::check(config, task, &orders, Occasion::Scheduling).await?;
    }
    let [order] = orders;
    Ok((order.args, order.kwargs))
}

impl SendArgs {
    fn options(&self) -> SendOptions {
        let mut options = SendOptions::new().priority(self.priority);
        if let Some(id) = &self.id {
            options = options.id(id.clone());
        }
        if let Some(countdown) = self.countdown {
            options = options.countdown(countdown);
        }
        if let Some(eta) = self.eta {
            options = options.eta(eta);
        }
        if let Some(expires) = self.expires {
            options = options.expires(expires);
        }
        if let Some(retries) = self.max_retries {
            options = options.max_retries(retries);
        }
        if let Some(limit) = self.time_limit {
            options = options.time_limit(limit);
        }
        if let Some(limit) = self.soft_time_limit {
            options = options.soft_time_limit(limit);
        }
        if let Some(keep) = self.retention {
            options = options.retention(keep);
        }
        if let Some(identifier) = &self.identifier {
            options = options.identifier(identifier);
        }
        if let Some(creator) = &self.creator {
            options = options.creator(creator);
        }
        if let Some((kind, id)) = &self.related {
            options = options.related(kind, id);
        }
        options
    }

    fn task(&self, order: Order) -> RawTask {
        RawTask {
            name: self.name.clone(),
            args: order.args,
            kwargs: order.kwargs,
        }
    }
}

/// Sends every task, and prints their ids in the order of the file.
async fn send_all(
    args: &SendArgs,
    producer: &Producer,
    orders: Vec<Order>,
    output: &mut Output,
) -> Result<(), Failure> {
    let count = orders.len();
    // Handed over one after the other, so that they leave in order; confirmed many at a time.
    let begun = stream::iter(orders).then(|order| async {
        let line = order.line;
        (line, producer.begin(args.task(order), args.options()).await)
    });
    let confirmed = |(line, begun): (Option<usize>, Result<Sending, SendError>)| async move {
        let sent = match begun {
            Ok(sending) => sending.confirmed().await,
            Err(error) => Err(error),
        };
        (line, sent)
    };
    let mut sending = pin!(begun.map(confirmed).buffered(UNDER_WAY));
    let mut failures: Vec<(Option<usize>, SendError)> = Vec::new();
    let mut written = Ok(());
    while let Some((line, sent)) = sending.next().await {
        match sent {
            // Whoever reads the ids may leave early: the tasks are sent all the same.
            Ok(sent) if written.is_ok() => written = write_id(sent.id(), output),
            Ok(_) => {}
            Err(error) => failures.push((line, error)),
        }
    }
    let failed = failures.len();
    if written.is_err() {
        let sent = count - failed;
        eprintln!("{sent} of {count} tasks were sent, and not all of their ids were written");
    }
    match failures.pop() {
        None => written,
        Some((None, error)) => Err(error.into()),
        Some((Some(last), error)) => {
            for (line, error) in &failures {
                let line = line.unwrap_or_default();
                eprintln!(
                    "line {line}: {}",
                    counterfoil_toolbox::error::ErrorChain(error)
                );
            }
            let failure = Failure::from(error);
            Err(failure.context(format!(
                "{failed} of {count} tasks were not sent; line {last}"
            )))
        }
    }
}

fn write_id(id: &TaskId, output: &mut Output) -> Result<(), Failure> {
    match output.is_json() {
        true => output.document(&json!({ "task_id": id })),
        false => output.line(id),
    }
}

/// Sends one task and prints its result.
async fn wait(
    args: &SendArgs,
    config: &Config,
    transport: &Arc<dyn Transport>,
    names: Names,
    orders: Vec<Order>,
    output: &mut Output,
) -> Result<(), Failure> {
    let service = ServiceName::new(args.name.service())?;
    let queue = names.class_queue(&service, args.priority);
    let producer = Producer::builder(transport.clone(), names)
        .patient()
        .listening("counterfoil")
        .await?;
    for order in orders {
        let mut handle = producer
            .send_raw_awaited(args.task(order), args.options())
            .await?;
        eprintln!("sent {}", handle.id());
        taken::tell_if_nobody_has(config, &**transport, &queue, &service).await;
        let ended = handle.result(args.timeout).await;
        let id = handle.id();
        match ended {
            Ok(result) if output.is_json() => {
                output.document(&json!({"task_id": id, "state": "SUCCESS", "result": result}))?;
            }
            Ok(result) => output.json(result.get())?,
            Err(error) => {
                if let (true, ResultError::Failed { state, fault, .. }) = (output.is_json(), &error)
                {
                    output.document(&json!({"task_id": id, "state": state, "error": fault}))?;
                    output.flush()?;
                }
                return Err(unfinished(error, id));
            }
        }
    }
    Ok(())
}

fn unfinished(error: ResultError, id: &TaskId) -> Failure {
    let is_timeout = matches!(error, ResultError::Timeout { .. });
    let failure = Failure::new(Code::Failed, error);
    if is_timeout {
        return failure.remedy(format!(
            "it goes on: see `counterfoil why {id}`, or wait longer with --timeout"
        ));
    }
    failure
}
