//! Numbers for charts: everything counts once, whatever is told how often and in whatever order.

use super::samples::{copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{Batch, RollupPoint, Store, TrackingCopy};
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::{TaskName, TaskState};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn named(name: &str) -> TaskName {
    TaskName::new(name).expect("a task name")
}

/// The tracking copy of a task of this type.
pub(super) fn sent(id: &TaskId, name: &str) -> TrackingCopy {
    copy_of(Envelope::new(id.clone(), named(name)))
}

/// That of its execution after so many others.
pub(super) fn sent_again(id: &TaskId, name: &str, executions: i32) -> TrackingCopy {
    let mut envelope = Envelope::new(id.clone(), named(name));
    envelope.retries = executions;
    envelope.lineage.executions = executions;
    copy_of(envelope)
}

pub(super) fn told(id: &TaskId, name: &str, executions: i32, state: TaskState) -> Event {
    let mut event = event(id, lineage(0, executions, 0), state);
    event.task = named(name);
    event
}

/// When a task was sent, as its id tells.
pub(super) fn sent_at(id: &TaskId) -> anyhow::Result<DateTime<Utc>> {
    let id = id.as_uuid().context("a UUID")?;
    let (seconds, nanos) = id.get_timestamp().context("with a time")?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds)?, nanos).context("a time")
}

/// What charts show of a type in the last half an hour, minute by minute.
async fn minutes(store: &dyn Store, name: &str) -> anyhow::Result<Vec<RollupPoint>> {
    let now = store.clock().await?;
    let from = now - TimeDelta::minutes(30);
    let to = now + TimeDelta::minutes(1);
    let rollup = store.rollup(from, to, MINUTE, None, Some(name)).await?;
    ensure!(rollup.step_s == 60 && rollup.points.len() >= 31);
    Ok(rollup.points)
}

/// Everything together: sent, started, retried, succeeded, failed.
pub(super) async fn all(store: &dyn Store, name: &str) -> anyhow::Result<[i64; 5]> {
    let mut all = [0; 5];
    for it in minutes(store, name).await? {
        let point = [it.sent, it.started, it.retried, it.succeeded, it.failed];
        all.iter_mut().zip(point).for_each(|(all, one)| *all += one);
    }
    Ok(all)
}

/// The `nth` order of so many things.
fn order(mut nth: usize, things: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..things).collect();
    let mut order = Vec::new();
    for count in (1..=things).rev() {
        order.push(left.remove(nth % count));
        nth /= count;
    }
    order
}

/// A task that was retried, whose failure turned out to be a success; each thing told twice.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn everything_counts_once_whatever_is_told_first(site: &StoreSite) -> anyhow::Result<()> {
    const ORDERS: usize = 720;
    let store = site.store();
    for nth in (0..ORDERS).step_by(17) {
        let (id, name) = (TaskId::random(), format!("demo.order{nth}"));
        let things: [&dyn Fn(&mut Batch); 6] = [
            &|batch| batch.track(&sent(&id, &name)),
            &|batch| batch.event(&told(&id, &name, 0, TaskState::Started)),
            &|batch| batch.event(&told(&id, &name, 0, TaskState::Retry)),
            &|batch| batch.track(&sent_again(&id, &name, 1)),
            &|batch| batch.event(&told(&id, &name, 1, TaskState::Failure)),
            &|batch| batch.event(&told(&id, &name, 1, TaskState::Success)),
        ];
        // Each of them made once, as it is told twice.
        let batches = things.map(|thing| {
            let mut batch = Batch::new();
            thing(&mut batch);
            batch
        });
        let order = order(nth, things.len());
        for place in &order {
            store.apply(&batches[*place]).await?;
            store.apply(&batches[*place]).await?;
        }
        for place in &order {
            store.apply(&batches[*place]).await?;
        }
        let counted = all(store, &name).await?;
        ensure!(counted == [1, 1, 1, 1, 0], "{order:?}: {counted:?}");
    }
    // Nor does it matter how it is cut into batches, or whether it was added up.
    let (id, name) = (TaskId::random(), "demo.whole");
    let mut whole = Batch::new();
    whole.track(&sent(&id, name));
    whole.track(&sent_again(&id, name, 1));
    for (executions, state) in [
        (0, TaskState::Started),
        (0, TaskState::Retry),
        (1, TaskState::Failure),
        (1, TaskState::Success),
    ] {
        whole.event(&told(&id, name, executions, state));
    }
    store.apply(&whole).await?;
    store.apply(&whole).await?;
    ensure!(all(store, name).await? == [1, 1, 1, 1, 0]);
    while store.add_up_rollups(50).await? > 0 {}
    ensure!(all(store, name).await? == [1, 1, 1, 1, 0]);
    store.apply(&whole).await?;
    ensure!(store.add_up_rollups(0).await? == 0, "nothing new");
    Ok(())
}

