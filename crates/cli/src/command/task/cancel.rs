//! `task cancel`

use super::select::Selection;
use crate::asking::{DoerArgs, passed_on};
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_operations::tasks::{Cancel, CancelFamilies};
use counterfoil_store::Store;
use counterfoil_toolbox::config::Config;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Every task of their families too: all that have the same first task, and what they still send
    #[arg(long)]
    family: bool,
    /// Also ids that no task has yet: should one of them come, no worker starts it
    #[arg(long, conflicts_with = "family")]
    force: bool,
    #[command(flatten)]
    doer: DoerArgs,
}

pub(super) async fn run(
    args: CancelArgs,
    config: &Config,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut cancel = Cancel::new(store, args.doer.or_user());
    // Who may not is left with asking: the daemon tells what came of it.
    if open::tell_python(store, config).await.is_err() {
        cancel = cancel.only_asking();
    }
    if args.force {
        cancel = cancel.also_unheard();
    }
    if !args.family {
        let done = args.selection.run(&mut cancel, store, output).await;
        passed_on(store, cancel.asked()).await?;
        return done;
    }
    let mut families = CancelFamilies::new(cancel);
    let done = args.selection.run(&mut families, store, output).await;
    passed_on(store, families.asked()).await?;
    done
}
