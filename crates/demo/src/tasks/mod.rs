//! The tasks of the playground: structs alone, so that producers can share them.

mod basic;
mod export;
mod family;
mod faults;
mod harvest;
mod waiting;

pub use basic::{Add, Big, Echo};
pub use export::{ApiKey, ExportProject, Exported, OutputType};
pub use family::Tree;
pub use faults::{Abort, Fail, Flaky, Panic, Throttled};
pub use harvest::{FinalizeHarvest, HarvestReport, HarvestResource, HarvestSource, Harvested};
pub use waiting::{Block, Hang, Limited, Long, Progress, Sleep};

use counterfoil_toolbox::task::TaskOptions;

/// A failure is final: the next attempt would end like the first.
fn no_retry() -> TaskOptions {
    TaskOptions {
        max_retries: 0,
        ..TaskOptions::default()
    }
}
