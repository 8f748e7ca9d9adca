//! The functional suite: a right set-up passes, a broken one says what mends it, and nothing is left running.

use counterfoil_testkit::{Broker, Permissions, SuiteReport, Vhost, functional_suite};
use counterfoil_toolbox::Task;
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::doctor::Outcome;
use counterfoil_toolbox::topology::names::dead_key;
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Double {
    number: i64,
}

impl Task for Double {
    const NAME: &'static str = "sums.double";
    type Output = i64;
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Shout {
    text: String,
}

impl Task for Shout {
    const NAME: &'static str = "words.shout";
    type Output = String;
}

async fn double(task: Double, _: Context) -> Result<i64, TaskError> {
    Ok(task.number * 2)
}

async fn shout(task: Shout, _: Context) -> Result<String, TaskError> {
    Ok(task.text.to_uppercase())
}

fn register(worker: WorkerBuilder) -> WorkerBuilder {
    worker.handle(double).handle(shout)
}

fn config(url: &str, more: &[(&str, &str)]) -> anyhow::Result<Config> {
    let env = [("COUNTERFOIL_BROKER__URL", url)];
    let env = env.into_iter().chain(more.iter().copied());
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Config::load(LoadOptions::new(Role::Worker).env(env))?)
}

const PRODUCTION: (&str, &str) = ("COUNTERFOIL_PROFILE", "production");

async fn suite(vhost: &Vhost, more: &[(&str, &str)]) -> anyhow::Result<SuiteReport> {
    functional_suite(&config(&vhost.amqp_url(), more)?, register).await
}

/// Detail and remedy of the only check that failed.
fn the_failure(report: &SuiteReport) -> (String, String) {
    let failed: Vec<_> = report.failed().collect();
    assert_eq!(failed.len(), 1, "{report}");
    let remedy = failed[0].remedy.clone().expect("a remedy");
    (format!("{}: {}", failed[0].name, failed[0].detail), remedy)
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_at_a_right_broker_passes_with_every_service_in_development_and_production()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    for more in [&[][..], &[PRODUCTION]] {
        let started = std::time::Instant::now();
        let report = suite(&vhost, more).await?;
        eprintln!("the suite took {:?}\n{report}", started.elapsed());
        report.assert_ok();
        let ok = |check: &&counterfoil_toolbox::doctor::Check| check.outcome == Outcome::Ok;
        let told: Vec<_> = report
            .checks
            .iter()
            .filter(ok)
            .map(|it| it.detail.as_str())
            .collect();
        for wanted in [
            "a task of sums was run once, and its result came back",
            "a task of words was run once, and its result came back",
            "queue platform.fifo got a copy of each, once",
            "the worker drained",
        ] {
            assert!(told.contains(&wanted), "{report}");
        }
        assert_eq!(vhost.depth("sums").await?.ready, 0);
        assert_eq!(vhost.depth("sums.dead").await?.ready, 0);
        // One for each service, for a daemon: what the suite sent, and no probe.
        assert_eq!(vhost.depth("platform.fifo").await?.ready, 2);
        vhost.purge("platform.fifo").await?;
    }
    vhost.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_queue_fails_the_suite_and_no_task_is_sent() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let classic = json!({ "durable": true, "arguments": { "x-queue-type": "classic" } });
    let path = format!("/queues/{}/sums", vhost.name());
    vhost.broker().management().put(&path, &classic).await?;
    let report = suite(&vhost, &[]).await?;
    let failed: Vec<_> = report.failed().collect();
    let queue = failed.iter().find(|check| check.name == "queue sums");
    let queue = queue.unwrap_or_else(|| panic!("{report}"));
    has(&queue.detail, "x-queue-type");
    has(
        queue.remedy.as_deref().unwrap_or_default(),
        "rabbitmqctl delete_queue --if-empty sums",
    );
    assert!(
        report
            .checks
            .iter()
            .any(|check| check.detail.starts_with("skipped: what failed"))
    );
    assert_eq!(vhost.depth("platform.fifo").await?.ready, 0);
    vhost.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_binding_and_a_missing_right_are_told_with_what_mends_them() -> anyhow::Result<()>
{
    let vhost = Broker::shared().await?.vhost().await?;
    suite(&vhost, &[]).await?.assert_ok();
    let management = vhost.broker().management();
    let binding = format!(
        "/bindings/{}/e/task_exchange.work/q/sums/sums.%23",
        vhost.name()
    );
    vhost.purge("platform.fifo").await?;
    management.delete(&binding).await?;
    let report = suite(&vhost, &[PRODUCTION]).await?;
    let failed: Vec<_> = report.failed().collect();
    assert_eq!(failed.len(), 2, "{report}");
    has(
        &failed[0].detail,
        "did not reach queue sums: a binding is missing",
    );
    has(
        failed[0].remedy.as_deref().unwrap_or_default(),
        "counterfoil topology apply",
    );

    // In development it mends that itself. The user of a service, who may not report that a task died.
    let user = vhost
        .user(Permissions {
            configure: "^(sums|words)\\.reply\\.",
            write: "^(task_exchange|task_events|task_heartbeats|celery_delayed_27|(sums|words)\\.reply\\..*)$",
            read: "^(sums|words|platform\\.(control|fifo)|task_events|(sums|words)\\.reply\\..*)$",
        })
        .await?;
    suite(&vhost, &[]).await?.assert_ok();
    let report = functional_suite(&config(&user.amqp_url, &[PRODUCTION])?, register).await?;
    let failed: Vec<_> = report.failed().collect();
    assert_eq!(failed.len(), 2, "{report}");
    let key = dead_key("sums");
    let what = format!(
        "may not publish to task_exchange.dead with the key {:?}",
        key.as_str()
    );
    has(&failed[0].detail, &what);
    let line = format!(
        "rabbitmqctl set_permissions -p {} {} '^$'",
        vhost.name(),
        user.name
    );
    has(failed[0].remedy.as_deref().unwrap_or_default(), &line);
    vhost.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_other_workers_no_task_is_sent_unless_the_suite_has_a_prefix() -> anyhow::Result<()>
{
    let vhost = Broker::shared().await?.vhost().await?;
    suite(&vhost, &[]).await?.assert_ok();
    vhost.purge("platform.fifo").await?;
    let settings = config(&vhost.amqp_url(), &[])?.broker;
    let transport = counterfoil_toolbox::transport::amqp::AmqpTransport::new(&settings)?;
    let options = counterfoil_toolbox::transport::SubscribeOptions::new("words".parse()?, 5);
    let other = counterfoil_toolbox::transport::Subscription::open(transport, options);
    let consuming = counterfoil_toolbox::transport::SubscriptionStatus::Consuming;
    other
        .status()
        .wait_for(|status| *status == consuming)
        .await?;
    let report = suite(&vhost, &[]).await?;
    let (what, remedy) = the_failure(&report);
    assert_eq!(
        what,
        "strangers: others consume queue words, and would get tasks of this suite"
    );
    has(&remedy, "COUNTERFOIL_BROKER__QUEUE_PREFIX=test-");
    assert_eq!(vhost.depth("platform.fifo").await?.ready, 0);
    let apart = suite(&vhost, &[("COUNTERFOIL_BROKER__QUEUE_PREFIX", "test-")]).await?;
    apart.assert_ok();
    other.close().await;
    vhost.close().await
}
