//! File and environment, merged into one table.

use super::fault::{ENV_PREFIX, Fault};
use ::config::{Environment, File, FileFormat, Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "counterfoil.toml";

/// The one variable without a section.
const PROFILE: &str = "COUNTERFOIL_PROFILE";

/// Everything that was said, the environment before the file. Faults are those of reading.
pub(super) fn merge(
    file: Option<&Path>,
    env: &BTreeMap<String, String>,
    faults: &mut Vec<Fault>,
) -> (Map<String, Value>, Option<PathBuf>) {
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()),
    };
    let mut layers = ::config::Config::builder();
    if let Some(text) = file.as_deref().and_then(|file| read(file, faults)) {
        layers = layers.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let ours = env.iter().filter(|(name, _)| is_configuration(name));
    let ours: Map<String, String> = ours.map(|(n, v)| (n.clone(), v.clone())).collect();
    // An empty variable is one that a compose file or a unit passes on without a value.
    let environment = Environment::with_prefix(ENV_PREFIX)
        .prefix_separator("_")
        .separator("__")
        .ignore_empty(true)
        .source(Some(ours));
    let merged = layers.add_source(environment).build();
    let table = merged.and_then(|merged| merged.cache.into_table());
    let table = table.unwrap_or_else(|error| {
        let name = file
            .as_deref()
            .map_or(DEFAULT_FILE.into(), Path::to_string_lossy);
        faults.push(Fault::new(
            name,
            format!("not valid TOML: {}", without_excerpt(&error)),
        ));
        Map::new()
    });
    (table, file)
}

fn is_configuration(variable: &str) -> bool {
    variable == PROFILE
        || variable
            .strip_prefix(ENV_PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|name| name.contains("__"))
}

fn read(file: &Path, faults: &mut Vec<Fault>) -> Option<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) => {
            faults.push(Fault::new(
                file.to_string_lossy(),
                format!("cannot be read: {error}"),
            ));
            None
        }
    }
}

/// The place and the reason, without the lines that the parser quotes: one may hold a password.
fn without_excerpt(error: &::config::ConfigError) -> String {
    let ::config::ConfigError::FileParse { cause, .. } = error else {
        return "it cannot be merged with the environment".to_owned();
    };
    let text = cause.to_string();
    let is_excerpt = |line: &str| {
        line.split_once('|')
            .is_some_and(|(number, _)| number.trim().chars().all(|c| c.is_ascii_digit()))
    };
    let lines = text.lines().filter(|line| !is_excerpt(line));
    lines.collect::<Vec<_>>().join(": ")
}
