//! Callers in Python that look for results in the platform's database: what the daemon writes there of our tasks is what a
//! Python worker writes of its own.

use super::callers::{Both, compare};
use crate::platform::{PATIENCE, Platform, Process};
use anyhow::Context as _;
use counterfoil_celery::{Canvas, Signature, chain};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::Producer;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use serde_json::Value;

/// Both workers, and a platform whose database both use.
struct Site {
    both: Both,
    daemon: Process,
    platform: Platform,
    encoding: &'static str,
    _database: Database,
}

impl Site {
    async fn start(encoding: &'static str) -> anyhow::Result<Self> {
        let (vhost, database) = (
            Broker::shared().await?.vhost().await?,
            Database::fresh().await?,
        );
        let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
        let daemon = Self::daemon(&mut platform, encoding)?;
        let results = format!("db+{}", database.url());
        Ok(Self {
            both: Both::on(vhost, &[("RESULTS", &results)]).await?,
            daemon,
            platform,
            encoding,
            _database: database,
        })
    }

    fn daemon(platform: &mut Platform, encoding: &str) -> anyhow::Result<Process> {
        platform.daemon_with(&[
            ("COUNTERFOIL_SYNC__CELERY_RESULTS", encoding),
            ("COUNTERFOIL_SYNC__CELERY_SERVICES", "pycalc"),
        ])
    }

    /// Puts another daemon in the place of the one that runs.
    async fn replace_daemon(&mut self) -> anyhow::Result<()> {
        let next = Self::daemon(&mut self.platform, self.encoding)?;
        let before = std::mem::replace(&mut self.daemon, next);
        anyhow::ensure!(before.terminate().await? == 0);
        Ok(())
    }

    async fn run(&self, program: &str, services: &[&str]) -> anyhow::Result<Value> {
        let ran = self.both.run(program, services).await;
        ran.with_context(|| self.daemon.log_tail())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.daemon.assert_running()?;
        self.both.end().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_looks_into_the_database_finds_what_a_python_worker_answers()
-> anyhow::Result<()> {
    let site = Site::start("json").await?;
    let theirs = site.run("calls.py", &["pycalc"]).await?;
    assert_eq!(theirs["chain"]["value"], 14, "{theirs:#}");
    for services in [&["calc"][..], &["pycalc", "calc"], &["calc", "pycalc"]] {
        compare(&theirs, &site.run("calls.py", services).await?);
    }
    site.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_our_tasks_are_those_of_a_python_worker_in_both_encodings() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for encoding in ["json", "pickle"] {
        let site = Site::start(encoding).await?;
        let theirs = site.run("rows.py", &["pycalc"]).await?;
        assert_eq!(theirs["by position"]["result"], 5, "{theirs:#}");
        rows.push(site.run("rows.py", &["calc"]).await?);
        compare(&theirs, &rows[rows.len() - 1]);
        site.end().await?;
    }
    compare(&rows[0], &rows[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chords_of_python_and_rust_tasks_end_as_those_of_python_tasks_alone() -> anyhow::Result<()>
{
    let site = Site::start("json").await?;
    let theirs = site.run("chords.py", &["pycalc"]).await?;
    assert_eq!(theirs["chord"]["value"], 6, "{theirs:#}");
    for services in [&["calc"][..], &["pycalc", "calc"], &["calc", "pycalc"]] {
        compare(&theirs, &site.run("chords.py", services).await?);
    }
    site.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn chords_of_an_application_that_only_sends_end_on_workers_of_both_kinds()
-> anyhow::Result<()> {
    let site = Site::start("json").await?;
    let sums = site.run("sender.py", &["calc"]).await?;
    assert_eq!(sums, serde_json::json!([6, 6]));
    site.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn chords_from_rust_end_once_on_workers_of_both_kinds_though_the_daemon_goes_meanwhile()
-> anyhow::Result<()> {
    let mut site = Site::start("json").await?;
    let broker = site.both.broker();
    let producer = Producer::new(AmqpTransport::new(&broker)?, broker.names()?);
    let canvas = Canvas::new(producer);
    let [go_on, noted] = ["go on", "noted"].map(|name| site.both.folder().join(name));
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    for service in ["calc", "pycalc"] {
        let add = |it: &str| Signature::task(format!("{it}.add")).arg(1).arg(2);
        let waits = Signature::task("calc.count")
            .arg(4)
            .kwarg("file", text(&go_on));
        let total = Signature::task(format!("{service}.total"));
        let note = Signature::task(format!("{service}.note")).kwarg("file", text(&noted));
        let members = [add("calc"), add("pycalc"), waits];
        let chord = Signature::chord(members, chain![total, note]);
        canvas.send(&chord).await?;
    }
    // All but one of each are over.
    let vhost = &site.both.vhost;
    eventually("the chords to wait", PATIENCE, async || {
        let waits = vhost.depth("calc").await?.ready + vhost.depth("pycalc").await?.ready;
        Ok((waits == 0).then_some(()))
    })
    .await?;
    site.replace_daemon().await?;
    std::fs::write(&go_on, "")?;
    let both = eventually("both bodies", PATIENCE, async || {
        let lines = std::fs::read_to_string(&noted).unwrap_or_default();
        Ok((lines.lines().count() >= 2).then_some(lines))
    });
    assert_eq!(both.await?, "10\n10\n");
    site.replace_daemon().await?;
    assert_eq!(std::fs::read_to_string(&noted)?, "10\n10\n");
    site.end().await
}
