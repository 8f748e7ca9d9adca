//! Callers in Python of a worker that may not write to their queues: the daemon passes its answers on.

use super::callers::{Both, compare};
use crate::platform::Platform;
use counterfoil_testkit::{Database, Permissions};
use counterfoil_toolbox::config::BrokerSettings;

/// What `deploy/rabbitmq/permissions worker calc` allows.
const WORKER: Permissions<'static> = Permissions {
    configure: "^$",
    write: "^(task_exchange|task_events|task_heartbeats|task_exchange\\.dead|celery_delayed_27)$",
    read: "^(calc|platform\\.control)$",
};

#[tokio::test(flavor = "multi_thread")]
async fn callers_in_python_get_by_the_daemon_what_a_python_worker_answers() -> anyhow::Result<()> {
    let names = BrokerSettings::default().names()?;
    let both = Both::limited(WORKER, |celery| celery.replies_by_platform(&names)).await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&both.vhost.amqp_url(), database.url())?;
    let daemon = platform.daemon()?;
    let theirs = both.call(&["pycalc"]).await?;
    compare(&theirs, &both.call(&["calc"]).await?);
    assert_eq!(daemon.terminate().await?, 0);
    database.close().await?;
    both.end().await
}
