//! Nodes that come, go, and are not allowed.

use super::{Nodes, node};
use crate::celery::callers::worker;
use crate::celery::python;
use crate::platform::{self, PATIENCE, Process};
use anyhow::{Context as _, ensure};
use counterfoil_celery::Celery;
use counterfoil_testkit::{Broker, Permissions, eventually};
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::config::BrokerSettings;
use serde_json::json;

/// What a task comes to, and who answers a ping.
const RUN_AND_PING: &str = "
import json
from calc import app
value = app.send_task('calc.add', [2, 3]).get(timeout=60)
print(json.dumps([value, app.control.ping(timeout=2)]))
";

#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_that_starts_learns_what_was_revoked_here() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let told = nodes.control_ours(&["revoke", "some-id"]).await?;
    ensure!(
        told == json!({"ok": "tasks {'some-id'} flagged as revoked"}),
        "{told}"
    );
    let mut command = python(&nodes.vhost.amqp_url())?;
    command
        .args(["-m", "celery", "-A", "calc", "worker", "--pool", "solo"])
        .args(["--hostname", "late@%h", "--loglevel", "info"]);
    let late = Process::start(command, nodes.folder.path().join("late.log"))?;
    let name = node("late");
    let known = eventually("it to tell what was revoked", PATIENCE, async || {
        let arguments = ["--destination", &*name, "revoked"];
        let output = nodes.celery("inspect", &arguments).await?;
        let told: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
        Ok(told.filter(|told| told.get(&name).is_some()))
    });
    let known = known.await.with_context(|| late.log_tail())?;
    ensure!(
        known[&name] == json!(["some-id"]),
        "{known}\n{}",
        late.log_tail()
    );
    late.terminate().await?;
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_there_again_after_the_broker_has_closed_its_connections() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    nodes.vhost.close_connections().await?;
    eventually("it to answer", PATIENCE, async || {
        let output = nodes.celery("inspect", &["ping"]).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(said.contains("rs@").then_some(()))
    })
    .await?;
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_have_a_mailbox_works_without() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let owner = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    platform::apply(&owner, &[ServiceName::new("calc")?]).await?;
    let may_not = Permissions {
        configure: "^$",
        ..Permissions::ALL
    };
    let broker = BrokerSettings {
        urls: vec![vhost.user(may_not).await?.amqp_url.into()],
        ..BrokerSettings::default()
    };
    for celery in [
        Celery::new(&broker.names()?),
        Celery::new(&broker.names()?).without_remote_control(),
    ] {
        let worker = worker(&broker, celery)?;
        let stopper = worker.stopper();
        let ours = tokio::spawn(worker.run_until(std::future::pending()));
        let mut command = python(&vhost.amqp_url())?;
        command.args(["-c", RUN_AND_PING]);
        let mut command = tokio::process::Command::from(command);
        let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(told == json!([5, []]), "{told}");
        stopper.drain();
        ours.await?;
    }
    vhost.close().await
}
