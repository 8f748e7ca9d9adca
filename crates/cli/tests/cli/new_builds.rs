//! What `counterfoil new` writes is a whole worker: it builds without a warning and passes its tests.
//!
//! Cargo builds it in a folder of its own beside that of this workspace, which stays: features differ, so nothing
//! could be shared, and cargo would wait for whoever builds here. The first time takes a minute or two, then seconds.
//! Versions are those of this workspace, so nothing is downloaded.

mod guide;

use crate::program::Program;
use anyhow::Context as _;
use counterfoil_testkit::Broker;
use std::path::{Path, PathBuf};
use std::process::Command;

/// This repository.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A cargo for the project in `folder`.
fn cargo(folder: &Path) -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-worker");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_TERM_COLOR", "never");
    cargo
}

/// Runs it to its end, and returns what it said.
fn succeed(command: &mut Command) -> anyhow::Result<String> {
    let ended = command.output()?;
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    anyhow::ensure!(
        ended.status.success(),
        "{command:?}: {}\n{said}",
        ended.status
    );
    Ok(said)
}

/// Begins a worker, with the versions of this workspace.
async fn begin(program: &Program, service: &str) -> anyhow::Result<PathBuf> {
    let args = ["new", "worker", "--service", service];
    let args = [&args[..], &["--counterfoil", CHECKOUT]].concat();
    program.run(&args).await.ends_with(0);
    let folder = program.folder().join("worker");
    anyhow::ensure!(
        folder.join("Cargo.lock").is_file(),
        "it has the checkout's versions"
    );
    Ok(folder)
}

#[tokio::test]
async fn a_new_worker_builds_without_a_warning_passes_its_tests_and_is_formatted()
-> anyhow::Result<()> {
    let program = Program::new();
    let folder = begin(&program, "Export_v2").await?;
    let packages = [
        "--package",
        "export-v2-worker",
        "--package",
        "export-v2-tasks",
    ];
    succeed(cargo(&folder).args(["fmt", "--check"]).args(packages))?;
    // Clippy as the compiler of its two packages: one build for warnings and tests.
    let mut tests = cargo(&folder);
    tests.args(["test", "--workspace", "--all-targets", "--offline"]);
    // With the one at a real broker.
    tests.args(["--", "--include-ignored"]);
    let vhost = Broker::shared().await?.vhost().await?;
    tests.env("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
    tests.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    let said = succeed(&mut tests)?;
    let warnings: Vec<_> = said
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert!(warnings.is_empty(), "{said}");
    let ran = said.matches("test result: ok. ").count();
    assert_eq!(
        ran, 6,
        "two libraries, a program, three files of tests: {said}"
    );
    assert!(said.contains("is_at_the_broker"), "{said}");
    assert_eq!(vhost.depth("Export_v2").await?.ready, 0);
    vhost.close().await?;
    let handlers = "every_document_gets_a_task_of_its_own ... ok";
    said.contains(handlers)
        .then_some(())
        .with_context(|| said.clone())
}
