//! What is shipped for Prometheus can be read, and asks for metrics that there are.

use anyhow::Context as _;
use counterfoil_toolbox::telemetry::metrics::METRICS;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(name: &str) -> PathBuf {
    root().join("deploy/prometheus").join(name)
}

/// An alert: its name, and the lines that follow.
struct Alert {
    name: String,
    lines: Vec<String>,
}

impl Alert {
    /// All of a file. Whether that is what Prometheus makes of it, `promtool` says.
    fn all(name: &str) -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(file(name))?;
        let mut alerts: Vec<Self> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("- alert: ") {
                let (name, lines) = (name.to_owned(), Vec::new());
                alerts.push(Self { name, lines });
            } else if let Some(alert) = alerts.last_mut() {
                alert.lines.push(line.to_owned());
            }
        }
        Ok(alerts)
    }

    fn value(&self, key: &str) -> anyhow::Result<&str> {
        let mut lines = self.lines.iter();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value.with_context(|| format!("{} has no {key}", self.name))
    }

    /// Whether it tells somebody what to do.
    fn is_whole(&self) -> anyhow::Result<()> {
        for key in ["expr", "for", "severity", "summary", "description"] {
            self.value(key)?;
        }
        Ok(())
    }
}

/// Every word of a text that is a metric of ours, or should be.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(move |c| !is_name(c));
    words.filter(|word| word.starts_with("counterfoil_"))
}

fn exists(metric: &str) -> bool {
    let is = |name: &str| METRICS.iter().any(|metric| metric.name == name);
    let base = ["_bucket", "_sum", "_count"].into_iter();
    is(metric) || base.filter_map(|end| metric.strip_suffix(end)).any(is)
}

#[test]
fn alerts_ask_for_metrics_that_there_are_and_say_what_to_do() -> anyhow::Result<()> {
    let alerts = Alert::all("alerts.yaml")?;
    let mut names = BTreeSet::new();
    for alert in &alerts {
        let name = alert.name.as_str();
        assert!(names.insert(name), "{name} is there twice");
        let asked = alert.value("expr")?;
        let is_of_prometheus = asked.starts_with("up{");
        let metrics: Vec<_> = metrics_in(asked).collect();
        assert!(is_of_prometheus || !metrics.is_empty(), "{name}: {asked}");
        for metric in metrics {
            assert!(exists(metric), "{name}: there is no {metric}");
        }
        alert.is_whole()?;
    }
    for wanted in [
        "CounterfoilBehind",
        "CounterfoilBreakerOpen",
        "CounterfoilDeadLetters",
        "CounterfoilNoLeader",
    ] {
        assert!(names.contains(wanted), "{wanted}: {names:?}");
    }
    Ok(())
}

/// Its metrics are those of RabbitMQ's own plugin.
#[test]
fn alerts_of_the_broker_say_what_to_do() -> anyhow::Result<()> {
    let alerts = Alert::all("rabbitmq.yaml")?;
    assert!(!alerts.is_empty());
    for alert in alerts {
        alert.is_whole()?;
        let asked = alert.value("expr")?;
        assert!(asked.contains("rabbitmq_"), "{}: {asked}", alert.name);
    }
    Ok(())
}

#[test]
fn questions_in_the_documentation_ask_for_metrics_that_there_are() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/telemetry.md"))?;
    let (_, questions) = page.split_once("\n## Prometheus\n").context("questions")?;
    let metrics: Vec<_> = metrics_in(questions).collect();
    assert!(!metrics.is_empty(), "{questions}");
    for metric in metrics {
        assert!(exists(metric), "there is no {metric}");
    }
    Ok(())
}

#[test]
fn prometheus_takes_the_settings_and_the_alerts() -> anyhow::Result<()> {
    let promtool = || Command::new("promtool");
    if promtool().arg("--version").output().is_err() {
        eprintln!("not tried: there is no promtool on this machine");
        return Ok(());
    }
    let checked = promtool()
        .args(["check", "config"])
        .arg(file("prometheus.yaml"))
        .output()?;
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(checked.status.success(), "{said}");
    for file in ["alerts.yaml", "rabbitmq.yaml"] {
        let all = format!("{} rules found", Alert::all(file)?.len());
        assert!(said.contains(&all), "{said}");
    }
    Ok(())
}
