//! Figures at a million finished tasks. Started by `tests/scale/retention`.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use crate::platform::{PATIENCE, Platform};
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{Store, TaskFilter};
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Tasks that are not over, beside the finished ones.
const LIVING: usize = 2000;

/// What a list may take, warm.
const SOON: Duration = Duration::from_millis(50);

/// How often it is asked whether a task has a row.
const LOOK: Duration = Duration::from_millis(3);

/// Between two tasks whose mirroring is timed.
const EVERY: Duration = Duration::from_millis(40);

struct Site {
    platform: Platform,
    store: Arc<dyn Store>,
    database: Database,
    _vhost: Vhost,
}

impl Site {
    async fn new(tasks: usize) -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let database = Database::fresh().await?;
        let platform = Platform::init(&vhost.amqp_url(), database.url())?;
        let store = platform.store().await?;
        let site = Self {
            platform,
            store,
            database,
            _vhost: vhost,
        };
        let began = Instant::now();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scale/finished.sql");
        let (tasks_are, living_are) = (format!("tasks={tasks}"), format!("living={LIVING}"));
        site.psql(&["-v", &tasks_are, "-v", &living_are, "-f", file])?;
        println!("{tasks} finished tasks made in {:.0?}", began.elapsed());
        Ok(site)
    }

    fn psql(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.database.url())
            .args(arguments);
        let output = psql.output().context("psql could not be run")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "psql: {errors}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn number(&self, query: &str) -> anyhow::Result<usize> {
        Ok(self.psql(&["-c", query])?.parse()?)
    }

    /// Sends tasks and times how long each takes to have a row, until `stop`.
    async fn time_mirror(&self, stop: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
        let producer = self.platform.producer()?;
        let mut times = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let task = RawTask {
                name: "export.project".parse()?,
                args: "[]".to_owned(),
                kwargs: "{}".to_owned(),
            };
            let sent = producer.send_raw(task, SendOptions::new()).await?;
            let began = Instant::now();
            while self.store.task(sent.as_str()).await?.is_none() {
                anyhow::ensure!(began.elapsed() < PATIENCE, "{sent} has no row");
                tokio::time::sleep(LOOK).await;
            }
            times.push(began.elapsed());
            tokio::time::sleep(EVERY).await;
        }
        Ok(times)
    }

    /// The longest and the middle time of a list, when the database has answered it before.
    async fn time_list(&self, filter: &TaskFilter) -> anyhow::Result<(usize, [Duration; 2])> {
        let mut found = self.store.tasks(filter).await?.len();
        let mut times = Vec::new();
        for _ in 0..9 {
            let began = Instant::now();
            found = self.store.tasks(filter).await?.len();
            times.push(began.elapsed());
        }
        times.sort();
        Ok((found, [times[4], times[8]]))
    }
}

