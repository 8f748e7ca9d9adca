//! How soon every page of the dashboard answers when there are very many tasks.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use crate::dashboard::{hash, start};
use crate::platform::Platform;
use crate::scale::{ask, token};
use anyhow::{Context as _, ensure};
use chrono::Utc;
use counterfoil_testkit::Broker;
use counterfoil_toolbox::TaskState;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What 95 of 100 answers may take.
const PAGE: Duration = Duration::from_millis(100);

/// The same for the list of tasks with one filter or none.
const LIST: Duration = Duration::from_millis(50);

/// How often a page is asked for before that counts, and then.
const WARMING: usize = 5;
const RUNS: usize = 50;

/// Longest that any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The list of tasks with one filter; each state, and those that need an id, are added.
const SINGLE: [&str; 19] = [
    "",
    "service=demo",
    "service=report",
    "service=none",
    "name=demo.kind0",
    "name=report.kind39",
    "name=demo.none",
    "creator=system",
    "creator=user40000",
    "creator=nobody",
    "identifier=nightly-0-500000",
    "related=projects.project:1234",
    "related=projects.project:nothing",
    "session=harvest-5",
    "session=none",
    "since=900d",
    "since=1h",
    "until=100d",
    "order=oldest",
];

/// Several filters, and texts.
const COMBINED: [&str; 11] = [
    "service=demo&state=FAILURE",
    "service=demo&state=SUCCESS",
    "name=demo.kind0&state=FAILURE",
    "name=report.kind39&state=SUCCESS",
    "creator=user40000&state=FAILURE",
    "session=harvest-5&state=FAILURE",
    "q=stars+were+not",
    "q=kind39",
    "q=user40000",
    "q=1234",
    "q=zzzzzz",
];

/// Everything else.
const OTHERS: [&str; 32] = [
    "/",
    "/?range=1h",
    "/?range=6h",
    "/?range=7d",
    "/?range=30d",
    "/tasks/all/cancel?state=PENDING",
    "/tasks/all/rerun?state=FAILURE",
    "/sessions",
    "/sessions?status=ONGOING",
    "/sessions?action=reindex",
    "/sessions/harvest-5",
    "/queues",
    "/workers",
    "/schedules",
    "/dead",
    "/dead?service=export",
    "/dead?reason=rejected",
    "/parked",
    "/audit",
    "/api/tasks",
    "/api/tasks?state=FAILURE",
    "/api/tasks?service=demo",
    "/api/tasks?creator=system",
    "/api/sessions",
    "/api/sessions?status=ONGOING",
    "/api/sessions/harvest-5",
    "/api/queues",
    "/api/workers",
    "/metrics",
    "/readyz",
    "/healthz",
    "/api/openapi.json",
];

struct Site {
    host: String,
    token: String,
}

impl Site {
    /// What is answered; it must be what was asked for.
    async fn call(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let Self { host, token } = self;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{body}");
        Ok(body.to_owned())
    }

    /// Public id of the first task that the API lists.
    async fn first(&self, query: &str) -> anyhow::Result<String> {
        let listed = self.call("GET", &format!("/api/tasks?{query}"), "").await?;
        let listed: Value = serde_json::from_str(&listed)?;
        let id = listed["items"][0]["id"].as_str();
        Ok(id
            .with_context(|| format!("no task has {query}"))?
            .to_owned())
    }

    /// Milliseconds that half of the answers take, 95 of 100, and the longest; warm.
    async fn measure(&self, path: &str) -> anyhow::Result<[f64; 3]> {
        for _ in 0..WARMING {
            self.call("GET", path, "").await?;
        }
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let began = Instant::now();
            self.call("GET", path, "").await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok([50, 95, 100].map(|percent| times[(RUNS * percent / 100).min(RUNS - 1)]))
    }
}

/// Every page, and what it may take.
async fn pages(site: &Site, database: &str) -> anyhow::Result<Vec<(String, Duration)>> {
    let of_family =
        "SELECT id FROM background_task WHERE root_id = 'family-of-ten-thousand' LIMIT 1";
    let (of_ten_thousand, failed) = (
        ask(database, of_family)?,
        site.first("state=FAILURE").await?,
    );
    let of_ten = "SELECT id FROM background_task WHERE root_id = 'first-of-5000' LIMIT 1";
    let of_ten = ask(database, of_ten)?;
    let far = (Utc::now() - chrono::TimeDelta::days(120)).timestamp_micros();
    let single = SINGLE.map(str::to_owned).into_iter();
    let single = single
        .chain(TaskState::ALL.map(|state| format!("state={state}")))
        .chain([format!("root={of_ten}"), format!("root={of_ten_thousand}")])
        .chain([format!("cursor={far}-m"), format!("before={far}-m")]);
    let mut pages: Vec<_> = single
        .map(|query| (format!("/tasks?{query}"), LIST))
        .chain(COMBINED.map(|query| (format!("/tasks?{query}"), PAGE)))
        .chain(OTHERS.map(|path| (path.to_owned(), PAGE)))
        .collect();
    let tasks = [
        failed.clone(),
        site.first("state=PENDING").await?,
        site.first("state=SUCCESS").await?,
        of_ten,
        of_ten_thousand,
    ];
    pages.extend(tasks.iter().map(|id| (format!("/tasks/{id}"), PAGE)));
    let of_api = ["", "/history", "/log", "/tree"];
    pages.extend(of_api.map(|part| (format!("/api/tasks/{failed}{part}"), PAGE)));
    let wish = r#"{"related": "projects.project:1234"}"#;
    let links: Value = serde_json::from_str(&site.call("POST", "/api/links", wish).await?)?;
    for kind in ["html", "json"] {
        pages.push((links[kind].as_str().context("a link")?.to_owned(), PAGE));
    }
    Ok(pages)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour and 10 GB: tests/scale/pages"]
async fn every_page_answers_soon_when_there_are_very_many_tasks() -> anyhow::Result<()> {
    let database = std::env::var("COUNTERFOIL_SCALE_DATABASE")
        .context("COUNTERFOIL_SCALE_DATABASE: run this through tests/scale/pages")?;
    let vhost = Broker::shared().await?.vhost().await?;
    let mut platform = Platform::init(&vhost.amqp_url(), &database)?;
    let token = token(&mut platform, "admin")?;
    let hash = hash(&platform)?;
    let (dashboard, url) = start(&mut platform, &hash).await?;
    let host = url
        .strip_prefix("http://")
        .context("an address")?
        .to_owned();
    let site = Site { host, token };
    let mut slow = Vec::new();
    println!("{:<70} {:>8} {:>8} {:>8}", "ms", "p50", "p95", "most");
    for (path, within) in pages(&site, &database).await? {
        let [p50, p95, most] = site.measure(&path).await?;
        // Seals of links are long.
        let shown: String = path.chars().take(70).collect();
        println!("{shown:<70} {p50:>8.1} {p95:>8.1} {most:>8.1}");
        if p95 > within.as_secs_f64() * 1000.0 {
            slow.push(format!("{shown}: {p95:.1} ms"));
        }
    }
    dashboard.terminate().await?;
    ensure!(slow.is_empty(), "slower than they may be: {slow:#?}");
    Ok(())
}
