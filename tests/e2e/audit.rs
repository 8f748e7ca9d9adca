//! The books balance after whatever happened, and name what somebody took.

use crate::platform::{PATIENCE, Platform, wait_for_count, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::{Store, TaskFilter};
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

/// Kind of a finding, and the task that it names.
type Named = Vec<(String, String)>;

struct Site {
    platform: Platform,
    store: Arc<dyn Store>,
    /// Go last.
    vhost: Vhost,
    database: Database,
}

impl Site {
    async fn new() -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let database = Database::fresh().await?;
        let platform = Platform::init(&vhost.amqp_url(), database.url())?;
        Ok(Self {
            store: platform.store().await?,
            platform,
            vhost,
            database,
        })
    }

    fn send(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.platform.cli(&[&["send"], arguments].concat())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{errors}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Whether the books balance, what is said of how many there are, and what is named: kind and task.
    fn audit(&self) -> anyhow::Result<(bool, Value, Named)> {
        let output = self.platform.cli(&["audit", "--json", "--wait", "2s"])?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let answer: Value = serde_json::from_slice(&output.stdout).context(errors.to_string())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = answer["findings"].as_array().context("a list")?;
        let named = findings
            .iter()
            .map(|found| (text(&found["kind"]), text(&found["task_id"])))
            .collect();
        let code = output.status.code().context("an exit code")?;
        anyhow::ensure!(code == i32::from(answer["balanced"] == false), "{code}");
        Ok((code == 0, answer["tasks"].clone(), named))
    }

    /// The kinds of what is found while reports are unread, after so long: of no task is it certain.
    fn suspicions(&self, wait: &str) -> anyhow::Result<(Vec<String>, Value)> {
        let output = self.platform.cli(&["audit", "--json", "--wait", wait])?;
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        let mut kinds = Vec::new();
        for found in answer["findings"].as_array().context("a list")? {
            let kind = found["kind"].as_str().context("a kind")?;
            let remedy = found["remedy"].as_str().context("a remedy")?;
            let is_task = found["certain"] == false;
            anyhow::ensure!(is_task == (kind != "unread"), "{answer}");
            anyhow::ensure!(is_task == remedy.starts_with("do not send it again yet"));
            if !kinds.contains(&kind.to_owned()) {
                kinds.push(kind.to_owned());
            }
        }
        Ok((kinds, answer))
    }

    /// Takes the first message out of a queue, as anybody might.
    async fn steal(&self, queue: &str) -> anyhow::Result<()> {
        let vhost = self.vhost.name();
        let path = format!("/queues/{vhost}/{queue}/get");
        let body = json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let broker = self.vhost.broker().management();
        let taken = broker.post(&path, &body).await?;
        let count = taken.as_array().map_or(0, Vec::len);
        anyhow::ensure!(count == 1, "{count} messages were taken");
        Ok(())
    }

    fn sql(&self, statement: &str) -> anyhow::Result<()> {
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            self.database.url(),
        ]);
        let output = psql.args(["-c", statement]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{errors}");
        Ok(())
    }

    async fn depth(&self, queue: &str, ready: u64) -> anyhow::Result<()> {
        eventually("the depth of the queue", PATIENCE, async || {
            Ok((self.vhost.depth(queue).await?.ready == ready).then_some(()))
        })
        .await
    }
}

