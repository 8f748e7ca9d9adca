//! The page of one worker, for which Flower asks the worker by remote control.

use super::super::{Ours, python, send_lives};
use super::{Flower, cells, get};
use crate::platform::PATIENCE;
use anyhow::{Context as _, ensure};
use counterfoil_testkit::eventually;
use std::collections::BTreeMap;

/// What is behind each tab: rows of cells, those of all its tables.
type Tabs = BTreeMap<String, Vec<Vec<String>>>;

/// Sends tasks that go on until there is a file, more than the worker runs at a time.
const WAITING: &str = "
import sys
from calc import app
for number in range(3):
    app.send_task('calc.count', [number, sys.argv[1]])
app.control.revoke('gone-before-it-came')
";

/// The parts of a page that tabs show one at a time.
fn tabs(dom: &str) -> Tabs {
    // Some cells are there, and not shown.
    let shown = dom.split("<!--").map(|part| match part.split_once("-->") {
        Some((_, shown)) => shown,
        None => part,
    });
    let dom: String = shown.collect();
    let panes = dom.split("<div class=\"tab-pane").skip(1);
    let panes = panes.filter_map(|pane| {
        let (_, rest) = pane.split_once("id=\"tab-")?;
        let (name, rest) = rest.split_once('"')?;
        let rows = rest.split("<tr").skip(1);
        let rows = rows.filter_map(|row| row.split("</tr>").next());
        let rows = rows.map(|row| cells(row, "<td"));
        let rows = rows.filter(|row| !row.is_empty());
        Some((name.to_owned(), rows.collect()))
    });
    panes.collect()
}

/// The value beside a name.
fn value<'a>(rows: &'a [Vec<String>], name: &str) -> anyhow::Result<&'a str> {
    let row = rows.iter().find(|row| row[0] == name);
    let value = row.and_then(|row| row.get(1));
    let value = value.with_context(|| format!("no {name} in {rows:#?}"))?;
    Ok(value)
}

#[tokio::test(flavor = "multi_thread")]
async fn flowers_page_of_a_worker_of_ours_shows_it_whole_behind_every_tab() -> anyhow::Result<()> {
    let ours = Ours::start().await?;
    let amqp_url = ours.vhost.amqp_url();
    let mut flower = Flower::start(&amqp_url, ours.folder.path())?;
    flower
        .knows("Flower to see the worker", |worker| {
            worker["status"] == true
        })
        .await?;
    send_lives(&amqp_url, "calc")?;
    flower.knows_ends().await?;
    let file = ours.folder.path().join("go-on");
    let path = file.to_str().context("a path")?;
    let sent = python(&amqp_url)?.args(["-c", WAITING, path]).output()?;
    let said = String::from_utf8_lossy(&sent.stderr);
    ensure!(sent.status.success(), "{said}");
    let workers = flower.page("/workers", "workers-table").await?;
    let worker = &workers.first().context("a worker")?["Worker"];
    let page = format!("/worker/{worker}");
    let mut last = String::new();
    // It shows what it knew before at first.
    let shown = eventually(
        "the page to show what runs and waits",
        PATIENCE,
        async || {
            last = get(flower.port, &page).await?;
            let tabs = tabs(&last);
            let tasks = tabs.get("tasks").map(Vec::as_slice).unwrap_or_default();
            let all = tasks.iter().filter(|row| row[0] == "calc.count").count();
            Ok((all == 4).then_some(()))
        },
    );
    shown.await.with_context(|| last.clone())?;
    let tabs = tabs(&flower.browse(&page, &["--dump-dom"]).await?);
    let names: Vec<_> = tabs.keys().map(String::as_str).collect();
    let wanted = [
        "broker", "config", "limits", "other", "pool", "queues", "system", "tasks",
    ];
    ensure!(names == wanted, "{names:?}");
    of_its_process(&tabs)?;
    of_its_broker(&tabs, &ours)?;
    of_its_tasks(&tabs, path)?;
    std::fs::write(&file, "")?;
    ours.end().await
}

