//! How soon lists answer when there are very many tasks.
//!
//! ```text
//! list_speed [TASKS [FILE_OF_PLANS]]     fills a database, and measures
//! list_speed keep [TASKS]                fills a database, prints its address and keeps it until Ctrl-C
//! list_speed at URL [FILE_OF_PLANS]      measures in a database that is kept
//! ```
//!
//! Fills a PostgreSQL of its own, which goes with the process: 10 million tasks are 9 GB. Each question is asked
//! a hundred times and printed as one line; the file gets the plan of each. Ends with 1 when one takes longer than
//! it may.

#![allow(clippy::print_stdout, reason = "this program is its output")]

mod asks;

use anyhow::Context;
use asks::{Ask, How, asks};
use counterfoil_store::{Store, StoreOptions, connect};
use counterfoil_testkit::{Database, PostgresNode, PostgresOptions};
use counterfoil_toolbox::ids::TaskId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FILL: &str = include_str!("../../../../tests/scale/lists.sql");
/// How long somebody waits for a list.
const PATIENCE: Duration = Duration::from_millis(300);
const RUNS: u32 = 100;
/// What takes longer than this is asked less often.
const LONG: Duration = Duration::from_millis(150);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match *args {
        ["keep", ..] => {
            let (_node, database) = filled(args.get(1)).await?;
            println!("kept at {}", database.url());
            Ok(tokio::signal::ctrl_c().await?)
        }
        ["at", url, ..] => measure_all(url, args.get(2)).await,
        _ => {
            let (_node, database) = filled(args.first()).await?;
            measure_all(database.url(), args.get(1)).await
        }
    }
}

/// A database with so many tasks.
async fn filled(tasks: Option<&&str>) -> anyhow::Result<(PostgresNode, Database)> {
    let tasks: u32 = tasks.map_or(Ok(10_000_000), |n| n.parse())?;
    let node = PostgresNode::start_with(options()).await?;
    let database = Database::of(&node).await?;
    open(database.url()).await?.migrate().await?;
    let began = Instant::now();
    fill(database.url(), tasks).await?;
    println!("{tasks} tasks made in {:.0?}", began.elapsed());
    let mut connection = PgConnection::connect(database.url()).await?;
    print_sizes(&mut connection).await?;
    Ok((node, database))
}

async fn measure_all(url: &str, plans: Option<&&str>) -> anyhow::Result<()> {
    let store = open(url).await?;
    let mut connection = PgConnection::connect(url).await?;
    let (failed, other) = samples(&mut connection).await?;
    let mut slow = Vec::new();
    let mut file = plans.map(std::fs::File::create).transpose()?;
    let explained = explaining(url);
    let explained = open(&explained).await?;
    println!(
        "{:<70} {:>22} {:>8} {:>8} {:>8}",
        "ms", "found", "p50", "p95", "most"
    );
    for ask in asks(store.clock().await?, &failed, &other) {
        let (found, [p50, p95, most]) = measure(&*store, &ask).await?;
        println!(
            "{:<70} {found:>22} {p50:>8.1} {p95:>8.1} {most:>8.1}",
            ask.what
        );
        if p95 > ask.within.as_secs_f64() * 1000.0 {
            slow.push(ask.what.clone());
        }
        if let Some(file) = &mut file {
            let before = log(&mut connection, 0).await?.len();
            put(&*explained, &ask.how).await?;
            let plan = log(&mut connection, before).await?;
            writeln!(file, "======== {} ({found})\n{plan}", ask.what)?;
        }
    }
    anyhow::ensure!(slow.is_empty(), "slower than it may be: {slow:#?}");
    Ok(())
}

fn options() -> PostgresOptions {
    let settings = [
        ("shared_buffers", "1GB"),
        ("maintenance_work_mem", "1GB"),
        ("max_wal_size", "512MB"),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("autovacuum", "off"),
        ("logging_collector", "on"),
        ("shared_preload_libraries", "auto_explain"),
    ];
    PostgresOptions {
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..PostgresOptions::default()
    }
}

