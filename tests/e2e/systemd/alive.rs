//! The units as installed, under a real systemd: it hears when programs are ready, ends those that fall silent, starts
//! those anew that crash, and lets them drain.

use super::manager::{Machine, Systemd, can_be_had};
use crate::platform::{PATIENCE, Platform, SERVICES, wait_for_state};
use crate::running::send;
use counterfoil_store::Store;
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::TaskState;

const SYNC: &str = "counterfoil-sync.service";
const WORKER: &str = "counterfoil-worker@counterfoil-demo-worker.service";

/// Instead of 30 s of silence, and of 20 s before the next try. And no user of its own, and no credentials: small virtual
/// machines have a kernel that gives neither.
const HERE: &str = "WatchdogSec=4s\nRestartSec=200ms\nDynamicUser=no\nLoadCredential=\n";

/// The same, with secrets where they are installed.
fn here(folder: &str, secrets: &[&str]) -> String {
    let variables = secrets.iter().map(|secret| {
        let variable = match *secret {
            "broker_url" => "BROKER__URL",
            "database_url" => "DATABASE__URL",
            _ => "DATABASE__ID_SECRET",
        };
        format!("Environment=COUNTERFOIL_{variable}_FILE=/etc/{folder}/{secret}\n")
    });
    HERE.to_owned() + &variables.collect::<String>()
}

/// Both programs as `deploy/README.md` installs them.
async fn machine(broker: &str, database: &str) -> anyhow::Result<Systemd> {
    let machine = Machine::new()?;
    machine.install("counterfoil-sync")?;
    machine.install("counterfoil-demo-worker")?;
    let services = SERVICES.split(',').map(|name| format!("{name:?}"));
    let services = services.collect::<Vec<_>>().join(", ");
    let settings = format!("[broker]\nservices = [{services}]\n");
    for (unit, folder, secrets) in [
        (
            super::SYNC,
            "counterfoil",
            &["broker_url", "database_url", "id_secret"][..],
        ),
        (
            super::WORKER,
            "counterfoil/counterfoil-demo-worker",
            &["broker_url"],
        ),
    ] {
        machine.service(unit, &here(folder, secrets))?;
        machine.write(&format!("{folder}/counterfoil.toml"), &settings)?;
        for secret in secrets {
            let value = match *secret {
                "broker_url" => broker,
                "database_url" => database,
                _ => "a secret of thirty-two letters or more",
            };
            machine.write(&format!("{folder}/{secret}"), value)?;
        }
    }
    machine.boot(&[SYNC, WORKER]).await
}

/// A task is run by the worker and mirrored by the daemon.
async fn both_work(platform: &Platform, store: &dyn Store) -> anyhow::Result<()> {
    let sent = send(&platform.producer()?, "demo.add", r#"{"x": 1, "y": 2}"#).await?;
    wait_for_state(store, sent.as_str(), TaskState::Success, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_starts_watches_restarts_and_stops_the_daemon_and_a_worker() -> anyhow::Result<()> {
    if !can_be_had() {
        eprintln!("not tried: no systemd of our own can be had on this machine");
        return Ok(());
    }
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let (broker, database_url) = (vhost.amqp_url(), database.url());
    let platform = Platform::init(&broker, database_url)?;
    let store = platform.store().await?;
    let systemd = machine(&broker, database_url).await?;
    for service in [SYNC, WORKER] {
        systemd.is_ready(service, 0).await?;
    }
    eventually("a line about how they are", PATIENCE, async || {
        let (sync, worker) = (
            systemd.shows(SYNC, "StatusText")?,
            systemd.shows(WORKER, "StatusText")?,
        );
        let told = sync.starts_with("leader, ") && worker.starts_with("0 tasks running, ");
        Ok(told.then_some(()))
    })
    .await?;
    both_work(&platform, &*store).await?;

    for (restarts, signal) in [(1, "KILL"), (2, "STOP")] {
        for service in [SYNC, WORKER] {
            systemd.signal(service, signal)?;
            systemd.is_ready(service, restarts).await?;
        }
        both_work(&platform, &*store).await?;
    }

    for service in [WORKER, SYNC] {
        systemd.control(&["stop", service])?;
        let end = ["ActiveState", "Result", "ExecMainStatus", "NRestarts"];
        let end = end.map(|property| systemd.shows(service, property));
        let end = end.into_iter().collect::<Result<Vec<_>, _>>()?;
        assert_eq!(end, ["inactive", "success", "0", "2"], "{}", systemd.said());
    }
    Ok(())
}
