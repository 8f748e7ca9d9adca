//! `deploy/compose.yaml`: each program gets a whole configuration, no more secrets than it needs, and the time to drain.

use crate::kubernetes::{AFTER_DRAINING, LAST_WORDS};
use anyhow::Context as _;
use counterfoil_toolbox::config::{Config, LoadOptions, Needs, Role};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

/// Programs of ours, with what they are for.
const PROGRAMS: [(&str, Role); 4] = [
    ("init", Role::Cli(Needs::BOTH)),
    ("sync", Role::Daemon),
    ("worker", Role::Worker),
    ("dashboard", Role::Dashboard),
];

/// What stands in `deploy/.env`.
const SECRETS: [&str; 3] = ["BROKER_PASSWORD", "DATABASE_PASSWORD", "ID_SECRET"];

/// What each of them is here.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What `counterfoil-dashboard hash-password` prints.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose.yaml")
}

/// The services, with the secrets where they are asked for.
fn services() -> anyhow::Result<Yaml> {
    let mut text = std::fs::read_to_string(path())?;
    for name in SECRETS {
        text = text.replace(&format!("${{{name}:?see deploy/README.md}}"), SECRET);
    }
    // Only who starts the dashboard needs it, and the program says so where it is missing.
    text = text.replace("${DASHBOARD_PASSWORD_HASH:-}", HASH);
    anyhow::ensure!(!text.contains("${"), "a variable that nobody sets");
    let mut files = YamlLoader::load_from_str(&text)?;
    Ok(files.remove(0)["services"].clone())
}

/// A mapping with what it merges, `<<`, before its own.
fn merged(value: &Yaml) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let entries = value.as_hash().into_iter().flatten();
    for (key, value) in entries {
        match (key.as_str(), value) {
            (Some("<<"), parent) => all.extend(merged(parent)),
            (Some(key), Yaml::String(text)) => {
                all.insert(key.to_owned(), text.clone());
            }
            other => panic!("{other:?}: a variable is a text"),
        }
    }
    all
}

fn configuration(services: &Yaml, name: &str, role: Role) -> anyhow::Result<Config> {
    let variables = merged(&services[name]["environment"]).into_iter();
    let variables = variables.filter(|(name, _)| name.starts_with("COUNTERFOIL_"));
    let own = ["COUNTERFOIL_EXPORT_DIR"];
    let variables = variables.filter(|(name, _)| !own.contains(&name.as_str()));
    Config::load(LoadOptions::new(role).env(variables)).context(name.to_owned())
}

fn grace(services: &Yaml, name: &str) -> anyhow::Result<Duration> {
    let period = services[name]["stop_grace_period"].as_str();
    let seconds = period.and_then(|period| period.strip_suffix('s'));
    let seconds = seconds.with_context(|| format!("{name}: a period in seconds"))?;
    Ok(Duration::from_secs(seconds.parse()?))
}

#[test]
fn each_program_gets_what_it_needs_and_a_worker_no_database() -> anyhow::Result<()> {
    let services = services()?;
    for (name, role) in PROGRAMS {
        let config = configuration(&services, name, role)?;
        assert_eq!(config.broker.services.len(), 3, "{name}");
        assert_eq!(config.database.is_some(), name != "worker", "{name}");
    }
    Ok(())
}

#[test]
fn whoever_drains_is_given_the_time_for_it() -> anyhow::Result<()> {
    let services = services()?;
    let worker = configuration(&services, "worker", Role::Worker)?.worker;
    assert!(grace(&services, "worker")? >= worker.drain_timeout + AFTER_DRAINING);
    let daemon = configuration(&services, "sync", Role::Daemon)?;
    let transaction = daemon.require_database()?.statement_timeout + daemon.sync.batch_wait;
    assert!(grace(&services, "sync")? >= transaction + LAST_WORDS);
    Ok(())
}

#[test]
fn compose_takes_the_file() -> anyhow::Result<()> {
    let compose = || {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    };
    let is_there = compose().arg("version").output();
    if !is_there.is_ok_and(|version| version.status.success()) {
        eprintln!("not tried: there is no docker compose on this machine");
        return Ok(());
    }
    let checked = compose()
        .arg("--file")
        .arg(path())
        .args(["config", "--quiet"])
        .envs(SECRETS.map(|name| (name, SECRET)))
        .output()?;
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    Ok(())
}
