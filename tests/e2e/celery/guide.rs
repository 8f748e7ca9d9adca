//! The programs of `docs/call-from-python.md`, as they stand there.

use super::{python, result_of};
use crate::guides::{markdown::blocks, read};
use crate::platform::{self, PATIENCE, Platform, Process, wait_for_state};
use anyhow::{Context as _, ensure};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::{ServiceName, TaskState};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Writes every program of the guide into a folder, under the name that it has there, and returns the names.
fn write_programs(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for block in blocks(&read("docs/call-from-python.md")?) {
        if block.language != "python" {
            continue;
        }
        let name = block
            .caption
            .strip_suffix("`:")
            .context(block.caption.clone())?;
        let (_, name) = name.rsplit_once('`').context("a program without a name")?;
        std::fs::write(folder.join(name), block.text)?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// The folder of programs, beside a platform.
struct Programs {
    folder: TempDir,
    amqp_url: String,
    database_url: String,
}

impl Programs {
    fn command(&self) -> anyhow::Result<Command> {
        let mut command = python(&self.amqp_url)?;
        command
            .current_dir(self.folder.path())
            .env("DATABASE_URL", &self.database_url);
        Ok(command)
    }

    /// Runs one, and returns the line that it prints.
    fn run(&self, name: &str) -> anyhow::Result<String> {
        let ended = self.command()?.arg(name).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "{name}: {said}");
        Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
    }
}

#[tokio::test]
async fn the_programs_of_the_guide_send_wait_and_work_as_it_says() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform::apply(&platform.broker(), &[ServiceName::new("mail")?]).await?;
    let (store, mut daemon) = (platform.store().await?, platform.daemon()?);
    let mut worker = platform.worker()?;
    let programs = Programs {
        folder: tempfile::tempdir()?,
        amqp_url: vhost.amqp_url(),
        database_url: database.url().to_owned(),
    };
    let names = write_programs(programs.folder.path())?;
    let known = [
        "app.py",
        "send.py",
        "options.py",
        "urgent.py",
        "outcome.py",
        "wait.py",
        "worker.py",
    ];
    ensure!(names == known, "{names:?}");

    for (name, sum) in [("send.py", 5), ("options.py", 9), ("urgent.py", 13)] {
        let id = programs.run(name)?;
        let row = wait_for_state(&*store, &id, TaskState::Success, PATIENCE).await;
        let row = row.with_context(|| format!("{name}\n{}", daemon.log_tail()))?;
        ensure!(
            result_of(&*store, &id).await? == json!(sum),
            "{name}: {row:#?}"
        );
        if name == "options.py" {
            assert_options(&row)?;
        }
    }
    ensure!(programs.run("wait.py")? == "42");

    let mut command = programs.command()?;
    command
        .args(["-m", "celery", "--app", "worker", "worker"])
        .args(["--without-gossip", "--without-mingle", "--concurrency", "1"]);
    let log = programs.folder.path().join("celery.log");
    let mut celery = Process::start(command, log.clone())?;
    let sent = platform.cli(&["send", "mail.welcome", r#"{"address": "ada@example.org"}"#])?;
    let welcomed = eventually("the Python worker to run it", PATIENCE, async || {
        celery.assert_running()?;
        let said = std::fs::read_to_string(&log)?;
        Ok(said.contains("welcome, ada@example.org").then_some(()))
    });
    welcomed.await.with_context(|| celery.log_tail())?;
    let id = String::from_utf8(sent.stdout)?;
    let row = store.task(id.trim()).await?.context("a row")?;
    // What the guide says that the platform does not know.
    ensure!(row.state == TaskState::Pending, "{row:#?}");
    ensure!(celery.terminate().await? == 0);
    ensure!(vhost.depth("mail").await?.ready == 0);
    worker.assert_running()?;
    daemon.assert_running()
}

/// What `options.py` says, as the platform has it.
fn assert_options(row: &counterfoil_store::record::TaskRow) -> anyhow::Result<()> {
    let said = (
        row.creator_id.as_deref(),
        row.related_content_type.as_deref(),
        row.related_object_id.as_deref(),
        row.identifier.as_deref(),
    );
    let wanted = (
        Some("user-7"),
        Some("project"),
        Some("17"),
        Some("project-17"),
    );
    ensure!(said == wanted, "{row:#?}");
    ensure!(row.eta.is_some() && row.expires.is_some(), "{row:#?}");
    // It waited in the delay levels, so its key has their bits.
    let key = row.routing_key.as_deref().unwrap_or_default();
    ensure!(key.ends_with(".1.0.demo.add"), "{row:#?}");
    Ok(())
}
