//! `task rerun`

use super::select::Selection;
use crate::asking::DoerArgs;
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_operations::Platform;
use counterfoil_operations::tasks::{Living, Rerun};

#[derive(Debug, clap::Args)]
pub(crate) struct RerunArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Also tasks that are not over: what still runs goes on, and counts no more
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    doer: DoerArgs,
}

pub(super) async fn run(
    args: RerunArgs,
    platform: &Platform,
    output: &mut Output,
) -> Result<(), Failure> {
    let living = match args.force {
        true => Living::Allowed,
        false => Living::Refused,
    };
    let mut rerun = Rerun::new(platform, args.doer.or_user(), living);
    let selection = args.selection;
    let done = selection.run(&mut rerun, &*platform.store, output).await;
    clear_dead(&rerun).await;
    platform.transport.close().await;
    done
}

/// Takes the messages of earlier runs out of the dead queues. One that cannot be taken out is told:
/// the runs are on their way, and the next redrive does it.
async fn clear_dead(rerun: &Rerun<'_>) {
    match rerun.clear_dead().await.map_err(Failure::from) {
        Ok(0) => {}
        Ok(1) => eprintln!("1 message of an earlier run was taken out of its dead queue"),
        Ok(taken) => {
            eprintln!("{taken} messages of earlier runs were taken out of their dead queues");
        }
        Err(failure) => eprint!(
            "warning: messages of earlier runs are still in dead queues, where the next `dead redrive` takes them out: {failure}"
        ),
    }
}
