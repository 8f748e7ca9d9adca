//! What the pages link to is there.

use super::{files, root};
use anyhow::{Context as _, ensure};
use std::path::Path;

/// The name by which a heading is linked to, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The lines of a page that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Targets of the links of a page that lead to files.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let links = prose(page).flat_map(|line| line.split("](").skip(1));
    let targets = links.filter_map(|rest| rest.split([')', ' ']).next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

fn has_heading(page: &str, name: &str) -> bool {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .any(|anchor| anchor == name)
}

/// What is wrong with a link of the page at `path`.
fn fault(path: &Path, page: &str, target: &str) -> anyhow::Result<Option<String>> {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let to = match file.is_empty() {
        true => path.to_owned(),
        false => path.parent().context("a folder")?.join(file),
    };
    if !to.exists() {
        return Ok(Some(format!("{}: no file {target}", path.display())));
    }
    let is_there = match (heading.is_empty(), file.is_empty()) {
        (true, _) => true,
        (false, true) => has_heading(page, heading),
        (false, false) => has_heading(&std::fs::read_to_string(&to)?, heading),
    };
    Ok((!is_there).then(|| format!("{}: no heading {target}", path.display())))
}

#[test]
fn every_link_of_the_pages_leads_to_a_file_and_a_heading_that_are_there() -> anyhow::Result<()> {
    let mut pages = Vec::new();
    for folder in ["docs", "deploy", "worker-template"] {
        files(&root()?.join(folder), ".md", &mut pages)?;
    }
    for name in ["README.md", "ARCHITECTURE.md"] {
        pages.push(root()?.join(name));
    }
    let (mut count, mut faults) = (0, Vec::new());
    for path in pages {
        let page = std::fs::read_to_string(&path)?;
        for target in targets(&page) {
            count += 1;
            faults.extend(fault(&path, &page, target)?);
        }
    }
    ensure!(faults.is_empty(), "{faults:#?}");
    ensure!(count >= 30, "only {count} links were found");
    Ok(())
}

#[test]
fn a_link_that_leads_nowhere_is_found() -> anyhow::Result<()> {
    let path = root()?.join("README.md");
    let page = "# It's a `title`, isn't it?\n```\n# code\n```\n";
    let fault = |target: &str| fault(&path, page, target);
    ensure!(fault("docs/gone.md")?.is_some_and(|it| it.ends_with("no file docs/gone.md")));
    ensure!(fault("#code")?.is_some() && fault("docs/operate.md#code")?.is_some());
    ensure!(fault("#its-a-title-isnt-it")?.is_none() && fault("docs/operate.md#backup")?.is_none());
    Ok(())
}
