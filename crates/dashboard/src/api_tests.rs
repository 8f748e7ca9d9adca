//! What programs read and do about services, dead letters, parked messages and schedules.

use crate::site_tests::Site;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use counterfoil_store::{
    Batch, CatchUp, DeadFilter, DeadLetter, Parked, ScheduleRow, StoredMessage,
};
use counterfoil_testkit::store_suite::{copy, event, lineage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::message::names::REASON;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::names::dead_key;
use counterfoil_toolbox::topology::{self, QueueSettings, ServiceSettings};
use counterfoil_toolbox::transport::{Publication, PublisherOptions};
use serde_json::{Value, json};
use uuid::Uuid;

impl Site {
    /// What the API says to somebody at this machine, who may do everything.
    async fn api(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let app = &self.dashboard.app;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("origin", "http://localhost")
            .header("x-form-token", app.seal.of("form", &["local", "local"]))
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()));
        let response = self.call(request.expect("a request")).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1024 * 1024).await;
        let body = body.expect("a body");
        let json = serde_json::from_slice(&body);
        (status, json.unwrap_or(Value::Null))
    }

    async fn order(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.api(Method::POST, path, &body.to_string()).await
    }

    async fn list(&self, path: &str) -> Value {
        let (status, list) = self.api(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {list}");
        list
    }
}

fn letter(service: &str, id: &TaskId) -> DeadLetter {
    DeadLetter {
        service: service.into(),
        reason: "exhausted".into(),
        reason_text: Some("the third of three".into()),
        task_id: Some(id.clone()),
        name: Some("demo.add".into()),
        lineage: lineage(0, 3, 0),
        died_at: None,
        message: copy(id).message,
    }
}

fn parked(reason: &str) -> Parked {
    Parked {
        queue: "platform.fifo".into(),
        reason: reason.into(),
        task_id: None,
        name: None,
        message: StoredMessage {
            exchange: "task_exchange".into(),
            routing_key: "demo.add".into(),
            content: Content::json(format!("{{ {reason}")),
        },
        waits: false,
    }
}