fn of_its_process(tabs: &Tabs) -> anyhow::Result<()> {
    let pool = &tabs["pool"];
    let pid = std::process::id().to_string();
    for (name, wanted) in [
        ("Max concurrency", "2"),
        ("Processes", &*pid),
        ("Worker PID", &*pid),
        ("Prefetch Count", "8"),
        ("Implementation", "Counterfoil worker:Worker"),
    ] {
        let found = value(pool, name)?;
        ensure!(found == wanted, "{name}: {found}");
    }
    let system = &tabs["system"];
    ensure!(value(system, "utime")?.ends_with(['s', 'm']), "{system:#?}");
    ensure!(value(system, "maxrss")?.parse::<u64>()? > 0, "{system:#?}");
    let uptime = value(&tabs["other"], "uptime")?;
    ensure!(uptime.ends_with('s'), "{uptime}");
    Ok(())
}

fn of_its_broker(tabs: &Tabs, ours: &Ours) -> anyhow::Result<()> {
    let (broker, config) = (&tabs["broker"], &tabs["config"]);
    ensure!(value(broker, "Transport")? == "amqp", "{broker:#?}");
    let host = value(broker, "Hostname")?;
    let url = value(config, "broker_url")?;
    ensure!(url.contains(host) && url.contains(":********@"), "{url}");
    let vhost = value(broker, "Virtual host")?;
    ensure!(ours.vhost.amqp_url().ends_with(vhost), "{broker:#?}");
    ensure!(value(config, "worker_concurrency")? == "2", "{config:#?}");
    let [queue] = &tabs["queues"][..] else {
        anyhow::bail!("one queue is shown: {:#?}", tabs["queues"]);
    };
    let [name, exclusive, durable, key, no_ack, ..] = &queue[..] else {
        anyhow::bail!("{queue:#?}");
    };
    let found = [name, exclusive, durable, key, no_ack].map(|cell| &**cell);
    assert_eq!(found, ["calc", "False", "True", "calc", "False"]);
    ensure!(
        queue
            .iter()
            .any(|cell| cell.contains("'x-queue-type': 'quorum'")),
        "{queue:#?}"
    );
    Ok(())
}

fn of_its_tasks(tabs: &Tabs, file: &str) -> anyhow::Result<()> {
    let tasks = &tabs["tasks"];
    let counts: BTreeMap<_, _> = tasks
        .iter()
        .filter_map(|row| match &row[..] {
            [name, count] => Some((&**name, &**count)),
            _ => None,
        })
        .collect();
    let wanted = [
        ("calc.add", "2"),
        ("calc.count", "2"),
        ("calc.fail", "2"),
        ("calc.flaky", "2"),
        ("calc.note", "1"),
    ];
    assert_eq!(counts, BTreeMap::from(wanted));
    let of_count = tasks.iter().filter(|row| row[0] == "calc.count");
    let (running, waiting): (Vec<_>, Vec<_>) = of_count
        .filter(|row| row.len() > 2)
        .partition(|row| row.len() == 6);
    let pid = std::process::id().to_string();
    ensure!(running.len() == 2 && waiting.len() == 1, "{tasks:#?}");
    for row in &running {
        ensure!(row[3] == pid && row[4].contains(file), "{row:#?}");
    }
    ensure!(waiting[0][2].contains(file), "{waiting:#?}");
    let is_revoked = |row: &Vec<String>| row.len() == 1 && row[0].contains("gone-before-it-came");
    ensure!(tasks.iter().any(is_revoked), "{tasks:#?}");
    let limits: Vec<_> = tabs["limits"].iter().map(|row| &*row[0]).collect();
    for name in ["calc.add", "calc.count", "calc.note"] {
        ensure!(limits.contains(&name), "{limits:#?}");
    }
    Ok(())
}
