//! Whoever does what `docs/write-a-worker.md` says has a worker that builds and passes its tests.

#[path = "../../../../../tests/e2e/guides/markdown.rs"]
mod markdown;

use super::{CHECKOUT, begin, cargo, succeed};
use crate::program::Program;
use anyhow::{Context as _, ensure};
use markdown::{Block, blocks};
use std::path::Path;

/// What the guide asks for.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// The block goes to the end of a file.
    Append(&'a str),
    /// In each of these files it takes the place of the only line that is this one.
    Replace(Vec<&'a str>, &'a str),
}

/// The step that a caption tells: "At the end of `file`:", or "In `file` and `file`, instead of `line`:".
fn step(caption: &str) -> Option<Step<'_>> {
    let told = caption.strip_suffix("`:")?;
    if let Some((_, file)) = told.rsplit_once("At the end of `") {
        return Some(Step::Append(file));
    }
    let (place, line) = told.rsplit_once("`, instead of `")?;
    let (_, files) = place.rsplit_once("In `")?;
    Some(Step::Replace(files.split("` and `").collect(), line))
}

fn take(block: &Block, folder: &Path) -> anyhow::Result<()> {
    let step = step(&block.caption).with_context(|| format!("no step: {block:#?}"))?;
    let change = |file: &str, how: &dyn Fn(&str) -> anyhow::Result<String>| {
        let path = folder.join(file);
        let changed = how(&std::fs::read_to_string(&path)?)?;
        anyhow::Ok(std::fs::write(path, changed)?)
    };
    match step {
        Step::Append(file) => change(file, &|text| Ok(format!("{text}\n{}", block.text))),
        Step::Replace(files, line) => files.into_iter().try_for_each(|file| {
            change(file, &|text| replaced(text, line, &block.text)).with_context(|| file.to_owned())
        }),
    }
}

/// `text` with the lines of `by` instead of the only line that is `line`, as far to the right.
fn replaced(text: &str, line: &str, by: &str) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut count = 0;
    for there in text.lines() {
        if there.trim() != line {
            lines.push(there.to_owned());
            continue;
        }
        let indent = &there[..there.len() - there.trim_start().len()];
        lines.extend(by.lines().map(|new| format!("{indent}{new}")));
        count += 1;
    }
    ensure!(count == 1, "{line:?} is there {count} times");
    Ok(lines.join("\n") + "\n")
}

#[tokio::test]
async fn whoever_does_what_the_guide_says_has_a_worker_that_passes_its_tests() -> anyhow::Result<()>
{
    let guide = Path::new(CHECKOUT).join("docs/write-a-worker.md");
    let guide = std::fs::read_to_string(guide)?;
    let first = "\ncounterfoil new ../library-worker --service library --counterfoil .\n";
    ensure!(guide.contains(first), "it begins with {first}");
    let program = Program::new();
    let folder = begin(&program, "library").await?;
    let mut tests = 0;
    for block in blocks(&guide).iter().filter(|it| it.language == "rust") {
        take(block, &folder)?;
        tests += usize::from(block.text.contains("test"));
    }
    ensure!(tests == 3, "{tests} tests");

    let packages = ["--package", "library-worker", "--package", "library-tasks"];
    succeed(cargo(&folder).args(["fmt", "--check"]).args(packages))?;
    let mut run = cargo(&folder);
    run.args(["test", "--workspace", "--all-targets", "--offline"]);
    run.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    let said = succeed(&mut run)?;
    ensure!(!said.contains("warning"), "{said}");
    for name in [
        "the_longest_word_is_found",
        "a_back_up_goes_on_where_the_one_before_left_off",
        "documents_are_backed_up_whatever_fails_meanwhile",
    ] {
        ensure!(said.contains(&format!("test {name} ... ok")), "{said}");
    }
    Ok(())
}

#[test]
fn steps_are_read_from_captions_and_what_cannot_be_done_is_said() -> anyhow::Result<()> {
    let steps = [
        "Some words. At the end of `a.rs`:",
        "In `a.rs`, instead of `use b::{C, D};`:",
        "In `a.rs` and `b.rs`, instead of `c`:",
        "Something else:",
    ];
    let known = [
        Some(Step::Append("a.rs")),
        Some(Step::Replace(vec!["a.rs"], "use b::{C, D};")),
        Some(Step::Replace(vec!["a.rs", "b.rs"], "c")),
        None,
    ];
    assert_eq!(steps.map(step), known);
    assert_eq!(replaced("a\n  b\nc\n", "b", "x\ny\n")?, "a\n  x\n  y\nc\n");
    assert!(replaced("a\na\n", "a", "x\n").is_err());
    assert!(replaced("a\n", "b", "x\n").is_err());
    Ok(())
}
