//! A running daemon removes what is over for long enough.

use crate::platform::{PATIENCE, Platform, wait_for_state};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::TaskState;
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_when_its_time_is_over_and_one_that_says_so_stays_longer() -> anyhow::Result<()>
{
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform.set("COUNTERFOIL_SYNC__RETENTION__DEFAULT", "2h".into());
    platform.set("COUNTERFOIL_SYNC__RETENTION_INTERVAL", "1s".into());
    let store = platform.store().await?;
    let (mut daemon, mut worker) = (platform.daemon()?, platform.worker()?);
    let mut ids = Vec::new();
    for keep in [&[][..], &["--retention", "30d"], &[]] {
        let sent = platform.cli(&[&["send", "demo.add", r#"{"x": 2, "y": 3}"#], keep].concat())?;
        let id = String::from_utf8(sent.stdout)?.trim().to_owned();
        wait_for_state(&*store, &id, TaskState::Success, PATIENCE).await?;
        ids.push(id);
    }
    let [old, said, young] = ids.as_slice() else {
        anyhow::bail!("three tasks were sent");
    };
    // Only a lease that changes leaves last_updated alone.
    let age = format!(
        "UPDATE background_task SET created_date = now() - interval '3 hours',
             last_updated = now() - interval '3 hours', lease_until = now()
         WHERE task_id IN ('{old}', '{said}');
         UPDATE background_task SET lease_until = NULL WHERE task_id IN ('{old}', '{said}')"
    );
    let mut psql = Command::new("psql");
    psql.args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        database.url(),
        "-c",
        &age,
    ]);
    anyhow::ensure!(psql.status()?.success());
    eventually("the old task to go", PATIENCE, async || {
        Ok(store.task(old).await?.is_none().then_some(()))
    })
    .await?;
    anyhow::ensure!(store.history(&old.parse()?).await?.is_empty());
    for id in [said, young] {
        anyhow::ensure!(store.task(id).await?.is_some(), "{id} is gone");
    }
    daemon.assert_running()?;
    worker.assert_running()
}
