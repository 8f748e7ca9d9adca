//! `workers quiet`, `workers stop`

use super::is_alive;
use crate::args::Global;
use crate::asking::{Doer, ask, passed_on};
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_store::record::WorkerRow;
use counterfoil_store::{Batch, Store};
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::ids::WorkerId;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(super) struct TellArgs {
    /// Id of the worker, or how it begins
    id: String,
    #[command(flatten)]
    doer: Doer,
}

/// What a worker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Quiet,
    Stop,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    worker: &'a WorkerId,
    asked: &'static str,
    /// Whether a daemon has told it.
    passed_on: bool,
}

pub(super) async fn run(
    args: TellArgs,
    wish: Wish,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    let worker = find(&*store, &args.id).await?;
    let order = match wish {
        Wish::Quiet => Order::Quiet {
            worker: worker.clone(),
        },
        Wish::Stop => Order::Stop {
            worker: worker.clone(),
        },
    };
    let mut batch = Batch::new();
    let doer = args.doer.or_user();
    let asked = batch.ask(order, doer.name(), store.clock().await?);
    ask(&*store, &batch).await?;
    let passed_on = passed_on(&*store, &[asked]).await?;
    store.close().await;
    if output.is_json() {
        return output.document(&Answer {
            worker: &worker,
            asked: match wish {
                Wish::Quiet => "quiet",
                Wish::Stop => "stop",
            },
            passed_on,
        });
    }
    output.line(match wish {
        Wish::Quiet => format!(
            "worker {worker} is asked to take nothing new; it finishes what it runs and stays"
        ),
        Wish::Stop => format!("worker {worker} is asked to finish what it runs and to end"),
    })
}

/// The living worker with this id, or with the one id that begins so.
async fn find(store: &dyn Store, id: &str) -> Result<WorkerId, Failure> {
    let remedy = "see `counterfoil workers`";
    let now = store.clock().await?;
    let workers = store.workers().await?;
    let exact = workers.iter().find(|worker| worker.id == id);
    let begins: Vec<&WorkerRow> = match exact {
        Some(worker) => vec![worker],
        None => {
            let begins = workers.iter().filter(|worker| worker.id.starts_with(id));
            let all: Vec<&WorkerRow> = begins.collect();
            let living = all.iter().filter(|worker| is_alive(worker, now));
            let living: Vec<&WorkerRow> = living.copied().collect();
            // Nobody means one that is gone while there is another.
            if living.is_empty() { all } else { living }
        }
    };
    let worker = match begins.as_slice() {
        [] => {
            return Err(
                Failure::failed(format!("no worker {id:?} was ever heard of")).remedy(remedy),
            );
        }
        [worker] => *worker,
        [first, ..] => {
            let count = begins.len();
            let message = format!("{count} workers have ids that begin with {id:?}");
            let remedy = format!("write more of the id, for example {}; {remedy}", first.id);
            return Err(Failure::failed(message).remedy(remedy));
        }
    };
    if !is_alive(worker, now) {
        let since = (now - worker.last_heartbeat).num_seconds().max(0);
        let message = format!(
            "worker {} is gone: it was last heard of {since} s ago",
            worker.id
        );
        return Err(Failure::failed(message).remedy(remedy));
    }
    if !worker.follows_control {
        eprintln!(
            "warning: this worker does not do what it is asked: it cannot read the stream platform.control"
        );
    }
    WorkerId::new(&worker.id).map_err(Failure::from)
}
