//! What guides show is what is compiled and run here, and what they count on is there.

mod links;
pub(crate) mod markdown;
mod reliability;
mod session;

use anyhow::{Context as _, ensure};
use markdown::blocks;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub(crate) fn read(path: &str) -> anyhow::Result<String> {
    let path = root()?.join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn root() -> anyhow::Result<&'static Path> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.context("the repository")
}

/// All files below `folder` whose names end like this.
fn files(folder: &Path, end: &str, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            files(&path, end, found)?;
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn the_index_names_every_guide() -> anyhow::Result<()> {
    let index = read("docs/README.md")?;
    let mut pages = Vec::new();
    files(&root()?.join("docs"), ".md", &mut pages)?;
    let names = pages.iter().filter_map(|page| page.file_name()?.to_str());
    let missing: BTreeSet<_> = names
        .filter(|name| *name != "README.md" && !index.contains(&format!("]({name})")))
        .collect();
    ensure!(missing.is_empty(), "docs/README.md lacks {missing:?}");
    ensure!(pages.len() >= 5);
    Ok(())
}

#[test]
fn every_example_of_a_session_is_code_that_runs_here() -> anyhow::Result<()> {
    let source = read("tests/e2e/guides/session_example.rs")?;
    let shown = blocks(&read("docs/sessions.md")?);
    let shown: Vec<_> = shown.iter().filter(|it| it.language == "rust").collect();
    ensure!(shown.len() == 4, "{} examples", shown.len());
    for block in shown {
        ensure!(
            source.contains(&block.text),
            "not in the source: {block:#?}"
        );
    }
    Ok(())
}
