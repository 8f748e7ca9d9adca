//! What is told is for every front end: no words of the command line, and no terminal.

use anyhow::Context as _;
use std::path::Path;

/// What explains a task to an operator may name commands.
const MAY_NAME_COMMANDS: &str = "why";

const FOREIGN: [&str; 7] = [
    "`--",
    "\"--",
    " --",
    "`counterfoil ",
    "println!",
    "env::var",
    "clap::",
];

#[test]
fn nothing_that_is_told_names_options_or_commands() -> anyhow::Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    let mut folders = vec![sources.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path != sources.join(MAY_NAME_COMMANDS) {
                    folders.push(path);
                }
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path)?;
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for (line, word) in code.flat_map(|line| FOREIGN.map(|word| (line, word))) {
                anyhow::ensure!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
    (seen > 20).then_some(()).context("the sources")
}