#[tokio::test]
async fn dead_letters_are_read_page_by_page_and_by_public_ids() {
    let site = Site::open().await;
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    batch.dead(letter("mail", &id));
    for _ in 0..150 {
        batch.dead(letter("demo", &TaskId::random()));
    }
    site.store.apply(&batch).await.expect("written");
    let of_mail = site.list("/api/dead?service=mail").await;
    let public = site.store.public_id(&id).expect("an id");
    assert_eq!(of_mail["items"][0]["task"], json!(public));
    assert_eq!(of_mail["items"][0]["reason_text"], "the third of three");
    assert!(!of_mail.to_string().contains(id.as_str()), "{of_mail}");
    assert_eq!(of_mail.get("next"), None);
    let first = site.list("/api/dead?service=demo").await;
    let next = first["next"].as_str().expect("there is more");
    let further = format!("/api/dead?service=demo&cursor={next}");
    let second = site.list(&further).await;
    let count = |page: &Value| page["items"].as_array().map(Vec::len);
    assert_eq!((count(&first), count(&second)), (Some(100), Some(50)));
    let (status, _) = site.api(Method::GET, "/api/dead?cursor=none", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // As do people.
    let (_, page) = site.get("/dead?service=demo").await;
    assert!(
        page.contains(&format!("cursor={next}\">Older</a>")),
        "{page}"
    );
}

#[tokio::test]
async fn dead_letters_are_redriven_and_discarded_and_the_trail_says_whose() {
    let site = Site::open().await;
    let app = &site.dashboard.app;
    let (transport, names) = (&app.platform.transport, &app.platform.names);
    let demo = ServiceName::new("demo").expect("a name");
    let settings = ServiceSettings::default();
    let queues = [
        topology::platform(names, QueueSettings::default()),
        topology::service(names, &demo, &settings),
    ];
    let applied = topology::apply(&**transport, queues.concat()).await;
    applied.expect("declared");
    let ids = [TaskId::random(), TaskId::random()];
    let mut batch = Batch::new();
    let publisher = transport.publisher(PublisherOptions::default());
    for id in &ids {
        batch.track(&copy(id));
        batch.event(&event(id, lineage(0, 0, 0), TaskState::Failure));
        let mut content = copy(id).message.content;
        content.headers.push(REASON, "exhausted");
        let dead = Publication {
            exchange: names.dead.clone(),
            routing_key: dead_key("demo"),
            content,
        };
        publisher.publish(dead).await.expect("confirmed");
    }
    site.store.apply(&batch).await.expect("written");
    let public = ids.each_ref().map(|id| site.store.public_id(id));
    let [first, second] = public.map(|id| id.expect("an id"));
    let only = json!({"service": "demo", "ids": [first]});
    let (status, dealt) = site.order("/api/dead/redrive", only).await;
    assert_eq!(status, StatusCode::OK, "{dealt}");
    assert_eq!((&dealt["done"], &dealt["failed"]), (&json!(1), &json!(0)));
    assert_eq!(dealt["outcomes"][0]["task"], json!(first));
    let queue = names.service_queue(&demo);
    let depth = transport.depth(&queue).await.expect("asked");
    assert_eq!(depth.map(|depth| depth.ready), Some(1), "it was sent again");
    let (status, dealt) = site
        .order("/api/dead/discard", json!({"service": "demo"}))
        .await;
    assert_eq!(status, StatusCode::OK, "{dealt}");
    assert_eq!(dealt["outcomes"][0]["task"], json!(second));
    assert_eq!(
        site.trail().await,
        [
            "local as admin: discard, demo: done",
            "local as admin: redrive, demo: done"
        ]
    );
    let left = site.store.dead(&DeadFilter::default()).await;
    assert_eq!(left.expect("read"), []);
}

#[tokio::test]
async fn a_request_about_messages_that_cannot_be_meant_is_refused_with_what_is_wrong() {
    let site = Site::open().await;
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let nowhere = Uuid::nil();
    for (path, body, status, says) in [
        ("/api/dead/redrive", json!({}), 400, "service"),
        (
            "/api/dead/redrive",
            json!({"service": "a.b"}),
            400,
            "service:",
        ),
        (
            "/api/dead/discard",
            json!({"service": "demo", "limit": 0}),
            400,
            "limit:",
        ),
        (
            "/api/dead/discard",
            json!({"service": "demo", "limit": 10_001}),
            400,
            "limit:",
        ),
        (
            "/api/dead/discard",
            json!({"service": "demo", "ids": many}),
            400,
            "ids:",
        ),
        (
            "/api/dead/redrive",
            json!({"service": "demo", "all": true}),
            400,
            "all",
        ),
        (
            "/api/dead/redrive",
            json!({"service": "demo", "until": "now"}),
            400,
            "the request is none",
        ),
        (
            "/api/dead/redrive",
            json!({"service": "demo"}),
            404,
            "no dead queue",
        ),
        (
            "/api/dead/discard",
            json!({"service": "demo", "ids": []}),
            400,
            "ids:",
        ),
        ("/api/parked/redrive", json!({"ids": []}), 400, "ids:"),
        (
            "/api/parked/redrive",
            json!({"ids": ["1"]}),
            400,
            "the request is none",
        ),
        (
            "/api/parked/discard",
            json!({"ids": [nowhere]}),
            404,
            "nothing is parked",
        ),
        ("/api/parked/discard", json!([]), 400, "the request is none"),
    ] {
        let (found, problem) = site.order(path, body.clone()).await;
        assert_eq!(found.as_u16(), status, "{path} {body}: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{path} {body}: {problem}");
    }
}

#[tokio::test]
async fn parked_messages_are_listed_read_again_and_discarded() {
    let site = Site::open().await;
    let mut batch = Batch::new();
    batch.park(parked("one"));
    batch.park(parked("two"));
    site.store.apply(&batch).await.expect("written");
    let list = site.list("/api/parked?queue=platform.fifo").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    let reason = list["items"][0]["reason"].as_str().expect("one").to_owned();
    assert_eq!(list["items"][0]["body_bytes"], json!("{ one".len()));
    let none = site.list("/api/parked?queue=other").await;
    assert_eq!(none, json!({"items": []}));
    let (status, dealt) = site
        .order("/api/parked/redrive", json!({"ids": [id]}))
        .await;
    assert_eq!(status, StatusCode::OK, "{dealt}");
    assert_eq!((&dealt["done"], &dealt["failed"]), (&json!(0), &json!(1)));
    assert!(dealt["outcomes"][0]["detail"].is_string(), "{dealt}");
    let (status, dealt) = site
        .order("/api/parked/discard", json!({"ids": [id]}))
        .await;
    assert_eq!((status, &dealt["done"]), (StatusCode::OK, &json!(1)));
    let list = site.list("/api/parked").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_ne!(list["items"][0]["reason"], json!(reason));
    assert_eq!(
        site.trail().await[0],
        format!("local as admin: discard, {id}: done")
    );
}

#[tokio::test]
async fn schedules_are_listed_without_secrets_run_paused_resumed_and_removed() {
    let site = Site::open().await;
    let schedule = ScheduleRow {
        name: "nightly".to_owned(),
        cron: "@hourly".to_owned(),
        time_zone: "Europe/Zurich".to_owned(),
        task: "demo.add".to_owned(),
        args: "[1]".to_owned(),
        kwargs: r#"{"password": "s3cret", "y": 2}"#.to_owned(),
        priority: "normal".to_owned(),
        creator_id: Some("ann".to_owned()),
        expires_ms: None,
        jitter_ms: 0,
        catch_up: CatchUp::Once,
        enabled: true,
        next_at: Some(chrono::Utc::now()),
        last_at: None,
    };
    assert!(site.store.add_schedule(&schedule).await.expect("added"));
    let list = site.list("/api/schedules").await;
    let kwargs = json!({"password": "•••", "y": 2});
    assert_eq!(
        (&list[0]["kwargs"], &list[0]["catch_up"]),
        (&kwargs, &json!("once"))
    );
    let path = "/api/schedules/nightly";
    let (status, ran) = site.order(&format!("{path}/run"), Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{ran}");
    let id = ran["id"].as_str().expect("an id");
    let row = site.store.task(id).await.expect("read").expect("a row");
    assert_eq!(row.name, "demo.add");
    let (_, paused) = site.order(&format!("{path}/pause"), Value::Null).await;
    assert_eq!(
        (&paused["enabled"], &paused["next_at"]),
        (&json!(false), &Value::Null)
    );
    let (_, resumed) = site.order(&format!("{path}/resume"), Value::Null).await;
    assert_eq!(resumed["enabled"], true);
    assert!(resumed["next_at"].is_string(), "{resumed}");
    let removed = site.api(Method::DELETE, path, "").await;
    assert_eq!(removed, (StatusCode::NO_CONTENT, Value::Null));
    for (method, path) in [
        (Method::POST, "/api/schedules/nightly/run"),
        (Method::POST, "/api/schedules/nightly/pause"),
        (Method::POST, "/api/schedules/nightly/resume"),
        (Method::DELETE, "/api/schedules/nightly"),
    ] {
        let (status, _) = site.api(method, path, "").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn services_say_whether_somebody_paused_them() {
    let site = Site::open().await;
    let mut batch = Batch::new();
    let mut later = copy(&TaskId::random());
    later.envelope.eta = chrono::DateTime::from_timestamp(4_000_000_000, 0);
    batch.track(&later);
    site.store.apply(&batch).await.expect("written");
    let list = site.list("/api/services").await;
    assert_eq!(
        list,
        json!([{"name": "demo", "workers": 0, "delayed": 1, "paused": false, "paused_by": null, "paused_at": null}])
    );
    let (status, changed) = site.order("/api/services/demo/pause", Value::Null).await;
    assert_eq!((status, &changed["paused"]), (StatusCode::OK, &json!(true)));
    let list = site.list("/api/services").await;
    assert_eq!(
        (&list[0]["paused"], &list[0]["paused_by"]),
        (&json!(true), &json!("local"))
    );
    let (_, changed) = site.order("/api/services/demo/resume", Value::Null).await;
    assert_eq!(changed["paused"], false);
    assert_eq!(site.list("/api/services").await[0]["paused"], false);
    let (status, _) = site.order("/api/services/a.b/pause", Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
