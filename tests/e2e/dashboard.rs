//! The dashboard in a real browser, as operators use it.

mod hands;
mod naughty;
mod outages;

use crate::browser::Browser;
use crate::platform::{PATIENCE, Platform, Process, wait_for_count, wait_for_state};
use anyhow::{Context as _, ensure};
use counterfoil_store::Store;
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

/// Tasks among which one is looked for.
const MANY: i64 = 10_000;

/// What the operator signs in with.
const PASSWORD: &str = "correct horse battery staple";

struct Site {
    platform: Platform,
    store: Arc<dyn Store>,
    dashboard: Process,
    url: String,
    browser: Browser,
    _servers: (Vhost, Database),
}

impl Site {
    async fn new() -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let database = Database::fresh().await?;
        let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
        let store = platform.store().await?;
        let hash = hash(&platform)?;
        let (dashboard, url) = start(&mut platform, &hash).await?;
        Ok(Self {
            store,
            dashboard,
            url,
            browser: Browser::start().await?,
            platform,
            _servers: (vhost, database),
        })
    }

    async fn go(&mut self, path: &str) -> anyhow::Result<()> {
        self.browser.go(&format!("{}{path}", self.url)).await
    }

    async fn sign_in(&mut self) -> anyhow::Result<()> {
        Self::sign_in_at(&mut self.browser, &self.url).await
    }

    /// Asks for a page, and signs in to get it.
    async fn sign_in_at(browser: &mut Browser, url: &str) -> anyhow::Result<()> {
        browser.go(&format!("{url}/tasks?state=FAILURE")).await?;
        browser.picture("sign-in").await?;
        browser.fill("user", "anna").await?;
        browser.fill("password", PASSWORD).await?;
        browser.follow("Sign in").await
    }

    async fn end(self) -> anyhow::Result<()> {
        ensure!(
            self.browser.complaints.is_empty(),
            "{:?}",
            self.browser.complaints
        );
        self.browser.end().await?;
        ensure!(
            self.dashboard.terminate().await? == 0,
            "it did not end well"
        );
        Ok(())
    }
}