/// The same database, which writes the plan of each statement into its log.
fn explaining(url: &str) -> String {
    let settings = ["log_min_duration=0", "log_analyze=on", "log_buffers=on"];
    let settings = settings.map(|setting| format!("-c%20auto_explain.{setting}"));
    format!("{url}?options={}", settings.join("%20"))
}

async fn open(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    Ok(connect(&StoreOptions::new(url).id_secret("bench")).await?)
}

async fn fill(url: &str, tasks: u32) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for statement in [
        &format!("SET scale.tasks = {tasks}"),
        FILL,
        "VACUUM ANALYZE",
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await?;
    }
    Ok(())
}

async fn print_sizes(connection: &mut PgConnection) -> anyhow::Result<()> {
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT relname::text, pg_relation_size(oid) / 1048576 FROM pg_class
         WHERE pg_relation_size(oid) > 10 * 1048576 AND relkind IN ('r', 'i') ORDER BY 2 DESC",
    )
    .fetch_all(&mut *connection)
    .await?;
    sizes
        .iter()
        .for_each(|(name, size)| println!("{size:>6} MB {name}"));
    Ok(())
}

/// A task that failed lately, and the public id of any.
async fn samples(connection: &mut PgConnection) -> anyhow::Result<(TaskId, String)> {
    let (failed,): (String,) = sqlx::query_as(
        "SELECT task_id FROM background_task WHERE state = 'FAILURE' ORDER BY created_date DESC LIMIT 1",
    )
    .fetch_one(&mut *connection)
    .await?;
    let (other,): (String,) = sqlx::query_as("SELECT id FROM background_task OFFSET 5000 LIMIT 1")
        .fetch_one(&mut *connection)
        .await?;
    Ok((TaskId::new(&failed)?, other))
}

/// What the server has logged, from a place on.
async fn log(connection: &mut PgConnection, from: usize) -> anyhow::Result<String> {
    let (log,): (String,) = sqlx::query_as("SELECT pg_read_file(pg_current_logfile())")
        .fetch_one(&mut *connection)
        .await
        .context("the server's log cannot be read")?;
    Ok(log.get(from..).unwrap_or_default().to_owned())
}

/// Milliseconds that half of the answers take, 95 of 100, and the longest; warm.
async fn measure(store: &dyn Store, ask: &Ask) -> anyhow::Result<(String, [f64; 3])> {
    let began = Instant::now();
    let found = put(store, &ask.how).await?;
    let runs = if began.elapsed() > LONG {
        RUNS / 5
    } else {
        RUNS
    };
    let mut times = Vec::new();
    for _ in 0..runs {
        let began = Instant::now();
        put(store, &ask.how).await?;
        times.push(began.elapsed());
    }
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    Ok((
        found,
        [at(50), at(95), at(100)].map(|time| time.as_secs_f64() * 1000.0),
    ))
}

/// Asks once, and says what was found.
async fn put(store: &dyn Store, how: &How) -> anyhow::Result<String> {
    let rows = |count: usize| format!("{count} rows");
    Ok(match how {
        How::Page(filter) => {
            let page = store.page(filter, PATIENCE).await?;
            let cut = page.cut_at.map_or("", |_| ", cut");
            format!("{} rows{cut}", page.tasks.len())
        }
        How::Count(filter) => format!("{:?}", store.count_tasks(filter).await?),
        How::Task(id) => rows(store.task(id).await?.iter().count()),
        How::History(id) => rows(store.history(id).await?.len()),
        How::Log(id) => rows(store.log(id).await?.len()),
        How::Result(id) => rows(store.result(id, 0).await?.iter().count()),
        How::Family(id) => rows(store.family(id).await?.len()),
        How::Sessions(filter) => rows(store.sessions(filter).await?.len()),
        How::Dead(filter) => rows(store.dead(filter).await?.len()),
        How::Parked(filter) => rows(store.parked(filter).await?.len()),
        How::Services => rows(store.services().await?.len()),
        How::Types => rows(store.task_types().await?.len()),
        How::Living => rows(store.count_living().await?.len()),
    })
}
