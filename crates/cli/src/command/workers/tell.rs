//! `workers quiet`, `workers stop`

use crate::args::Global;
use crate::asking::{DoerArgs, passed_on};
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_operations::workers::{Wish, find, tell};
use counterfoil_toolbox::config::Needs;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(super) struct TellArgs {
    /// Id of the worker, or how it begins
    id: String,
    #[command(flatten)]
    doer: DoerArgs,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    worker: &'a str,
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
    if !worker.follows_control {
        eprintln!(
            "warning: this worker does not do what it is asked: it cannot read the stream platform.control"
        );
    }
    let asked = tell(&*store, &worker, wish, &args.doer.or_user()).await?;
    let worker = &worker.id;
    let passed_on = passed_on(&*store, &[asked]).await?;
    store.close().await;
    if output.is_json() {
        return output.document(&Answer {
            worker,
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
