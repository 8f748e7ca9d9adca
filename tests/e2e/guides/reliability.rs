//! Every promise of the guide names a test that is there.

use super::{files, read, root};
use anyhow::ensure;
use std::collections::BTreeSet;

/// The names in the last column of each table whose heading says that it proves something, by promise.
fn proofs(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    let mut in_table = false;
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", _, "proved by", ""] => in_table = true,
            ["", promise, proof, ""] if in_table => {
                let names = proof.split('`').skip(1).step_by(2);
                found.push((promise, names.collect()));
            }
            _ => in_table = false,
        }
    }
    found.retain(|(promise, _)| !promise.starts_with("---"));
    found
}

/// Names of all functions in sources of tests.
fn functions() -> anyhow::Result<BTreeSet<String>> {
    let mut sources = Vec::new();
    for folder in ["crates", "tests"] {
        files(&root()?.join(folder), ".rs", &mut sources)?;
    }
    let mut names = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source)?;
        for rest in text.split("fn ").skip(1) {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

#[test]
fn every_promise_of_the_guide_is_proved_by_a_test_that_is_there() -> anyhow::Result<()> {
    let page = read("docs/reliability.md")?;
    let (proofs, functions) = (proofs(&page), functions()?);
    ensure!(proofs.len() > 30, "{} promises", proofs.len());
    for (promise, names) in proofs {
        ensure!(!names.is_empty(), "nothing proves: {promise}");
        for name in names {
            ensure!(
                functions.contains(name),
                "there is no test {name}: {promise}"
            );
        }
    }
    Ok(())
}
