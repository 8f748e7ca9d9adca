//! `task pause`, `task resume`

use super::select::Selection;
use crate::asking::{DoerArgs, passed_on};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_operations::tasks::{Pause, Resume};
use counterfoil_store::Store;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    doer: DoerArgs,
}

/// What is said of each task that is paused.
const UNTIL: &str = "it will not start until `counterfoil task resume`";

pub(super) async fn pause(
    args: HoldArgs,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut pause = Pause::new(store, args.doer.or_user());
    let selection = args.selection;
    let done = selection
        .run_with(Some(UNTIL), &mut pause, store, output)
        .await;
    passed_on(store, pause.asked()).await?;
    done
}

pub(super) async fn resume(
    args: HoldArgs,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut resume = Resume::new(store, args.doer.or_user());
    let done = args.selection.run(&mut resume, store, output).await;
    passed_on(store, resume.asked()).await?;
    done
}