/// In its own minute: what it was taken for before does not count in that of the mistake any more.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_failure_that_became_a_success_is_one_success(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (store, name) = (site.store(), "demo.late");
    let id = TaskId::random();
    let now = store.clock().await?;
    for (minutes, state) in [(20, TaskState::Failure), (10, TaskState::Success)] {
        let mut batch = Batch::new();
        let mut event = told(&id, name, 0, state);
        event.at = now - TimeDelta::minutes(minutes);
        batch.event(&event);
        store.apply(&batch).await?;
    }
    let points = minutes(store, name).await?;
    let ends = points.iter().filter(|it| it.succeeded + it.failed > 0);
    let ends: Vec<_> = ends.collect();
    let [end] = &ends[..] else {
        anyhow::bail!("{ends:?}");
    };
    ensure!((end.succeeded, end.failed) == (1, 0));
    let at = now - TimeDelta::minutes(10);
    ensure!(end.at <= at && at < end.at + MINUTE, "{}", end.at);
    Ok(())
}

/// As Rust computes it.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn run_times_have_their_sizes(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let mut times: Vec<Option<i64>> = vec![None, Some(0), Some(i64::from(u32::MAX)), Some(1 << 50)];
    times.extend((1..200).chain([1000, 59_999, 86_400_000]).map(Some));
    let mut batch = Batch::new();
    for (nth, runtime_ms) in times.iter().enumerate() {
        let name = format!("demo.runs{nth}");
        let mut event = told(&TaskId::random(), &name, 0, TaskState::Success);
        event.runtime_ms = *runtime_ms;
        batch.event(&event);
    }
    store.apply(&batch).await?;
    for (nth, runtime_ms) in times.iter().enumerate() {
        let size = site
            .text(&format!(
                "SELECT CAST(size AS text) FROM task_rollup_delta
                 WHERE what = 'SUCCESS' AND type = 'demo.runs{nth}'"
            ))
            .await?;
        #[expect(clippy::cast_precision_loss, reason = "sizes are coarser")]
        let wanted = match runtime_ms {
            None => -100.0,
            Some(0) => -4.0,
            Some(ms) => (4.0 * (*ms as f64).log2()).round(),
        };
        ensure!(size == Some(wanted.to_string()), "{runtime_ms:?}: {size:?}");
    }
    Ok(())
}

/// From when it was sent or due until its first attempt was started, however that is told; later attempts do not
/// count.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_waits_until_its_first_attempt_is_started(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let queue_time = async |name: &'static str| {
        let points = minutes(store, name).await?;
        let started = points.into_iter().filter(|it| it.started > 0);
        let started: Vec<_> = started.collect();
        let [one] = &started[..] else {
            anyhow::bail!("{name}: {started:?}");
        };
        ensure!(one.started == 1, "{one:?}");
        Ok(one.queue_time.p50_ms)
    };
    let ids: [TaskId; 5] = std::array::from_fn(|_| TaskId::random());
    let [plain, later, at_once, unknown, again] = &ids;
    let after = |id: &TaskId, name, state, seconds| -> anyhow::Result<Event> {
        let mut event = told(id, name, 0, state);
        event.at = sent_at(id)? + TimeDelta::seconds(seconds);
        Ok(event)
    };
    let mut batch = Batch::new();
    batch.track(&sent(plain, "demo.plain"));
    batch.event(&after(plain, "demo.plain", TaskState::Started, 5)?);
    let mut envelope = Envelope::new(later.clone(), named("demo.later"));
    envelope.eta = Some(sent_at(later)? + TimeDelta::seconds(4));
    batch.track(&copy_of(envelope));
    batch.event(&after(later, "demo.later", TaskState::Started, 5)?);
    batch.track(&sent(at_once, "demo.at_once"));
    let mut end = after(at_once, "demo.at_once", TaskState::Success, 9)?;
    end.started_at = Some(sent_at(at_once)? + TimeDelta::seconds(2));
    batch.event(&end);
    batch.event(&after(unknown, "demo.unknown", TaskState::Started, 5)?);
    batch.track(&sent(again, "demo.again"));
    batch.event(&told(again, "demo.again", 1, TaskState::Started));
    store.apply(&batch).await?;

    // 5000, 1000 and 2000 ms, as exact as sizes are.
    ensure!(queue_time("demo.plain").await? == Some(4870));
    ensure!(queue_time("demo.later").await? == Some(1024));
    ensure!(queue_time("demo.at_once").await? == Some(2048));
    ensure!(queue_time("demo.unknown").await?.is_none());
    let started: i64 = all(store, "demo.again").await?[1];
    ensure!(started == 0, "a second attempt");
    Ok(())
}

