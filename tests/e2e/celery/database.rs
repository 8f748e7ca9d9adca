//! Callers in Python that look for results in the platform's database: what the daemon writes there of our tasks is what a
//! Python worker writes of its own.

use super::callers::{Both, compare};
use crate::platform::{Platform, Process};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database};
use serde_json::Value;

/// Both workers, and a platform whose database both use.
struct Site {
    both: Both,
    daemon: Process,
    #[expect(dead_code, reason = "its folder and its database go with it")]
    platform: (Platform, Database),
}

impl Site {
    async fn start(encoding: &str) -> anyhow::Result<Self> {
        let (vhost, database) = (
            Broker::shared().await?.vhost().await?,
            Database::fresh().await?,
        );
        let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
        let daemon = platform.daemon_with(&[
            ("COUNTERFOIL_SYNC__CELERY_RESULTS", encoding),
            ("COUNTERFOIL_SYNC__CELERY_SERVICES", "pycalc"),
        ])?;
        let results = format!("db+{}", database.url());
        Ok(Self {
            both: Both::on(vhost, &[("RESULTS", &results)]).await?,
            daemon,
            platform: (platform, database),
        })
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
