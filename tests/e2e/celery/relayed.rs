//! Callers in Python of a worker that may not write to their queues: the daemon passes its answers on.

use super::callers::{Both, compare};
use crate::platform::Platform;
use counterfoil_celery::Celery;
use counterfoil_testkit::{Database, Permissions};
use counterfoil_toolbox::config::BrokerSettings;

/// What `deploy/rabbitmq/permissions worker calc` allows.
const WORKER: Permissions<'static> = Permissions {
    configure: "^$",
    write: "^(task_exchange|task_events|task_heartbeats|task_exchange\\.dead|celery_delayed_27)$",
    read: "^(calc|platform\\.control)$",
};

/// What the callers of `calls.py` get of such a worker.
async fn compare_with_python(extension: impl FnOnce(Celery) -> Celery) -> anyhow::Result<()> {
    let both = Both::limited(WORKER, extension).await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&both.vhost.amqp_url(), database.url())?;
    let daemon = platform.daemon()?;
    let theirs = both.call(&["pycalc"]).await?;
    compare(&theirs, &both.call(&["calc"]).await?);
    assert_eq!(daemon.terminate().await?, 0);
    database.close().await?;
    both.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_by_the_daemon_what_a_python_worker_answers() -> anyhow::Result<()> {
    let names = BrokerSettings::default().names()?;
    compare_with_python(|celery| celery.replies_by_platform(&names)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_answers_are_refused_leaves_them_to_the_daemon() -> anyhow::Result<()> {
    compare_with_python(|celery| celery).await
}
