//! Two thousand tasks that wait at the broker, and come when they are due.

use super::PATIENCE;
use crate::platform::{Platform, wait_for_count};
use counterfoil_testkit::{Database, RabbitNode, RabbitOptions, patience};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{Producer, RawTask, SendOptions};
use counterfoil_toolbox::{TaskId, TaskState};
use futures::StreamExt as _;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

const TASKS: u64 = 2_000;
const LONGEST: u64 = 30;

/// When each task is due, in milliseconds since 1970.
type Due = HashMap<String, i64>;

#[tokio::test]
async fn delayed_tasks_start_in_time_are_held_by_nobody_and_survive_the_broker()
-> anyhow::Result<()> {
    // A broker that has just started may dead-letter into queues that are not there yet, and tries again after its
    // own three minutes otherwise.
    let options = RabbitOptions {
        dead_letter_confirm_timeout: Some(Duration::from_secs(10)),
        ..RabbitOptions::default()
    };
    let mut rabbit = RabbitNode::start_with(options).await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
    let (mut daemon, mut worker) = (platform.daemon()?, platform.worker()?);
    let store = platform.store().await?;

    // What waits is in nobody's hands.
    let an_hour = |_| Duration::from_secs(3600);
    let producer = platform.producer()?;
    let waiting = i64::try_from(send_all(&producer, 100, an_hour).await?.len())?;
    wait_for_count(&*store, TaskState::Pending, waiting, PATIENCE).await?;
    let depths = [
        "list_queues",
        "name",
        "messages_ready",
        "messages_unacknowledged",
    ];
    let queues = rabbit.control(&depths).await?;
    assert!(queues.contains("demo\t0\t0\n"), "{queues}");

    // 7919 shares no factor with their number: every delay as often as any other, in no order.
    let shuffled = |n: u64| Duration::from_secs(1 + (n * 7919 % TASKS) % LONGEST);
    let mut due = send_all(&producer, TASKS, shuffled).await?;
    wait_for_count(&*store, TaskState::Success, i64::try_from(TASKS)?, PATIENCE).await?;
    let p99 = p99_lateness(&platform, &due)?;
    eprintln!("p99 of lateness {p99:?}");
    // Less than a second on an idle machine.
    assert!(p99 < patience(Duration::from_secs(5)), "{p99:?}");

    due.extend(send_all(&producer, TASKS, shuffled).await?);
    // By then some have started, some are due, and most wait in the levels.
    tokio::time::sleep(Duration::from_secs(5)).await;
    rabbit.kill9().await?;
    rabbit.restart().await?;
    let all = i64::try_from(due.len())?;
    let ended = wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
    daemon.assert_running()?;
    worker.assert_running()?;
    ended?;
    assert_eq!(platform.starts()?.len(), due.len());
    Ok(())
}

/// Sends so many tasks, and returns when each is due.
async fn send_all(
    producer: &Producer,
    count: u64,
    delay: impl Fn(u64) -> Duration,
) -> anyhow::Result<Due> {
    let send = |n: u64| {
        let delay = delay(n);
        async move {
            let id = TaskId::random();
            let task = RawTask {
                name: TaskName::new("demo.add")?,
                args: format!("[{n}, 1]"),
                kwargs: "{}".to_owned(),
            };
            let due = now() + i64::try_from(delay.as_millis())?;
            let options = SendOptions::new().id(id.clone()).countdown(delay);
            producer.send_raw(task, options).await?;
            anyhow::Ok((id.to_string(), due))
        }
    };
    let sent = futures::stream::iter((0..count).map(send)).buffer_unordered(100);
    let sent: Vec<_> = sent.collect().await;
    sent.into_iter().collect()
}

/// By how much the hundredth part of the tasks, or more, came late.
fn p99_lateness(platform: &Platform, due: &Due) -> anyhow::Result<Duration> {
    let starts = platform
        .steps()?
        .into_iter()
        .filter(|it| it.step == "start");
    let mut late: Vec<_> = starts.map(|it| it.at - due[&it.task_id]).collect();
    late.sort_unstable();
    // Timers and clocks are a few milliseconds coarse.
    anyhow::ensure!(late[0] > -50, "{} ms early", -late[0]);
    let p99 = late[late.len() * 99 / 100];
    Ok(Duration::from_millis(u64::try_from(p99.max(0))?))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.expect("it is later than 1970").as_millis();
    i64::try_from(since).expect("for some hundred million years")
}
