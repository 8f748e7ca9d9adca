//! Traces of real programs, as a collector gets them.

mod wire;

use crate::program::{Program, producer};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use counterfoil_demo::tasks::{Echo, Fail, Tree};
use counterfoil_testkit::{Broker, eventually};
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::telemetry::TraceContext;
use serde_json::value::to_raw_value;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use wire::{CONSUMER, ERROR, PRODUCER, Span};

const PATIENCE: Duration = Duration::from_secs(60);

/// A collector of traces: OTLP over HTTP.
struct Collector {
    url: String,
    requests: Arc<Mutex<Vec<Bytes>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    async fn start() -> Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let take = |State(all): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes| async move {
            all.lock().expect("not poisoned").push(body);
        };
        let app = Router::new().route("/v1/traces", post(take));
        let app = app.with_state(requests.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Ok(Self {
            url,
            requests,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    fn raw(&self) -> Vec<Bytes> {
        self.requests.lock().expect("not poisoned").clone()
    }

    fn got(&self) -> Result<Vec<Span>> {
        let requests = self.raw();
        let spans = requests.iter().map(|request| Span::all(request));
        Ok(spans.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Waits for as many spans as `look` wants.
    async fn until<T>(&self, what: &str, look: impl Fn(&[Span]) -> Option<T>) -> Result<T> {
        let found = async || Ok(look(&self.got()?));
        eventually(what, PATIENCE, found).await
    }
}

const WORKER: &str = "counterfoil-demo-worker";

fn env(collector: &Collector) -> [(&str, &str); 2] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]
}

#[tokio::test]
async fn the_span_that_sends_a_task_and_the_one_that_runs_it_are_in_one_trace() -> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let collector = Collector::start().await?;
    let program = Program::start(&vhost.amqp_url(), &env(&collector))?;
    // Until it has made its queues.
    producer(&vhost).await?;
    // Settings of ours say where to, as well.
    let sender = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterfoil-demo-producer"))
        .arg("2")
        .env("COUNTERFOIL_BROKER__URL", vhost.amqp_url())
        .env("COUNTERFOIL_TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .env("OTEL_SERVICE_NAME", "sender")
        .stdout(Stdio::null())
        .status();
    assert!(sender.await?.success());
    let pairs = collector.until("two tasks, sent and run", |spans| {
        let runs = spans.iter().filter(|it| it.is(WORKER, "task.run"));
        let sent = |run: &Span| {
            let parent = |it: &&Span| it.span_id == run.parent_id;
            let send = spans
                .iter()
                .filter(|it| it.is("sender", "task.send"))
                .find(parent);
            Some((send?.clone(), run.clone()))
        };
        let pairs: Vec<_> = runs.filter_map(sent).collect();
        (pairs.len() == 2).then_some(pairs)
    });
    for (send, run) in pairs.await? {
        assert_eq!(send.trace_id, run.trace_id);
        assert_eq!((send.kind, run.kind), (PRODUCER, CONSUMER));
        for span in [&send, &run] {
            assert_eq!(span.attribute("task_name"), Some("demo.add"));
        }
        assert!(run.attribute("task_id").is_some(), "{run:?}");
    }
    drop(program);
    vhost.close().await
}

#[tokio::test]
async fn a_trace_goes_on_from_any_sender_through_all_children() -> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let collector = Collector::start().await?;
    let program = Program::start(&vhost.amqp_url(), &env(&collector))?;
    let producer = producer(&vhost).await?;
    // As a Python application with OpenTelemetry writes it.
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext::new(parent, Some("vendor=1")).context("a trace")?;
    let tree = Tree { width: 1, depth: 2 };
    producer
        .send_with(tree, SendOptions::new().trace(trace))
        .await?;
    let spans = collector.until("a task and its two generations", |spans| {
        let runs: Vec<_> = spans
            .iter()
            .filter(|it| it.is(WORKER, "task.run"))
            .collect();
        (runs.len() == 3).then(|| spans.to_vec())
    });
    let spans = spans.await?;
    let mut parent = vec![0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
    for _ in 0..3 {
        let child = |name: &str, parent: &[u8]| {
            let mut found = spans.iter().filter(|it| it.is(WORKER, name));
            found.find(|it| it.parent_id == parent).cloned()
        };
        let run = child("task.run", &parent).with_context(|| format!("{spans:#?}"))?;
        assert_eq!(run.trace_id[..4], [0x4b, 0xf9, 0x2f, 0x35]);
        assert_eq!(run.trace_state, "vendor=1");
        parent = match child("task.send", &run.span_id) {
            Some(send) => send.span_id,
            None => Vec::new(),
        };
    }
    assert!(parent.is_empty(), "the last generation sends nothing");
    drop(program);
    vhost.close().await
}

#[tokio::test]
async fn a_failure_is_marked_and_no_secret_and_no_argument_is_in_a_span() -> Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let collector = Collector::start().await?;
    let mut env = env(&collector).to_vec();
    env.push(("COUNTERFOIL_LOG", "trace"));
    let program = Program::start(&vhost.amqp_url(), &env)?;
    let producer = producer(&vhost).await?;
    let value = to_raw_value(&serde_json::json!({"password": "canary-argument"}))?;
    producer
        .send(Echo { value })
        .await?
        .result(PATIENCE)
        .await?;
    producer
        .send(Fail {
            message: "as asked".to_owned(),
        })
        .await?;
    let spans = collector.until("both spans", |spans| {
        let runs: Vec<_> = spans
            .iter()
            .filter(|it| it.is(WORKER, "task.run"))
            .cloned()
            .collect();
        (runs.len() == 2).then_some(runs)
    });
    for run in spans.await? {
        let is_failure = run.attribute("task_name") == Some("demo.fail");
        assert_eq!(run.status == ERROR, is_failure, "{run:?}");
    }
    let password = vhost.amqp_url();
    let (_, password) = password.split_once("://").context("a URL")?;
    let password = password
        .split(['@', ':'])
        .nth(1)
        .context("a password")?
        .to_owned();
    program.ask_to_stop().await?;
    let (status, _) = program.end().await?;
    assert_eq!(status.code(), Some(0));
    let holds = |body: &Bytes, text: &str| body.windows(text.len()).any(|it| it == text.as_bytes());
    for body in collector.raw() {
        assert!(!holds(&body, "canary-argument"));
        assert!(!holds(&body, &password));
    }
    vhost.close().await
}
