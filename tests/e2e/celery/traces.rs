//! Traces between Python and Rust, by the headers of OpenTelemetry's instrumentation of Celery.

use super::{celery_worker, python};
use crate::platform::{self, PATIENCE, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::telemetry::TraceContext;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, ServiceName, TaskState};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn parent() -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-01")
}

#[tokio::test]
async fn what_python_sends_in_a_trace_stays_in_it_with_its_children_in_rust() -> anyhow::Result<()>
{
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let store = platform.store().await?;
    let (_daemon, _worker) = (platform.daemon()?, platform.worker()?);
    let mut command = python(&vhost.amqp_url())?;
    let sent = command.arg("traced.py").arg(parent()).output()?;
    let said = String::from_utf8_lossy(&sent.stderr);
    anyhow::ensure!(sent.status.success(), "{said}");
    let root = String::from_utf8(sent.stdout)?;
    wait_for_state(&*store, &root, TaskState::Success, PATIENCE).await?;
    let family = eventually("its child", PATIENCE, async || {
        let family = store.family(&root.parse()?).await?;
        let over = family.iter().filter(|row| row.state == TaskState::Success);
        Ok((over.count() == 2).then_some(family))
    });
    for row in family.await? {
        let messages = store
            .stored_tasks(std::slice::from_ref(&row.task_id))
            .await?;
        let message = messages.into_iter().next().context("its message")?;
        let headers = &message.message.content.headers;
        let trace = TraceContext::of_headers(headers).with_context(|| format!("{headers:?}"))?;
        assert!(trace.traceparent().contains(TRACE), "{trace:?}");
    }
    vhost.close().await
}

#[tokio::test]
async fn what_rust_sends_in_a_trace_is_run_in_it_by_python() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let broker = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    platform::apply(&broker, &[ServiceName::new("pyadd")?]).await?;
    let producer = Producer::new(AmqpTransport::new(&broker)?, broker.names()?);
    let trace = TraceContext::new(&parent(), None).context("a trace")?;
    let task = RawTask {
        name: "pyadd.trace".parse()?,
        args: "[]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    producer
        .send_raw(task, SendOptions::new().trace(trace))
        .await?;

    let folder = tempfile::tempdir()?;
    let results = folder.path().join("results");
    let mut worker = celery_worker("traced", &vhost.amqp_url(), folder.path(), &results)?;
    let noted = eventually("Celery to run the task", PATIENCE, async || {
        worker.assert_running()?;
        let text = std::fs::read_to_string(&results).unwrap_or_default();
        Ok(text.strip_suffix('\n').map(str::to_owned))
    });
    let noted = noted.await;
    assert_eq!(noted.with_context(|| worker.log_tail())?, TRACE);
    assert_eq!(worker.terminate().await?, 0);
    vhost.close().await
}
