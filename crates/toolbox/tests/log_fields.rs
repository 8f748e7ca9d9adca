//! Every field of every log line in the workspace is on the one list of names.

use counterfoil_toolbox::telemetry::FIELDS;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const MACROS: [&str; 9] = [
    "tracing::trace!(",
    "tracing::debug!(",
    "tracing::info!(",
    "tracing::warn!(",
    "tracing::error!(",
    "debug_span!(",
    "info_span!(",
    "warn_span!(",
    "error_span!(",
];

#[test]
fn every_field_of_a_log_line_is_on_the_list() {
    let known: BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    let mut used = BTreeSet::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let text = std::fs::read_to_string(&file).expect("sources can be read");
        for field in fields(&without_docs(&text)) {
            let place = file.display();
            assert!(
                known.contains(field.as_str()),
                "{place}: add {field:?} to telemetry::FIELDS, or use a name from there"
            );
            used.insert(field);
        }
    }
    assert!(used.len() > 10, "the search finds what is there: {used:?}");
}

#[test]
fn fields_are_found_in_whatever_way_they_are_written() {
    let text = r#"
        tracing::warn!(error = %ErrorChain(&error), ?queue, %id.x, tries, "message, with = {x}", 1);
        fn f() { debug_span!("span", bytes = f(a, b)); }
    "#;
    assert_eq!(fields(text), ["error", "queue", "id", "tries", "bytes"]);
    let shown = "/// tracing::info!(rows = 1, \"read\");\ntracing::info!(count = 1);";
    assert_eq!(fields(&without_docs(shown)), ["count"]);
}

/// What examples log is their readers' own.
fn without_docs(text: &str) -> String {
    let lines = text.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("readable").path();
        let in_source = path.components().any(|part| part.as_os_str() == "src");
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if in_source && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Names of the fields of all log lines in `text`.
fn fields(text: &str) -> Vec<String> {
    let starts = MACROS.iter().flat_map(|name| text.match_indices(name));
    let mut starts: Vec<usize> = starts.map(|(at, name)| at + name.len()).collect();
    starts.sort_unstable();
    starts
        .into_iter()
        .flat_map(|at| arguments(&text[at..]))
        .filter_map(|a| name(&a))
        .collect()
}

/// The arguments of a macro, from behind its opening bracket.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    let mut arguments = vec![String::new()];
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(argument) = arguments.last_mut() {
            argument.push(c);
        }
    }
    arguments
}

/// The field that an argument names; `None` for the message and what fills it in.
fn name(argument: &str) -> Option<String> {
    let argument = argument.trim().trim_start_matches(['%', '?']);
    let end = argument
        .find(|c: char| !c.is_ascii_lowercase() && c != '_')
        .unwrap_or(argument.len());
    let (name, rest) = argument.split_at(end);
    let is_field = matches!(rest.trim_start().chars().next(), None | Some('=' | '.'));
    (is_field && !name.is_empty()).then(|| name.to_owned())
}
