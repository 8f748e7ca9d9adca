//! What takes minutes or a big table. Started by the scripts in `tests/scale`, never by `tests/run` alone.

mod celery;
mod cluster;
mod lease;
mod openapi;
mod pages;
mod retention;
mod streams;

use crate::platform::Platform;
use anyhow::{Context as _, ensure};
use std::process::Command;

/// A token for the dashboards that are started from now on, with this role.
fn token(platform: &mut Platform, role: &str) -> anyhow::Result<String> {
    let made = platform
        .command("counterfoil-dashboard")?
        .arg("new-token")
        .output()?;
    let made = String::from_utf8(made.stdout)?;
    let word = |name: &str| {
        let line = made.lines().find_map(|line| line.strip_prefix(name));
        line.map(|word| word.trim().to_owned()).context("one")
    };
    let digest = word("digest")?;
    platform.set("COUNTERFOIL_DASHBOARD__TOKENS__TEST__DIGEST", digest.into());
    platform.set("COUNTERFOIL_DASHBOARD__TOKENS__TEST__ROLE", role.into());
    word("token")
}

/// What the database says.
fn ask(database: &str, query: &str) -> anyhow::Result<String> {
    let mut psql = Command::new("psql");
    psql.args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        database,
        "-c",
        query,
    ]);
    let output = psql.output().context("psql could not be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql: {errors}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
