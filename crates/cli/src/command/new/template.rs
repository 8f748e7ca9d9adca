//! The files of the template, in this program.

use super::checkout::Source;
use super::names::NewNames;

/// The text of a file of `worker-template/`.
macro_rules! text_of {
    ($path:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../worker-template/",
            $path
        ))
    };
}

/// Files of `worker-template/` with their paths there.
macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, text_of!($path))),+]
    };
}

/// Every file of a new worker. A test compares the list with the folder.
const FILES: &[(&str, &str)] = files![
    "README.md",
    "Cargo.toml",
    "counterfoil.toml",
    "tasks/Cargo.toml",
    "tasks/src/lib.rs",
    "src/lib.rs",
    "src/main.rs",
    "src/settings.rs",
    "src/handlers.rs",
    "tests/broker.rs",
    "tests/handlers.rs",
    "tests/program.rs",
    "documents/welcome.txt",
    "Dockerfile",
    ".dockerignore",
    ".gitignore",
    "deploy/abacus-worker.service",
    ".github/workflows/ci.yml",
];

/// The manifest of the worker's package, and what makes it the root of a workspace of its own. Here, it is a
/// member of counterfoil's, from which it inherits the same things.
const MANIFEST: &str = "Cargo.toml";
const WORKSPACE: &str = text_of!("workspace.toml");

/// One file of a new worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewFile {
    /// Where, in its folder.
    pub(super) path: String,
    pub(super) text: String,
}

/// The files of a new worker.
pub(super) fn files(names: &NewNames, source: &Source) -> Vec<NewFile> {
    let file = |(path, text): &(&str, &str)| {
        let mut text = names.put_into(text);
        if *path == MANIFEST {
            text = format!("{text}\n{}", source.put_into(WORKSPACE));
        }
        let path = names.put_into(path);
        NewFile { path, text }
    };
    FILES.iter().map(file).collect()
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
