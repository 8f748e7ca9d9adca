//! `doctor` finds what workers of Celery bind and declare that have not the settings of ours.

use super::{celery_command, python};
use crate::platform::{PATIENCE, Platform, Process};
use anyhow::{Context as _, ensure};
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use serde_json::Value;

/// A platform with the service `mail`.
async fn platform(vhost: &Vhost, database: &Database) -> anyhow::Result<Platform> {
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform.set("COUNTERFOIL_BROKER__SERVICES", "mail".into());
    let applied = platform.cli(&["topology", "apply"])?;
    ensure!(applied.status.success());
    Ok(platform)
}

/// What `doctor --probe` finds that is not right, and what to do about it.
fn found(platform: &Platform) -> anyhow::Result<Vec<(String, String)>> {
    let ran = platform.cli(&["doctor", "--probe", "--json"])?;
    let mut found = Vec::new();
    for line in String::from_utf8(ran.stdout)?.lines() {
        let check: Value = serde_json::from_str(line)?;
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        // The daemon and its canaries are not what this is about.
        if check["outcome"] != "ok" && ["probe", "queue mail"].contains(&&*text("name")) {
            found.push((text("detail"), text("remedy")));
        }
    }
    Ok(found)
}

/// Runs a worker until it is ready.
async fn run_worker(vhost: &Vhost, platform: &Platform, arguments: &[&str]) -> anyhow::Result<()> {
    let (app, more) = arguments.split_first().context("an app")?;
    let mut command = celery_command(app, &vhost.amqp_url())?;
    command.args(more);
    let worker = Process::start(command, platform.folder().join("celery.log"))?;
    let ready = eventually("the worker to be ready", PATIENCE, async || {
        Ok(worker.log_tail().contains(" ready.").then_some(()))
    });
    ready.await.with_context(|| worker.log_tail())?;
    worker.terminate().await?;
    Ok(())
}

/// Does what a remedy says between backticks, at this broker.
fn do_it(vhost: &Vhost, platform: &Platform, remedy: &str) -> anyhow::Result<()> {
    let command = remedy.split('`').nth(1).context("a command")?;
    let command = command
        .strip_prefix("rabbitmqadmin ")
        .context(remedy.to_owned())?;
    let script = platform.folder().join("rabbitmqadmin");
    let url = std::env::var("COUNTERFOIL_TEST_MANAGEMENT_URL")?;
    let (_, place) = url.rsplit_once('@').context("a URL with a user")?;
    let (host, port) = place.split_once(':').context("a port")?;
    // It comes with the broker.
    let get = "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])";
    let from = format!("http://{place}/cli/rabbitmqadmin");
    let got = python("")?.args(["-c", get, &from]).arg(&script).output()?;
    ensure!(
        got.status.success(),
        "{}",
        String::from_utf8_lossy(&got.stderr)
    );
    let ran = python("")?
        .arg(&script)
        .args(["--host", host, "--port", port, "--vhost", vhost.name()])
        .args(command.split(' '))
        .output()?;
    ensure!(
        ran.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(())
}

#[tokio::test]
async fn doctor_names_each_binding_that_is_too_wide_and_the_command_that_removes_it()
-> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let platform = platform(&vhost, &database).await?;
    assert_eq!(found(&platform)?, []);

    run_worker(&vhost, &platform, &["wide"]).await?;
    let wide = found(&platform)?;
    let told: Vec<_> = wide.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        told,
        [
            r##"queue mail also gets tasks of other services whose names have the word "mail", and those that no service owns: it is bound to exchange task_exchange by "#.mail.#", as workers of Celery bind it"##,
            r##"each delayed task of mail is tracked a second time when it is due: exchange task_exchange is bound to exchange celery_delayed_delivery by "#.mail.#", as workers of Celery bind it"##,
        ]
    );
    for (_, remedy) in &wide {
        do_it(&vhost, &platform, remedy)?;
    }
    assert_eq!(found(&platform)?, []);

    // A worker with our settings changes nothing.
    run_worker(&vhost, &platform, &["mail"]).await?;
    assert_eq!(found(&platform)?, []);
    database.close().await?;
    vhost.close().await
}

#[tokio::test]
async fn doctor_names_a_queue_that_celery_declared_in_its_own_way() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let platform = platform(&vhost, &database).await?;
    vhost.delete_queue("mail").await?;
    // No settings at all, as everybody begins.
    run_worker(&vhost, &platform, &["plain", "--queues", "mail"]).await?;
    let told = found(&platform)?;
    let (what, remedy) = told.first().context("nothing is found")?;
    ensure!(what.contains("x-queue-type"), "{told:?}");
    ensure!(
        remedy.contains("rabbitmqctl delete_queue --if-empty mail"),
        "{told:?}"
    );
    database.close().await?;
    vhost.close().await
}
