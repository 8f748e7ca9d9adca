//! `task delete`

use super::select::Selection;
use crate::asking::DoerArgs;
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_operations::tasks::Delete;
use counterfoil_store::Store;
use counterfoil_toolbox::config::Config;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    selection: Selection,
    /// Do remove all that match: they cannot be had back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    doer: DoerArgs,
}

impl DeleteArgs {
    /// Refuses what chooses nothing, and a filter that nobody has thought about.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.selection.check()?;
        match self.yes || !self.selection.changes_all_that_match() {
            true => Ok(()),
            false => Err(Failure::usage("all that match would be removed for good")
                .remedy("see which with --dry-run, then repeat it with --yes")),
        }
    }
}

pub(super) async fn run(
    args: DeleteArgs,
    config: &Config,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    open::tell_python(store, config).await?;
    let mut delete = Delete::new(store, args.doer.or_user());
    args.selection.run(&mut delete, store, output).await
}
