//! `counterfoil-bench` answers each scenario with one line.

use crate::platform::{PATIENCE, binary};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database, patience};
use serde_json::{Map, Value};
use std::process::Stdio;
use tokio::process::Command;

/// Runs one scenario with 200 tasks, and returns the only line that it printed.
async fn run(scenario: &str) -> anyhow::Result<String> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let output = Command::new(binary("counterfoil-bench")?)
        .args([scenario, "--tasks", "200", "--json"])
        .args(["--amqp-url", &vhost.amqp_url()])
        .args(["--database-url", database.url()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(patience(PATIENCE), output)
        .await
        .context("it did not end")??;
    anyhow::ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout)?;
    let line = printed.strip_suffix('\n').context("no whole line")?;
    anyhow::ensure!(!line.contains('\n'), "more than one line: {printed}");
    Ok(line.to_owned())
}

#[tokio::test]
async fn every_scenario_prints_one_line_in_which_no_figure_is_missing() -> anyhow::Result<()> {
    for scenario in [
        "publish",
        "drain",
        "pipeline",
        "roundtrip",
        "mirror",
        "outcomes",
        "session",
    ] {
        let line = run(scenario).await.context(scenario)?;
        let report: Map<String, Value> = serde_json::from_str(&line).context(scenario)?;
        let text = |key: &str| report.get(key).and_then(Value::as_str);
        let number = |key: &str| report.get(key).and_then(Value::as_f64);
        assert_eq!(text("scenario"), Some(scenario), "{line}");
        assert_eq!(number("tasks"), Some(200.0), "{line}");
        for figure in ["per_second", "p50_ms", "p99_ms", "max_rss_mb"] {
            assert!(number(figure).is_some(), "{figure}: {line}");
        }
        assert!(number("per_second") > Some(0.0), "{line}");
        assert!(!report.values().any(Value::is_null), "{line}");
    }
    Ok(())
}