/// Every filter alone, and those together that a page offers or that suit the indexes least.
fn filters(now: DateTime<Utc>) -> Vec<(String, TaskFilter)> {
    let all = TaskFilter::default;
    let mut filters: Vec<_> = TaskState::ALL
        .into_iter()
        .map(|state| {
            let state_only = TaskFilter {
                state: Some(state),
                ..all()
            };
            (format!("state {state}"), state_only)
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    let failed = Some(TaskState::Failure);
    let mut add = |what: &str, filter: TaskFilter| filters.push((what.to_owned(), filter));
    add("nothing", all());
    add(
        "name",
        TaskFilter {
            name: text("export.kind1"),
            ..all()
        },
    );
    add(
        "name that nobody has",
        TaskFilter {
            name: text("export.nothing"),
            ..all()
        },
    );
    add(
        "service",
        TaskFilter {
            service: text("mail"),
            ..all()
        },
    );
    add(
        "service that nobody has",
        TaskFilter {
            service: text("nobody"),
            ..all()
        },
    );
    add(
        "creator",
        TaskFilter {
            creator: text("user17"),
            ..all()
        },
    );
    add(
        "name and identifier",
        TaskFilter {
            name: text("demo.kind10"),
            identifier: text("name500010"),
            ..all()
        },
    );
    add(
        "related",
        TaskFilter {
            related: Some(("project".to_owned(), "17".to_owned())),
            ..all()
        },
    );
    add(
        "root",
        TaskFilter {
            root: text("scale-000500000"),
            ..all()
        },
    );
    add(
        "since a minute",
        TaskFilter {
            since: Some(now - TimeDelta::minutes(1)),
            ..all()
        },
    );
    add(
        "since for ever",
        TaskFilter {
            since: Some(now - TimeDelta::days(900)),
            ..all()
        },
    );
    add(
        "name and state that is rare in it",
        TaskFilter {
            name: text("demo.kind10"),
            state: failed,
            ..all()
        },
    );
    add(
        "name and state that it never has",
        TaskFilter {
            name: text("export.kind1"),
            state: failed,
            ..all()
        },
    );
    add(
        "service and state that it never has",
        TaskFilter {
            service: text("export"),
            state: failed,
            ..all()
        },
    );
    add(
        "service and RETRY",
        TaskFilter {
            service: text("mail"),
            state: Some(TaskState::Retry),
            ..all()
        },
    );
    add(
        "service and SUCCESS that it never has",
        TaskFilter {
            service: text("demo"),
            state: Some(TaskState::Success),
            name: text("demo.kind0"),
            ..all()
        },
    );
    add(
        "creator and state",
        TaskFilter {
            creator: text("user20"),
            state: failed,
            ..all()
        },
    );
    add(
        "creator and state that it never has",
        TaskFilter {
            creator: text("user17"),
            state: failed,
            ..all()
        },
    );
    add(
        "creator and service that he never asks",
        TaskFilter {
            creator: text("user17"),
            service: text("demo"),
            ..all()
        },
    );
    add(
        "creator of nobody's",
        TaskFilter {
            creator: text("nobody"),
            ..all()
        },
    );
    add(
        "related and state",
        TaskFilter {
            related: Some(("project".to_owned(), "20".to_owned())),
            state: failed,
            ..all()
        },
    );
    add(
        "state since",
        TaskFilter {
            state: failed,
            since: Some(now - TimeDelta::days(60)),
            ..all()
        },
    );
    filters
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Times the mirror while `work` goes on.
async fn mirror_during(
    site: &Site,
    what: &str,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    let working = async {
        let done = work.await;
        stop.store(true, Ordering::SeqCst);
        done
    };
    let (times, done) = tokio::join!(site.time_mirror(&stop), working);
    done?;
    let mut times = times?;
    println!(
        "mirror, {what}: {} tasks, p50 {:.0?}, p99 {:.0?}, most {:.0?}",
        times.len(),
        percentile(&mut times, 50),
        percentile(&mut times, 99),
        percentile(&mut times, 100),
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and gigabytes: tests/scale/retention"]
async fn finished_tasks_are_listed_soon_and_go_without_holding_up_the_mirror() -> anyhow::Result<()>
{
    let tasks = std::env::var("COUNTERFOIL_SCALE").unwrap_or_default();
    let tasks: usize = tasks.parse().unwrap_or(1_000_000);
    let mut site = Site::new(tasks).await?;
    let mut slow = Vec::new();
    for (what, filter) in filters(site.store.clock().await?) {
        let (found, [middle, most]) = site.time_list(&filter).await?;
        println!("task list, {what}: {found} rows, p50 {middle:.1?}, most {most:.1?}");
        if middle > SOON {
            slow.push(what);
        }
    }
    let mut daemon = site.platform.daemon()?;
    let quiet = async {
        // As long as is measured; there is nothing to wait for.
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok(())
    };
    mirror_during(&site, "nothing removed", quiet).await?;
    daemon.assert_running()?;
    anyhow::ensure!(daemon.terminate().await? == 0);

    let living = LIVING
        + site.number("SELECT count(*) FROM background_task WHERE task_id NOT LIKE 'scale-%'")?;
    site.platform
        .set("COUNTERFOIL_SYNC__RETENTION__DEFAULT", "30d".into());
    let began = Instant::now();
    let mut daemon = site.platform.daemon()?;
    let left =
        "SELECT count(*) FROM background_task WHERE created_date < now() - interval '30 days'";
    let removal = async {
        let mut before = site.number(left)?;
        loop {
            // Between two lines of the report: counting costs the database something.
            tokio::time::sleep(Duration::from_secs(10)).await;
            let now = site.number(left)?;
            println!("{now} left after {:.0?}", began.elapsed());
            if now == 0 {
                return Ok(());
            }
            anyhow::ensure!(now < before, "nothing is removed any more");
            before = now;
        }
    };
    mirror_during(&site, "old tasks removed meanwhile", removal).await?;
    let months =
        "SELECT count(*) FROM pg_class WHERE relname ~ '^task_event_[0-9]+$' AND relkind = 'r'";
    // Those that live have been sent again meanwhile: nobody had their messages.
    let stray = "SELECT count(*) FROM task_event AS line WHERE task_id LIKE 'scale-%'
        AND NOT EXISTS (SELECT 1 FROM background_task AS task WHERE task.task_id = line.task_id)";
    println!("{tasks} tasks removed in {:.0?}", began.elapsed());
    eventually("what is left of them to go", PATIENCE, async || {
        let results = site.number("SELECT count(*) FROM task_result")?;
        let lines = site.number(stray)?;
        Ok((results == 0 && lines == 0).then_some(()))
    })
    .await?;
    anyhow::ensure!(site.number("SELECT count(*) FROM background_task")? >= living);
    println!("{} months of history are left", site.number(months)?);
    daemon.assert_running()?;
    anyhow::ensure!(slow.is_empty(), "slower than {SOON:?}: {slow:?}");
    Ok(())
}
