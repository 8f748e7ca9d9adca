//! What becomes of requests to send a task that are repeated, and of those whose arguments do not fit.

use crate::app::Dashboard;
use crate::site_tests::Site;
use axum::body::{Body, to_bytes};
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, StatusCode};
use counterfoil_testkit::store_suite::StoreSite;
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::{self, QueueSettings, ServiceSettings};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

/// What somebody was told, and in how many seconds they may ask again.
#[derive(Debug, PartialEq)]
struct Told {
    status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
}

/// A dashboard whose broker has the queues of the service `demo`, and a catalogue of what its tasks take.
struct Desk {
    site: Site,
    broker: MemoryBroker,
    catalogue: PathBuf,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut site, broker) = (Site::open().await, MemoryBroker::new());
        let mut config = Config::load(LoadOptions::new(Role::Dashboard)).expect("defaults");
        let catalogue = folder.path().join("catalogue.json");
        config.catalogue = Some(catalogue.clone());
        let transport = Arc::new(broker.clone());
        site.dashboard =
            Dashboard::new(Arc::clone(&site.store), transport, &config).expect("a dashboard");
        let names = &site.dashboard.app.platform.names;
        let demo = ServiceName::new("demo").expect("a name");
        let queues = [
            topology::platform(names, QueueSettings::default()),
            topology::service(names, &demo, &ServiceSettings::default()),
        ];
        let applied = topology::apply(&broker, queues.concat()).await;
        applied.expect("declared");
        let desk = Self {
            site,
            broker,
            catalogue,
            _folder: folder,
        };
        desk.takes("integer");
        desk
    }

    /// What `demo.add` takes from now on as its `x`.
    fn takes(&self, kind: &str) {
        let fields = json!({"x": {"type": kind}, "api_key": {"type": "string"}});
        let schema = json!({"demo.add": {"type": "object", "properties": fields}});
        std::fs::write(&self.catalogue, schema.to_string()).expect("written");
    }

    async fn send(&self, key: &str, order: &Value) -> Told {
        let app = &self.site.dashboard.app;
        let request = Request::post("/api/tasks")
            .header("host", "localhost")
            .header("origin", "http://localhost")
            .header("x-form-token", app.seal.of("form", &["local", "local"]))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(order.to_string()));
        let response = self.site.call(request.expect("a request")).await;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let body = to_bytes(response.into_body(), 1024 * 1024).await;
        let body = serde_json::from_slice(&body.expect("a body")).expect("JSON");
        Told {
            status,
            body,
            retry_after,
        }
    }

    /// Sends the same at the same time while the queue refuses what comes first: it takes it when it is offered again.
    async fn send_twice(&self, order: &Value) -> [Told; 2] {
        let mut one = pin!(self.send("1", order));
        let mut other = pin!(self.send("1", order));
        self.broker.faults().nack_next(3);
        let is_one;
        let first = tokio::select! {
            told = &mut one => { is_one = true; told }
            told = &mut other => { is_one = false; told }
        };
        let second = match is_one {
            true => other.await,
            false => one.await,
        };
        [first, second]
    }

    /// Messages in the queue of the service.
    async fn waiting(&self) -> u32 {
        let queue = QueueName::new("demo").expect("a name");
        let depth = self.broker.depth(&queue).await.expect("asked");
        depth.expect("it is there").ready
    }
}

fn order(kwargs: Value) -> Value {
    json!({"name": "demo.add", "kwargs": kwargs})
}

#[tokio::test]
async fn a_request_that_is_sent_again_under_its_key_sends_one_task_and_has_one_answer() {
    let desk = Desk::new().await;
    let first = desk.send("1", &order(json!({"x": 1}))).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    assert_eq!(first.body["validated"], true);
    assert_eq!(desk.send("1", &order(json!({"x": 1}))).await, first);
    desk.takes("string");
    assert_eq!(desk.send("1", &order(json!({"x": 1}))).await, first);
    let another = desk.send("1", &order(json!({"x": "2"}))).await;
    assert_eq!(another.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        another.body["detail"],
        "this Idempotency-Key was used for another request"
    );
    assert_eq!(desk.waiting().await, 1);
}

#[tokio::test]
async fn of_two_equal_requests_at_the_same_time_one_sends_and_the_other_is_told_to_wait() {
    let desk = Desk::new().await;
    let order = order(json!({"x": 1}));
    let [refused, sent] = desk.send_twice(&order).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    assert_eq!(desk.waiting().await, 1);
}

#[tokio::test]
async fn a_request_that_nobody_has_answered_yet_is_refused_with_the_time_to_wait() {
    let desk = Desk::new().await;
    let order = order(json!({"x": 1}));
    let digest = Sha256::digest(order.to_string().as_bytes());
    let (store, id) = (&desk.site.store, TaskId::random());
    let claim = store.claim_request("local", "1", &digest, &id).await;
    claim.expect("claimed");
    let told = desk.send("1", &order).await;
    assert_eq!(told.status, StatusCode::CONFLICT, "{told:?}");
    assert_eq!(
        told.body["detail"],
        "a request with this Idempotency-Key is being answered"
    );
    assert!(matches!(told.retry_after, Some(30..=56)), "{told:?}");
    assert_eq!(desk.waiting().await, 0);
}

#[tokio::test]
async fn a_request_that_was_never_answered_is_sent_again_under_its_id_and_once() {
    let (mut desk, database) = (Desk::new().await, StoreSite::sqlite().await.expect("made"));
    let store = database.another().await.expect("opened");
    let broker = Arc::new(desk.broker.clone());
    let config = Config::load(LoadOptions::new(Role::Dashboard)).expect("defaults");
    desk.site.dashboard = Dashboard::new(Arc::clone(&store), broker, &config).expect("one");
    let (order, id) = (order(json!({"x": 1})), TaskId::random());
    let digest = Sha256::digest(order.to_string().as_bytes());
    let claim = store.claim_request("local", "1", &digest, &id).await;
    claim.expect("claimed");
    let old = "UPDATE request_key SET created_at = '2020-01-01T00:00:00.000000Z'";
    database.execute(old).await.expect("made older");
    let [refused, sent] = desk.send_twice(&order).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    assert_eq!(sent.body["id"], store.public_id(&id).expect("an id"));
    assert_eq!(desk.waiting().await, 1);
}

#[tokio::test]
async fn the_key_of_a_request_that_sent_nothing_is_free_again() {
    let desk = Desk::new().await;
    let misfit = desk.send("1", &order(json!({"x": "one"}))).await;
    assert_eq!(misfit.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mut hurried = order(json!({"x": 1}));
    hurried["options"] = json!({"time_limit_s": 0});
    let refused = desk.send("1", &hurried).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let sent = desk.send("1", &order(json!({"x": 1}))).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    assert_eq!(desk.waiting().await, 1);
}

#[tokio::test]
async fn what_a_secret_argument_holds_is_told_to_nobody_and_not_written_down() {
    let desk = Desk::new().await;
    let told = desk
        .send("1", &order(json!({"api_key": {"v": "S3CRET"}})))
        .await;
    assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        told.body["detail"],
        "`demo.add` got a bad value for argument `api_key`"
    );
    let told = desk.send("1", &order(json!({"x": "told"}))).await;
    assert_eq!(
        told.body["detail"],
        "`demo.add` got a bad value for argument `x`: \"told\" is not of type \"integer\""
    );
    let written = "local as admin: send, the arguments do not fit";
    assert_eq!(desk.site.trail().await, [written, written]);
}