/// Each row once, by two at once, and however often somebody is cut off in the middle.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn numbers_are_added_up_once_by_any_number_of_daemons(
    site: &StoreSite,
) -> anyhow::Result<()> {
    const TASKS: usize = 300;
    let (store, name) = (site.store(), "demo.sums");
    for _ in 0..TASKS / 3 {
        let mut batch = Batch::new();
        for _ in 0..3 {
            batch.track(&sent(&TaskId::random(), name));
        }
        store.apply(&batch).await?;
    }
    let add_up = async |patience: Duration| -> anyhow::Result<()> {
        let own = site.another().await?;
        for nth in 0..40 {
            let step = tokio::time::timeout(patience * nth, own.add_up_rollups(7));
            // Cut off, it is as if it had not been called, or had been.
            if matches!(step.await, Ok(Ok(0))) {
                break;
            }
        }
        Ok(())
    };
    let micro = Duration::from_micros(100);
    let (one, other) = tokio::join!(add_up(micro), add_up(micro * 3));
    one.and(other)?;
    while store.add_up_rollups(7).await? > 0 {}
    let sums = "SELECT CAST(sum(tasks) AS text) FROM task_rollup WHERE span =";
    for span in [1, 5, 60, 360, 1440, -1, -5, -60, -360, -1440] {
        let sum = site.text(&format!("{sums} {span}")).await?;
        ensure!(sum == Some(TASKS.to_string()), "{span} minutes: {sum:?}");
    }
    let left = "SELECT CAST(count(*) AS text) FROM task_rollup_delta";
    ensure!(site.text(left).await?.as_deref() == Some("0"));
    Ok(())
}

/// By step, service and type; and types against each other. What is old goes, span by span.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn numbers_are_read_by_span_and_kept_for_as_long_as_those_are(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let now = store.clock().await?;
    let row = |span: i64, days: i64, service: &str, tasks: u32| {
        let seconds = (now - TimeDelta::days(days)).timestamp();
        let at = DateTime::from_timestamp(seconds - seconds % (span * 60), 0).unwrap_or(now);
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let of_type = format!("({span}, '{at}', '{service}', '{service}.add'");
        format!(
            "{of_type}, 'SUCCESS', 40, {tasks}), (-{span}, '{at}', '', '', 'SUCCESS', 40, {tasks})"
        )
    };
    let rows = [
        row(1440, 3, "demo", 10),
        row(1440, 5, "export", 4),
        row(60, 3, "demo", 1_000),
        row(1440, 100, "demo", 1),
        row(60, 9, "demo", 1),
        row(1, 1, "demo", 1),
    ];
    let table = "task_rollup (span, at, service, type, what, size, tasks)";
    let insert = format!("INSERT INTO {table} VALUES {}", rows.join(", "));
    site.execute(&insert).await?;
    let (month, day) = (now - TimeDelta::days(30), Duration::from_secs(86_400));
    let succeeded = async |service, name| -> anyhow::Result<i64> {
        let rollup = store.rollup(month, now, day, service, name).await?;
        ensure!(rollup.points.len() == 31, "{}", rollup.points.len());
        Ok(rollup.points.iter().map(|it| it.succeeded).sum())
    };
    ensure!(
        succeeded(None, None).await? == 14,
        "days, and not hours too"
    );
    ensure!(succeeded(Some("export"), None).await? == 4);
    ensure!(succeeded(None, Some("demo.add")).await? == 10);
    let types = store.rollup_types(month, now).await?;
    let told: Vec<_> = types.iter().map(|it| (&*it.name, it.ended)).collect();
    ensure!(told == [("demo.add", 10), ("export.add", 4)], "{told:?}");
    ensure!(types[0].run_time.p95_ms == Some(1024) && types[0].total_run_ms == 10_240);

    ensure!(
        store.forget_rollups(100).await? == 6,
        "one of each span, and of all types"
    );
    ensure!(store.forget_rollups(100).await? == 0);
    ensure!(succeeded(None, None).await? == 14);
    Ok(())
}
