//! What a Python worker says of its tasks comes into the platform's database.

use super::{celery_command, python, result_of};
use crate::platform::{self, PATIENCE, Platform, Process, wait_for_state};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database};
use counterfoil_toolbox::{ServiceName, TaskState};
use serde_json::json;

/// Sends one task of each kind, and prints their ids.
const SEND: &str = "
from calc import app
for name, args in [('add', [2, 3]), ('flaky', [1]), ('fail', ['ValueError', 'nope'])]:
    print(app.send_task(f'pycalc.{name}', args).id)
";

#[tokio::test]
async fn tasks_of_a_python_worker_show_their_states_results_and_retries() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform::apply(&platform.broker(), &[ServiceName::new("pycalc")?]).await?;
    let celery = [("COUNTERFOIL_SYNC__CELERY_SERVICES", "pycalc")];
    let (store, daemon) = (platform.store().await?, platform.daemon_with(&celery)?);
    let folder = tempfile::tempdir()?;
    let command = celery_command("calc", &vhost.amqp_url())?;
    let worker = Process::start(command, folder.path().join("celery.log"))?;
    let sent = python(&vhost.amqp_url())?.args(["-c", SEND]).output()?;
    anyhow::ensure!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let ids = String::from_utf8(sent.stdout)?;
    let [added, flaky, failed] = ids.lines().collect::<Vec<_>>()[..] else {
        anyhow::bail!("three ids: {ids}");
    };
    let told = |id| wait_for_state(&*store, id, TaskState::Success, PATIENCE);
    let row = told(added).await.with_context(|| worker.log_tail())?;
    assert_eq!(result_of(&*store, added).await?, json!(5));
    assert!(
        row.worker
            .is_some_and(|worker| worker.starts_with("celery@"))
    );
    assert_eq!(told(flaky).await?.executions, 1, "it was retried once");
    assert_eq!(result_of(&*store, flaky).await?, json!(1));
    let row = wait_for_state(&*store, failed, TaskState::Failure, PATIENCE).await?;
    assert_eq!(row.error_message.as_deref(), Some("ValueError('nope')"));
    assert_eq!(worker.terminate().await?, 0);
    assert_eq!(daemon.terminate().await?, 0);
    store.close().await;
    database.close().await?;
    vhost.close().await
}