/// The hash of the password, as people make it.
pub(crate) fn hash(platform: &Platform) -> anyhow::Result<String> {
    let mut command = platform.command("counterfoil-dashboard")?;
    let mut hashing = command
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = hashing.stdin.take().context("it reads")?;
    writeln!(input, "{PASSWORD}")?;
    drop(input);
    let said = hashing.wait_with_output()?;
    ensure!(said.status.success(), "no hash");
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// Starts the dashboard at a free port, and waits until it answers.
pub(crate) async fn start(
    platform: &mut Platform,
    hash: &str,
) -> anyhow::Result<(Process, String)> {
    let dashboard = platform.launch(
        "counterfoil-dashboard",
        &[],
        &[
            ("COUNTERFOIL_DASHBOARD__BIND", "127.0.0.1:0"),
            ("COUNTERFOIL_DASHBOARD__USERS__ANNA__PASSWORD_HASH", hash),
            ("COUNTERFOIL_DASHBOARD__USERS__ANNA__ROLE", "admin"),
        ],
    )?;
    let address = eventually("the dashboard to answer", PATIENCE, async || {
        let log = dashboard.log_tail();
        let address = log
            .lines()
            .find_map(|line| line.split_once("address=127.0.0.1:"));
        Ok(address.map(|(_, port)| format!("http://127.0.0.1:{}", port.trim())))
    });
    let address = address.await?;
    Ok((dashboard, address))
}

/// Sends many tasks, and one export that cannot be written.
fn send_many(site: &Site) -> anyhow::Result<String> {
    let file = site.platform.folder().join("many.jsonl");
    let mut lines = String::new();
    for number in 0..MANY - 1 {
        writeln!(lines, "{{\"x\": {number}, \"y\": 1}}")?;
    }
    std::fs::write(&file, lines)?;
    let file = file.to_str().context("a path")?;
    site.platform.said(&["send", "demo.add", "--from", file])?;
    let export = r#"{"org_slug": "acme", "project_slug": "parcels", "api_key": "s3cret-key", "output_type": "csv"}"#;
    site.platform.said(&[
        "send",
        "export.project",
        export,
        "--max-retries",
        "0",
        "--related",
        "project:17",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_finds_a_failed_task_among_ten_thousand_and_sees_it_succeed()
-> anyhow::Result<()> {
    let mut site = Site::new().await?;
    // Where exports are to be written, there is a file.
    let exports = site.platform.folder().join("exports");
    std::fs::write(&exports, "in the way")?;
    site.platform.set("COUNTERFOIL_EXPORT_DIR", exports.clone());
    let (daemon, worker) = (site.platform.daemon()?, site.platform.worker()?);
    let id = send_many(&site)?;
    let store = Arc::clone(&site.store);
    let failed = wait_for_state(&*store, &id, TaskState::Failure, PATIENCE).await?;
    wait_for_count(&*store, TaskState::Success, MANY - 1, PATIENCE).await?;
    site.sign_in().await?;
    // It asked for the failed ones, and is led there.
    let browser = &mut site.browser;
    browser
        .until("the list", "location.search === '?state=FAILURE'")
        .await?;
    let text = browser.text().await?;
    ensure!(
        text.contains("1 match") && text.contains("export.project"),
        "{text}"
    );
    ensure!(!text.contains("s3cret-key"), "a secret is shown: {text}");
    browser.picture("failed").await?;
    browser.follow("export.project").await?;
    let text = browser.text().await?;
    let error = failed.error_message.context("an error")?;
    ensure!(text.contains(&error) && text.contains("•••"), "{text}");
    ensure!(!text.contains("s3cret-key"), "a secret is shown: {text}");
    browser.picture("task-failed").await?;
    std::fs::remove_file(&exports)?;
    std::fs::create_dir(&exports)?;
    browser.follow("Run again").await?;
    // Without a reload: the mark stays where it is put.
    browser.evaluate("globalThis.isTheSamePage = true").await?;
    browser
        .until(
            "the task to succeed",
            "document.querySelector('h1').innerText.includes('SUCCESS')",
        )
        .await?;
    ensure!(
        browser
            .evaluate("globalThis.isTheSamePage === true")
            .await?
            == true,
        "it was loaded anew"
    );
    browser.picture("task-succeeded").await?;
    ensure!(
        !browser.is_too_wide().await?,
        "the page is wider than the window"
    );
    site.go("/").await?;
    site.browser.picture("overview").await?;
    site.go("/tasks").await?;
    site.browser.picture("tasks").await?;
    daemon.terminate().await?;
    worker.terminate().await?;
    site.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_aborts_a_session_redrives_a_dead_letter_and_pauses_a_service()
-> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let (daemon, worker) = (site.platform.daemon()?, site.platform.worker()?);
    site.sign_in().await?;
    dead_letter(&mut site).await?;
    pause(&mut site).await?;
    session(&mut site).await?;
    daemon.terminate().await?;
    worker.terminate().await?;
    site.end().await
}

async fn dead_letter(site: &mut Site) -> anyhow::Result<()> {
    let id = site.platform.said(&[
        "send",
        "demo.flaky",
        r#"{"key": "a", "failures": 3}"#,
        "--max-retries",
        "1",
    ])?;
    wait_for_state(&*site.store, &id, TaskState::Failure, PATIENCE).await?;
    let store = Arc::clone(&site.store);
    eventually("the dead letter to be known", PATIENCE, async || {
        let dead = store
            .dead(&counterfoil_store::DeadFilter::default())
            .await?;
        Ok((dead.len() == 1).then_some(()))
    })
    .await?;
    site.go("/dead").await?;
    site.browser.picture("dead").await?;
    site.browser.follow("Redrive").await?;
    let text = site.browser.text().await?;
    ensure!(text.contains("1 dead message redriven"), "{text}");
    site.browser.picture("redriven").await?;
    let what = "the task to fail as its next run";
    eventually(what, PATIENCE, async || {
        let row = store.task(&id).await?.context("a row")?;
        Ok((row.run == 1 && row.state == TaskState::Failure).then_some(()))
    })
    .await
}

async fn pause(site: &mut Site) -> anyhow::Result<()> {
    site.go("/queues").await?;
    site.browser.follow("Pause demo").await?;
    let text = site.browser.text().await?;
    ensure!(text.contains("paused by anna"), "{text}");
    site.browser.picture("queues").await?;
    let id = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 1, "y": 2}"#])?;
    site.browser.follow("Resume demo").await?;
    wait_for_state(&*site.store, &id, TaskState::Success, PATIENCE).await?;
    site.go("/workers").await?;
    site.browser.picture("workers").await
}

async fn session(site: &mut Site) -> anyhow::Result<()> {
    // Its subtasks wait, so that it is open.
    site.platform.said(&["pause", "demo"])?;
    let producer = site.platform.producer_with(&["40"], &[])?;
    ensure!(producer.end().await? == 0, "not all of it was sent");
    let store = Arc::clone(&site.store);
    eventually("the session to be known", PATIENCE, async || {
        let sessions = store
            .sessions(&counterfoil_store::SessionFilter::default())
            .await?;
        Ok((sessions.len() == 1).then_some(()))
    })
    .await?;
    site.go("/sessions").await?;
    let browser = &mut site.browser;
    browser.picture("sessions").await?;
    browser
        .evaluate("globalThis.isOld = true; document.querySelector('td a.name').click()")
        .await?;
    browser
        .until(
            "the session's page",
            "!globalThis.isOld && location.pathname.startsWith('/sessions/')",
        )
        .await?;
    browser.picture("session").await?;
    browser.follow("Abort").await?;
    site.platform.said(&["resume", "demo"])?;
    let aborted = "document.querySelector('h1').innerText.includes('ABORTED')";
    site.browser
        .until("the session to be aborted, without a reload", aborted)
        .await?;
    site.browser.picture("aborted").await
}
