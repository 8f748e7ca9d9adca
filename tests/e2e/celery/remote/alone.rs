//! Nodes that come, go, and are not allowed.

use super::{Nodes, node};
use crate::celery::callers::worker;
use crate::celery::python;
use crate::platform::{self, PATIENCE, Process};
use anyhow::{Context as _, ensure};
use counterfoil_celery::Celery;
use counterfoil_testkit::{Broker, Permissions, RabbitNode, RabbitOptions, eventually};
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

/// What a caller gets whose result just fits into the message of its task, what the next caller gets, and what a node
/// tells of more ids than a message has room for.
const LARGE: &str = "
import json, uuid
from calc import app
try:
    value = app.send_task('celery.accumulate', ['x' * 99880], routing_key='calc').get(timeout=60)
    large = 'a value'
except Exception as error:
    large = [type(error).__name__, 'more than the broker takes' in str(error)]
small = app.send_task('calc.add', [2, 3]).get(timeout=60)
for _ in range(2):
    app.control.revoke([str(uuid.uuid4()) for _ in range(1500)])
(revoked,) = app.control.broadcast('revoked', reply=True, timeout=30, limit=1)
(revoked,) = revoked.values()
(ping,) = app.control.broadcast('ping', reply=True, timeout=30, limit=1)
(ping,) = ping.values()
print(json.dumps([large, small, list(revoked), ping]))
";

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_an_answer_that_is_too_large_for_the_broker_learns_that_and_others_get_theirs()
-> anyhow::Result<()> {
    let options = RabbitOptions {
        config_lines: vec!["max_message_size = 100000".to_owned()],
        ..RabbitOptions::default()
    };
    let broker = RabbitNode::start_with(options).await?;
    let vhost = Broker::of(&broker)?.vhost().await?;
    let settings = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    platform::apply(&settings, &[ServiceName::new("calc")?]).await?;
    let worker = worker(&settings, Celery::new(&settings.names()?))?;
    let stopper = worker.stopper();
    let ours = tokio::spawn(worker.run_until(std::future::pending()));
    let mut command = python(&vhost.amqp_url())?;
    command.args(["-c", LARGE]);
    let mut command = tokio::process::Command::from(command);
    let output = tokio::time::timeout(2 * PATIENCE, command.kill_on_drop(true).output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let wanted = json!([["EncodeError", true], 5, ["error"], {"ok": "pong"}]);
    ensure!(told == wanted, "{told}");
    stopper.drain();
    ours.await?;
    Ok(())
}

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
