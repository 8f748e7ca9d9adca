//! Streams of what changes, over real connections.

use crate::live::{MOST_STREAMS, Rows};
use crate::site_tests::Site;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use counterfoil_store::Batch;
use counterfoil_testkit::store_suite::{copy, event, lineage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take that takes half a second on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

struct Live {
    site: Site,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// A stream that somebody watches.
struct Stream(BufReader<TcpStream>);

/// An event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    id: String,
    event: String,
    data: String,
}

impl Live {
    async fn new() -> Self {
        let site = Site::open().await;
        // As the leading daemon does each minute: nobody can be told what changed since before the first mark.
        let marked = site.store.mark_changes(Uuid::now_v7()).await;
        marked.expect("marked");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let (dashboard, ending) = (site.dashboard.clone(), stop.clone());
        let serving = tokio::spawn(async move { dashboard.serve(listener, ending).await });
        Self {
            site,
            address,
            stop,
            serving,
        }
    }

    async fn watch(&self, query: &str, last: &str) -> Stream {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        let request = format!(
            "GET /api/events?{query} HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {last}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut stream = Stream(BufReader::new(stream));
        let first = stream.line().await;
        assert_eq!(first, "HTTP/1.1 200 OK");
        stream
    }

    async fn position(&self) -> String {
        let position = self.site.store.feed_position().await;
        position.expect("a position").to_string()
    }

    async fn send(&self, id: &TaskId) {
        let mut batch = Batch::new();
        batch.track(&copy(id));
        self.site.store.apply(&batch).await.expect("written");
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.serving).await;
        ended
            .expect("it ends though somebody watches")
            .expect("no panic");
    }
}

impl Stream {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await;
        assert!(
            read.expect("in time").expect("read") > 0,
            "the stream has ended"
        );
        line.trim_end().to_owned()
    }

    /// The next event of these kinds. Chunks of HTTP and what else stands between is passed over.
    async fn next(&mut self, kinds: &[&str]) -> Told {
        let mut told = Told::default();
        loop {
            let line = self.line().await;
            match line.split_once(": ") {
                Some(("id", id)) => told.id = id.to_owned(),
                Some(("event", event)) => told.event = event.to_owned(),
                Some(("data", data)) => {
                    told.data = data.to_owned();
                    if kinds.contains(&told.event.as_str()) {
                        return told;
                    }
                    told = Told::default();
                }
                Some(_) | None => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_is_told_what_changed_and_whoever_comes_back_what_they_missed() {
    let live = Live::new().await;
    let (one, other) = (TaskId::random(), TaskId::random());
    let from = live.position().await;
    let mut stream = live.watch("", &from).await;
    // The first look of the dashboard: it tells what is new from then on.
    stream.next(&["reload"]).await;
    live.send(&one).await;
    let told = stream.next(&["tasks"]).await;
    let id = live.site.store.public_id(&one).expect("an id");
    assert!(
        told.data.contains(&id) && told.data.contains("PENDING"),
        "{told:?}"
    );
    assert!(
        !told.data.contains(one.as_str()),
        "the id on the wire is shown"
    );
    drop(stream);
    live.send(&other).await;
    let mut stream = live.watch("", &told.id).await;
    let missed = stream.next(&["tasks", "reload"]).await;
    let id = live.site.store.public_id(&other).expect("an id");
    assert!(missed.data.contains(&id), "{missed:?}");
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_a_task_hears_of_its_family_alone() {
    let live = Live::new().await;
    let (one, other) = (TaskId::random(), TaskId::random());
    live.send(&one).await;
    let id = live.site.store.public_id(&one).expect("an id");
    let from = live.position().await;
    let query = format!(
        "family={id}&brief=true&since={}",
        crate::query::encoded(&from)
    );
    let mut stream = live.watch(&query, "").await;
    stream.next(&["reload"]).await;
    live.send(&other).await;
    let mut batch = Batch::new();
    batch.event(&event(&one, lineage(0, 0, 0), TaskState::Started));
    live.site.store.apply(&batch).await.expect("written");
    let told = stream.next(&["changed"]).await;
    assert_eq!(told.data, "{\"changed\":1}");
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_everything_briefly_is_told_how_much_changed() {
    let live = Live::new().await;
    let from = live.position().await;
    let mut stream = live.watch("brief=true", &from).await;
    stream.next(&["reload"]).await;
    live.send(&TaskId::random()).await;
    let told = stream.next(&["changed"]).await;
    assert_eq!(told.data, "{\"changed\":1}");
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_none_is_answered_with_reload() {
    let live = Live::new().await;
    let mut stream = live.watch("", "nonsense").await;
    assert_eq!(stream.next(&["reload"]).await.data, "{}");
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_when_too_many_watch_is_told_to_come_later() {
    let site = Site::open().await;
    let live = &site.dashboard.app.live;
    let mut all: Vec<_> = (0..MOST_STREAMS)
        .map_while(|_| live.follow(Rows::Spared))
        .collect();
    assert_eq!(all.len(), MOST_STREAMS);
    let ask = || {
        let request = Request::get("/api/events").header("host", "localhost");
        site.call(request.body(Body::empty()).expect("a request"))
    };
    let refused = ask().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "30");
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    // One goes.
    all.pop();
    assert_eq!(ask().await.status(), StatusCode::OK);
}
