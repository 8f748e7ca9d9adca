//! What this worker is told, beside counterfoil's own settings in `counterfoil.toml`.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variable that names the folder of documents.
pub const DOCUMENTS: &str = "ABACUS_DOCUMENTS";

/// Settings of this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the documents are. Default: `documents`, in the working directory.
    pub documents: PathBuf,
}

impl Settings {
    /// From variables; `variable` is `std::env::var_os` but in tests.
    ///
    /// # Errors
    /// What is wrong, and which variable mends it: better now than with each task.
    pub fn load(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let documents = variable(DOCUMENTS).unwrap_or_else(|| "documents".into());
        let documents = PathBuf::from(documents);
        if !documents.is_dir() {
            let place = documents.display();
            return Err(format!("{place} is no folder: set {DOCUMENTS} to one"));
        }
        Ok(Self { documents })
    }
}