/// Waits until `counterfoil audit` finds every task accounted for.
pub(crate) async fn assert_balanced(platform: &Platform) -> anyhow::Result<()> {
    let mut said = String::new();
    let balanced = eventually("the books to balance", PATIENCE, async || {
        let output = platform.cli(&["audit", "--wait", "2s"])?;
        said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Ok(output.status.success().then_some(()))
    });
    balanced.await.map_err(|error| error.context(said))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_after_a_busy_run_and_name_what_somebody_took() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let mut daemon = site.platform.daemon()?;
    let worker = site.platform.worker()?;
    let tree = r#"{"width": 4, "depth": 3}"#;
    for _ in 0..3 {
        site.send(&["demo.tree", tree])?;
    }
    site.send(&["demo.flaky", r#"{"key": "audit", "failures": 2}"#])?;
    let dead = site.send(&["demo.fail", r#"{"message": "no"}"#])?;
    site.send(&["nobody.task", "--unvalidated"])?;
    let later = site.send(&["demo.add", r#"{"x": 1, "y": 1}"#, "--countdown", "1h"])?;
    let (_, in_the_middle, named) = site.audit()?;
    anyhow::ensure!(named.is_empty(), "{named:?} of {in_the_middle}");
    wait_for_state(&*site.store, &dead, TaskState::Failure, PATIENCE).await?;
    eventually("all to be over", PATIENCE, async || {
        let (balanced, tasks, named) = site.audit()?;
        anyhow::ensure!(balanced, "{named:?} of {tasks}");
        Ok((tasks["waiting"] == 0 && tasks["running"] == 0).then_some(()))
    })
    .await?;
    let (_, tasks, _) = site.audit()?;
    anyhow::ensure!(
        tasks["delayed"] == 1
            && tasks["unroutable"] == 1
            && tasks["scheduled"] == tasks["over"].as_i64().context("a number")? + 2,
        "{tasks}"
    );

    anyhow::ensure!(worker.terminate().await? == 0);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(site.send(&["demo.add", r#"{"x": 2, "y": 3}"#])?);
    }
    site.depth("demo", 3).await?;
    wait_for_count(&*site.store, TaskState::Pending, 4, PATIENCE).await?;
    let (balanced, tasks, named) = site.audit()?;
    anyhow::ensure!(balanced, "{named:?} of {tasks}");

    let over = TaskFilter {
        state: Some(TaskState::Success),
        limit: 1,
        ..TaskFilter::default()
    };
    let removed = site.store.tasks(&over).await?.remove(0).task_id.to_string();
    site.sql(&format!(
        "DELETE FROM background_task WHERE task_id = '{removed}'"
    ))?;
    site.steal("demo").await?;
    let (_, tasks, mut named) = site.audit()?;
    named.sort();
    let wanted = [
        ("message_gone".to_owned(), waiting[0].clone()),
        ("no_row".to_owned(), removed.clone()),
    ];
    anyhow::ensure!(named == wanted, "{named:?} of {tasks}, not {later}");

    // Who acts on it has balanced books again.
    site.sql(&format!(
        "DELETE FROM task_event WHERE task_id = '{removed}'"
    ))?;
    site.sql(&format!(
        "DELETE FROM task_result WHERE task_id = '{removed}'"
    ))?;
    let rerun = site
        .platform
        .cli(&["task", "rerun", "--force", &waiting[0]])?;
    anyhow::ensure!(rerun.status.success());
    let (balanced, tasks, named) = site.audit()?;
    anyhow::ensure!(balanced, "{named:?} of {tasks}");
    daemon.assert_running()?;

    // With reports unread nothing is certain, and nobody is told to send a task a second time.
    daemon.freeze()?;
    site.steal("demo").await?;
    let (kinds, answer) = site.suspicions("1s")?;
    anyhow::ensure!(
        kinds.contains(&"unread".to_owned()) && kinds.contains(&"message_gone".to_owned()),
        "{answer}"
    );
    daemon.thaw()?;
    let (_, tasks, named) = site.audit()?;
    anyhow::ensure!(named.len() == 1, "{named:?} of {tasks}");
    anyhow::ensure!(daemon.terminate().await? == 0);
    site.send(&["demo.add", r#"{"x": 5, "y": 8}"#])?;
    site.depth("demo", 3).await?;
    let (kinds, answer) = site.suspicions("0s")?;
    anyhow::ensure!(kinds == ["unread"], "{answer}");
    site.steal("demo").await?;
    let (kinds, answer) = site.suspicions("0s")?;
    anyhow::ensure!(kinds == ["unread", "message_gone"], "{answer}");
    Ok(())
}
