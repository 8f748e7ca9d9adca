//! `workers`: who runs tasks, and asking one of them to be quiet or to stop.

mod tell;

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use chrono::{DateTime, Utc};
use counterfoil_operations::workers::{Wish, is_alive};
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::config::Needs;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct WorkersArgs {
    #[command(subcommand)]
    command: Option<WorkersCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum WorkersCommand {
    /// Ask a worker to take nothing new: it finishes what it runs and stays
    Quiet(tell::TellArgs),
    /// Ask a worker to end, as SIGTERM does
    Stop(tell::TellArgs),
}

#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    worker: WorkerRow,
    /// Whether it was heard of lately, and not for the last time.
    alive: bool,
}

pub(crate) async fn run(
    args: WorkersArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    match args.command {
        None => list(global, output).await,
        Some(WorkersCommand::Quiet(args)) => tell::run(args, Wish::Quiet, global, output).await,
        Some(WorkersCommand::Stop(args)) => tell::run(args, Wish::Stop, global, output).await,
    }
}

async fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    let now = store.clock().await?;
    let workers = store.workers().await?.into_iter();
    store.close().await;
    let lines: Vec<Line> = workers
        .map(|worker| Line {
            alive: is_alive(&worker, now),
            worker,
        })
        .collect();
    tell_if_nobody_is_heard_of(&lines, now);
    let columns = [
        words("WORKER"),
        words("SERVICE"),
        words("VERSION"),
        words("PHASE"),
        words("ALIVE"),
        words("CONTROL"),
        words("PAUSED"),
        numbers("RUNNING"),
        numbers("ENDED"),
        numbers("KNOWS"),
        words("LAST HEARD OF"),
    ];
    output.list(&lines, &columns, |line| row(line, now))
}

/// Where all fell silent, they need not be gone: perhaps nobody writes down what they say.
fn tell_if_nobody_is_heard_of(lines: &[Line], now: DateTime<Utc>) {
    let silent = lines.iter().filter(|line| !line.worker.has_stopped());
    let Some(last) = silent.map(|line| line.worker.last_heartbeat).max() else {
        return;
    };
    if lines.iter().all(|line| !line.alive) {
        let since = (now - last).num_seconds().max(0);
        eprintln!(
            "warning: no worker was heard of for {since} s: either all are gone, or counterfoil-sync does not write \
             down what they say; `counterfoil doctor` tells which"
        );
    }
}

/// What it is about, as far as it said so itself.
fn phase(Line { worker, alive }: &Line) -> String {
    match *alive || worker.has_stopped() {
        true => worker.phase.clone(),
        false => "gone".to_owned(),
    }
}

fn row(line: &Line, now: DateTime<Utc>) -> Vec<String> {
    let Line { worker, alive } = line;
    let tasks = worker
        .tasks
        .as_ref()
        .map(counterfoil_store::JsonText::to_value);
    let known = tasks.and_then(|tasks| Some(tasks.as_array()?.len()));
    let paused: Vec<String> = serde_json::from_value(worker.paused.to_value()).unwrap_or_default();
    let since = (now - worker.last_heartbeat).num_seconds().max(0);
    vec![
        worker.id.clone(),
        worker.service.clone(),
        worker.version.clone().unwrap_or_default(),
        phase(line),
        yes_or_no(*alive),
        yes_or_no(worker.follows_control),
        paused.join(", "),
        worker.running.to_string(),
        worker.processed.to_string(),
        known.map_or(String::new(), |known| known.to_string()),
        format!("{since} s ago"),
    ]
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}
