//! The worker of the playground.

use crate::export::ExportFolder;
use crate::handlers::{basic, export, family, faults, harvest, noted, noted_blocking, waiting};
use crate::ledger::Ledger;
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use counterfoil_worker::{BuildError, Worker, WorkerBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A worker of the playground that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The ledger cannot be written.
    #[error("could not open the ledger {} ({})", path.display(), Ledger::VARIABLE)]
    Ledger {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The settings make no sense.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What the playground writes, and where.
#[derive(Debug, Clone, Default)]
pub struct Playground {
    /// Who executed what. Default: nobody takes notes.
    pub ledger: Ledger,
    /// Where exports go. Default: the system's folder for temporary files.
    pub exports: ExportFolder,
}

impl Playground {
    /// As the environment says: `COUNTERFOIL_DEMO_LEDGER`, `COUNTERFOIL_EXPORT_DIR`.
    ///
    /// # Errors
    /// [`DemoError::Ledger`] when there should be a ledger and it cannot be written.
    pub fn from_env() -> Result<Self, DemoError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut playground = Self::default();
        if let Some(path) = variable(Ledger::VARIABLE) {
            playground.ledger = open_ledger(Path::new(&path))?;
        }
        if let Some(folder) = variable(ExportFolder::VARIABLE) {
            playground.exports = ExportFolder::new(folder);
        }
        Ok(playground)
    }
}

fn open_ledger(path: &Path) -> Result<Ledger, DemoError> {
    Ledger::open(path).map_err(|source| DemoError::Ledger {
        path: path.to_owned(),
        source,
    })
}

/// The services of the playground: `demo`, `export`, `harvest`.
#[must_use]
pub fn services() -> Vec<ServiceName> {
    let service = |name| ServiceName::new(name).expect("plain letters");
    ["demo", "export", "harvest"].map(service).into()
}

/// A worker that runs every task of the playground, set up by [`Playground::from_env`].
///
/// # Errors
/// [`DemoError`] when the settings make no sense or the ledger cannot be written.
pub fn worker(
    transport: Arc<dyn Transport>,
    names: Names,
    settings: WorkerSettings,
) -> Result<Worker, DemoError> {
    let builder = Worker::builder(transport, names, settings);
    Ok(register(builder, Playground::from_env()?).build()?)
}

/// Adds every task of the playground, and what they need, to a worker that is being built.
pub fn register(builder: WorkerBuilder, playground: Playground) -> WorkerBuilder {
    let Playground { ledger, exports } = playground;
    builder
        .state(ledger)
        .state(exports)
        .handle(|task, cx| noted(task, cx, basic::add))
        .handle(|task, cx| noted(task, cx, basic::echo))
        .handle(|task, cx| noted(task, cx, basic::big))
        .handle(|task, cx| noted(task, cx, waiting::sleep))
        .handle(|task, cx| noted(task, cx, waiting::limited))
        .handle(|task, cx| noted(task, cx, waiting::long))
        .handle(|task, cx| noted(task, cx, waiting::block))
        .handle(|task, cx| noted(task, cx, waiting::hang))
        .handle(|task, cx| noted(task, cx, waiting::progress))
        .handle(|task, cx| noted(task, cx, faults::fail))
        .handle(|task, cx| noted(task, cx, faults::flaky))
        .handle(|task, cx| noted(task, cx, faults::throttled))
        .handle(|task, cx| noted(task, cx, faults::panic))
        .handle(|task, cx| noted(task, cx, faults::abort))
        .handle(|task, cx| noted(task, cx, family::tree))
        .handle_blocking(|task, cx| noted_blocking(task, cx, export::project))
        .handle(|task, cx| noted(task, cx, harvest::resource))
        .handle(|task, cx| noted(task, cx, harvest::source))
        .handle(|task, cx| noted(task, cx, harvest::finalize))
}
