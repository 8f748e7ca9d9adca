//! Flower, the web page of Celery, as a browser shows it.

mod page;

use super::{Ours, python, send_lives};
use crate::platform::{PATIENCE, Process};
use anyhow::{Context as _, ensure};
use counterfoil_testkit::eventually;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Columns of the page of tasks: more than it shows by itself.
const COLUMNS: &str = "name,uuid,state,args,kwargs,result,exception,runtime,worker";

/// Time that pages have for what they load, which passes at once when nothing is loaded any more.
const SETTLES: Duration = Duration::from_secs(5);

/// A server of its pages.
struct Flower {
    process: Process,
    port: u16,
    folder: PathBuf,
}

impl Flower {
    fn start(amqp_url: &str, folder: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut command = python(amqp_url)?;
        command
            .args(["-m", "celery", "-A", "calc", "flower"])
            .args(["--address=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--tasks_columns={COLUMNS}"));
        Ok(Self {
            process: Process::start(command, folder.join("flower.log"))?,
            port,
            folder: folder.to_owned(),
        })
    }

    /// What it knows of workers, once that fits.
    async fn knows(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let mut last = String::new();
        let known = eventually(what, PATIENCE, async || {
            self.process.assert_running()?;
            // It does not listen yet.
            let Ok(Ok(text)) = timeout(PATIENCE, get(self.port, "/workers?json=1")).await else {
                return Ok(None);
            };
            let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
            last = body.to_owned();
            let Ok(known) = serde_json::from_str::<Value>(body) else {
                return Ok(None);
            };
            let workers = known["data"].as_array().map(Vec::as_slice);
            Ok(matches!(workers, Some([worker]) if fits(worker)).then_some(()))
        });
        let known = known.await;
        known.with_context(|| format!("{last}\n{}", self.process.log_tail()))
    }

    /// What it knows once all that `lives.py` sends is over.
    async fn knows_ends(&mut self) -> anyhow::Result<()> {
        let all_are_over = |worker: &Value| {
            let count = |kind| worker[kind].as_u64().unwrap_or(0);
            let ended = ["task-succeeded", "task-failed", "task-revoked"].map(count);
            ended == [4, 2, 1] && worker["active"] == 0
        };
        self.knows("Flower to see the ends of all tasks", all_are_over)
            .await
    }

    /// A page as the browser has it when all is loaded: the cells of its table, row by row, by the names of their columns.
    async fn page(&self, path: &str, table: &str) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
        let dom = self.browse(path, &["--dump-dom"]).await?;
        let begin = format!("<table id=\"{table}\"");
        let (_, table) = dom.split_once(&begin).with_context(|| dom.clone())?;
        let (table, _) = table.split_once("</table>").context("its end")?;
        let (head, body) = table.split_once("<tbody").context("a body")?;
        let (body, _) = body.split_once("</tbody>").context("its end")?;
        let names = cells(head, "<th");
        let rows = body.split("<tr").skip(1);
        let row = |row| names.iter().cloned().zip(cells(row, "<td")).collect();
        Ok(rows.map(row).collect())
    }

    /// Has the browser show a page, and returns what it prints. Set `COUNTERFOIL_TEST_PICTURES` to a folder to look at the
    /// page yourself.
    async fn browse(&self, path: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let browser = std::env::var("COUNTERFOIL_TEST_BROWSER")
            .context("COUNTERFOIL_TEST_BROWSER: run this through tests/run")?;
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut all = vec![
            arguments
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ];
        if let Ok(folder) = std::env::var("COUNTERFOIL_TEST_PICTURES") {
            let name = path.replace('/', "flower-");
            all.push(vec![
                format!("--screenshot={folder}/{name}.png"),
                "--window-size=1600,900".to_owned(),
            ]);
        }
        let mut printed = String::new();
        for arguments in all {
            let profile = self.folder.join("profile");
            let mut command = tokio::process::Command::new(&browser);
            command
                // There may be no other user, and little memory to share.
                .args([
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-dev-shm-usage",
                    "--disable-gpu",
                ])
                .args(["--no-first-run", "--disable-background-networking"])
                .arg(format!("--user-data-dir={}", profile.display()))
                .arg(format!("--virtual-time-budget={}", SETTLES.as_millis()))
                .args(arguments)
                .arg(&url);
            let shown = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
            let shown = shown.context("the browser takes too long")??;
            let said = String::from_utf8_lossy(&shown.stderr);
            ensure!(shown.status.success(), "{browser}: {said}");
            printed += &String::from_utf8(shown.stdout)?;
        }
        Ok(printed)
    }
}

async fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Text of each cell of a row.
fn cells(row: &str, begin: &str) -> Vec<String> {
    let cells = row.split(begin).skip(1);
    let cells = cells.filter(|cell| cell.starts_with([' ', '>']));
    cells.map(|cell| text(&format!("<{cell}"))).collect()
}

/// HTML without its tags.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    for (escaped, c) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(escaped, c);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn flower_shows_a_worker_of_ours_and_its_tasks_in_a_browser() -> anyhow::Result<()> {
    let ours = Ours::start().await?;
    let amqp_url = ours.vhost.amqp_url();
    let mut flower = Flower::start(&amqp_url, ours.folder.path())?;
    flower
        .knows("Flower to see the worker", |worker| {
            worker["status"] == true
        })
        .await?;
    let lives = send_lives(&amqp_url, "calc")?;
    flower.knows_ends().await?;

    let workers = flower.page("/workers", "workers-table").await?;
    let [worker] = &workers[..] else {
        anyhow::bail!("one worker is shown: {workers:#?}");
    };
    ensure!(worker["Worker"].starts_with("calc@"), "{worker:#?}");
    let counts = ["Status", "Active", "Processed", "Succeeded", "Failed"];
    // One of the seven was received twice, since it was retried.
    let counts = counts.map(|column| &*worker[column]);
    assert_eq!(counts, ["Online", "0", "8", "4", "2"]);

    let tasks = flower.page("/tasks", "tasks-table").await?;
    assert_eq!(tasks.len(), lives.len(), "{tasks:#?}");
    for (case, shown) in [
        ("succeeds", ["calc.add", "SUCCESS", "[2, 3]", "5", ""]),
        (
            "is retried",
            ["calc.flaky", "SUCCESS", "[1]", "1", "ValueError('again')"],
        ),
        (
            "fails",
            [
                "calc.fail",
                "FAILURE",
                r"['ValueError', 'it\'s gone']",
                "",
                r#"ValueError("it's\ngone")"#,
            ],
        ),
        ("is revoked", ["calc.add", "REVOKED", "[1, 1]", "", ""]),
        ("has secrets", ["sum", "SUCCESS", "(***)", "8", ""]),
    ] {
        let mut rows = tasks.iter();
        // Flower shows the id whole, and short beside it.
        let row = rows.find(|row| row["UUID"].starts_with(&lives[case]));
        let row = row.with_context(|| format!("{case}: {tasks:#?}"))?;
        let columns = ["Name", "State", "args", "Result", "Exception"];
        assert_eq!(columns.map(|column| &*row[column]), shown, "{case}");
        ensure!(row["Worker"] == worker["Worker"], "{row:#?}");
        let has_runtime = row["Runtime"].ends_with(['s', 'm']);
        ensure!(has_runtime == (row["State"] == "SUCCESS"), "{row:#?}");
    }
    ours.end().await
}
