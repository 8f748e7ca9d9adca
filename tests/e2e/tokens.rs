//! Tasks with a limit over all workers: never more at once, though workers are killed.

use crate::platform::{PATIENCE, Platform, Process, Step, wait_for_count};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Task, TaskState};
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TASKS: usize = 200;

/// How many may run at the same time, as the demo's worker says.
const LIMIT: u32 = 3;

/// Seconds that each task takes.
const EACH: f64 = 0.1;

#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Limited {
    seconds: f64,
}

impl Task for Limited {
    const NAME: &'static str = "demo.limited";
    type Output = f64;
}

/// Most executions at the same time; those of the killed process end when it was killed. Steps of one
/// millisecond count in the order in which they were written.
fn most_at_once(steps: &[Step], killed: u32, killed_at: i64) -> usize {
    let mut open: BTreeSet<(String, u32)> = BTreeSet::new();
    let mut most = 0;
    for step in steps {
        if step.at >= killed_at {
            open.retain(|(_, pid)| *pid != killed);
        }
        let execution = (format!("{} {}", step.task_id, step.attempt), step.pid);
        if step.step == "start" {
            open.insert(execution);
        } else {
            open.remove(&execution);
        }
        most = most.max(open.len());
    }
    most
}

#[tokio::test]
async fn never_more_than_three_run_at_once_on_four_workers_of_which_one_is_killed()
-> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let daemon = platform.daemon()?;
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(platform.worker()?);
    }
    let store = platform.store().await?;
    let transport = AmqpTransport::new(&platform.broker())?;
    let queue = QueueName::new("platform.tokens.demo.limited")?;
    let tokens = async || {
        let depth = transport.depth(&queue).await?;
        Ok(depth.filter(|depth| depth.ready == LIMIT).map(drop))
    };
    eventually("the daemon to put tokens in", PATIENCE, tokens).await?;

    let began = Instant::now();
    let producer = platform.producer()?;
    let sent = producer
        .send_all((0..TASKS).map(|_| Limited { seconds: EACH }))
        .await;
    anyhow::ensure!(sent.iter().all(Result::is_ok), "{sent:?}");

    // One that has a task in hand is killed while they are at it.
    let victim = eventually("a worker to be at work", PATIENCE, async || {
        let steps = platform.steps()?;
        let last = steps
            .last()
            .filter(|step| step.step == "start" && steps.len() > 80);
        Ok(last.map(|step| step.pid))
    })
    .await?;
    let place = workers.iter().position(|worker| worker.pid() == victim);
    let worker = workers.remove(place.context("one of ours")?);
    // Before, not after: its token may be in other hands before anybody has seen it end.
    let killed_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let killed_at = i64::try_from(killed_at)?;
    worker.kill9()?;

    let all = i64::try_from(TASKS)?;
    let done = wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
    done.with_context(|| {
        let logs = workers.iter().chain([&daemon]).map(Process::log_tail);
        logs.collect::<Vec<_>>().join("\n")
    })?;
    let took = began.elapsed();
    let steps = platform.steps()?;
    let most = most_at_once(&steps, victim, killed_at);
    assert_eq!(most, LIMIT as usize, "{steps:#?}");
    // 200 tasks of 0.1 s, three at a time, are 6.7 s.
    eprintln!(
        "{TASKS} tasks took {took:?}: {:.1}/s",
        TASKS as f64 / took.as_secs_f64()
    );
    anyhow::ensure!(took < Duration::from_secs(20), "they took {took:?}");
    for worker in &mut workers {
        worker.assert_running()?;
    }
    eventually("all tokens to be back", PATIENCE, tokens).await?;

    // An operator sees them, and sees when there are none.
    let doctor = || anyhow::Ok(String::from_utf8(platform.cli(&["doctor"])?.stdout)?);
    let told = doctor()?;
    anyhow::ensure!(
        told.contains("3 of 3 tokens of demo.limited are free"),
        "{told}"
    );
    daemon.terminate().await?;
    transport.delete_queue(&queue).await?;
    let told = doctor()?;
    anyhow::ensure!(told.contains("so no task demo.limited is run"), "{told}");
    Ok(())
}
