//! The program: its settings, and how it ends when something is wrong.

use anyhow::{Context as _, Result};
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use abacus_worker::settings::{DOCUMENTS, Settings};

/// The program, with nothing of this process's environment.
fn program(documents: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_abacus-worker"));
    program.env_clear().env(DOCUMENTS, documents);
    program
}

fn run(args: &[&str], documents: &str) -> Result<Output> {
    Ok(program(documents).args(args).output()?)
}

#[test]
fn the_settings_of_the_example_are_all_known() -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("counterfoil.toml");
    let options = LoadOptions::new(Role::Worker).file(Some(file));
    let config = Config::load(options)?;
    assert_eq!(config.worker.concurrency, 64);
    Ok(())
}

#[test]
fn the_folder_of_documents_is_what_the_variable_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let named = |_: &str| Some(folder.path().into());
    let settings = Settings::load(named).map_err(anyhow::Error::msg)?;
    assert_eq!(settings.documents, folder.path());
    Ok(())
}

#[test]
fn a_folder_that_is_not_there_stops_the_start_and_the_variable_is_named() -> Result<()> {
    let ended = run(&[], "/nowhere")?;
    assert_eq!(ended.status.code(), Some(78));
    let said = String::from_utf8_lossy(&ended.stderr);
    let wanted = format!("error: /nowhere is no folder: set {DOCUMENTS} to one\n");
    assert!(said.ends_with(&wanted), "{said}");
    Ok(())
}

#[test]
fn an_argument_is_a_question_to_answer_and_starts_nothing() -> Result<()> {
    let ended = run(&["--help"], "")?;
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("It takes no arguments"), "{said}");
    Ok(())
}

#[test]
fn told_to_end_while_it_waits_for_its_broker_it_ends_well() -> Result<()> {
    let mut waiting = program(env!("CARGO_MANIFEST_DIR"))
        .env("COUNTERFOIL_BROKER__URL", "amqp://127.0.0.1:1/%2f")
        .stderr(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(waiting.stderr.take().context("it is piped")?);
    let mut waits = said.lines().map_while(Result::ok);
    let waits = waits.any(|line| line.contains("waiting for the broker"));
    let told = Command::new("kill")
        .arg(waiting.id().to_string())
        .status()?;
    assert_eq!(waiting.wait()?.code(), Some(0));
    assert!(waits && told.success());
    Ok(())
}
