//! Many who watch while much changes.

use crate::dashboard::{hash, start};
use crate::platform::{Platform, Process};
use crate::scale::{ask, token};
use anyhow::{Context as _, ensure};
use counterfoil_store::Store;
use counterfoil_testkit::{Database, PostgresNode, RabbitNode, eventually};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{Producer, TaskId};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// When tasks were sent, by their public ids.
type Sent = Arc<Mutex<HashMap<String, Instant>>>;

/// How many milliseconds after its sending each was told.
type Seen = Arc<Mutex<Vec<u128>>>;

/// Streams that look for what they are told; the others only read.
const LOOKING: usize = 5;

/// One task of so many is looked for.
const OF: usize = 50;

/// What stands before a public id, and how long that is.
const ID: (&str, usize) = ("\"id\":\"", 26);

/// How long all may take at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a change may take to be seen.
const SOON: u128 = 1000;

/// How much more the mirror may take while somebody watches, in per cent.
const SLOWER: f64 = 5.0;

#[derive(Clone, Copy)]
struct Load {
    streams: usize,
    /// Query of those that only read.
    query: &'static str,
    rate: usize,
    seconds: u64,
}

/// What was measured.
struct Measured {
    memory_mb: u64,
    /// After how many milliseconds half of the changes were seen, 95 of 100, and the last.
    seen_ms: [u128; 3],
    /// After how many milliseconds tasks had a row: half of them, 95 of 100, and the last.
    mirrored_ms: Vec<f64>,
    /// From the first send until the last row was there.
    all: Duration,
    /// Processor time.
    daemon: Duration,
    dashboard: Duration,
}

fn number(name: &str, usual: usize) -> anyhow::Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| name.to_owned()),
        Err(_) => Ok(usual),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes: tests/scale/streams"]
async fn five_hundred_streams_are_told_within_a_second_and_cost_the_mirror_little()
-> anyhow::Result<()> {
    let streams = number("STREAMS", 500)?;
    let alone = Load {
        streams: 0,
        query: "",
        rate: number("RATE", 1000)?,
        seconds: number("SECONDS_LONG", 30)?.try_into()?,
    };
    // As pages watch, and as programs may.
    let watched = ["brief=true", ""].map(|query| Load {
        streams,
        query,
        ..alone
    });
    let mut least: Vec<Duration> = Vec::new();
    for _ in 0..number("ROUNDS", 2)? {
        for (place, load) in [alone, watched[0], watched[1]].into_iter().enumerate() {
            let measured = measure(load).await?;
            measured.print(&load);
            measured.check(&load)?;
            match least.get_mut(place) {
                Some(least) => *least = measured.daemon.min(*least),
                None => least.push(measured.daemon),
            }
        }
    }
    let more = |watched: Duration| (watched.as_secs_f64() / least[0].as_secs_f64() - 1.0) * 100.0;
    let (brief, whole) = (more(least[1]), more(least[2]));
    eprintln!("the daemon's processor time: {brief:+.1} % with pages, {whole:+.1} % with programs");
    ensure!(brief <= SLOWER && whole <= SLOWER, "the mirror is slowed");
    Ok(())
}

impl Measured {
    fn print(&self, load: &Load) {
        let Self {
            memory_mb,
            seen_ms,
            mirrored_ms,
            all,
            daemon,
            dashboard,
        } = self;
        let Load { streams, query, .. } = load;
        eprintln!(
            "{streams} streams {query}: {memory_mb} MB; seen after {seen_ms:?} ms and mirrored after {mirrored_ms:?} ms \
             (p50, p95, most); all in {all:.1?}; processor time of the daemon {daemon:.1?}, of the dashboard {dashboard:.1?}"
        );
    }

    fn check(&self, load: &Load) -> anyhow::Result<()> {
        let [_, seen, _] = self.seen_ms;
        ensure!(self.memory_mb < 150, "it takes {} MB", self.memory_mb);
        ensure!(load.streams == 0 || seen < SOON, "changes are seen late");
        Ok(())
    }
}

async fn measure(load: Load) -> anyhow::Result<Measured> {
    let (rabbit, postgres) = tokio::try_join!(RabbitNode::start(), PostgresNode::start())?;
    let database = Database::of(&postgres).await?;
    let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
    let daemon = platform.daemon()?;
    let hash = hash(&platform)?;
    let token = token(&mut platform, "viewer")?;
    let (dashboard, url) = start(&mut platform, &hash).await?;
    let store = platform.store().await?;
    let (sent, seen) = (Sent::default(), Seen::default());
    let mut watching = JoinSet::new();
    for number in 0..load.streams {
        let looks = (number < LOOKING).then(|| (Arc::clone(&sent), Arc::clone(&seen)));
        let query = if looks.is_some() { "" } else { load.query };
        let stream = open(&url, &token, query).await?;
        watching.spawn(read(stream, looks));
    }
    let (before, before_daemon) = (processor_time(&dashboard)?, processor_time(&daemon)?);
    let began = Instant::now();
    let last = send(&platform.producer()?, &*store, &load, &sent).await?;
    eventually("the last task to be mirrored", PATIENCE, async || {
        Ok(store.task(last.as_str()).await?.map(drop))
    })
    .await?;
    let all = began.elapsed();
    if load.streams > 0 {
        let wanted = LOOKING * sent.lock().expect("no panic").len();
        let told = eventually("all to be seen", PATIENCE, async || {
            let seen = seen.lock().expect("no panic").len();
            Ok((seen >= wanted).then_some(()))
        });
        told.await?;
    }
    let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    seen.sort_unstable();
    let last = seen.len().saturating_sub(1);
    let at = |percent: usize| seen.get(last * percent / 100).copied().unwrap_or(0);
    let measured = Measured {
        memory_mb: peak_memory_kb(&dashboard)? / 1024,
        seen_ms: [50, 95, 100].map(at),
        mirrored_ms: mirrored(database.url())?,
        all,
        daemon: processor_time(&daemon)? - before_daemon,
        dashboard: processor_time(&dashboard)? - before,
    };
    watching.shutdown().await;
    dashboard.terminate().await?;
    daemon.terminate().await?;
    Ok(measured)
}

/// How long after their sending tasks had a row, by the times that their ids tell and those of transactions.
fn mirrored(database: &str) -> anyhow::Result<Vec<f64>> {
    let told = ask(
        database,
        "SELECT unnest(percentile_disc(ARRAY[0.5, 0.95, 1]) WITHIN GROUP (
            ORDER BY round(1000 * extract(epoch FROM last_updated - created_date))
        )) FROM background_task",
    )?;
    Ok(told.lines().map(str::parse).collect::<Result<_, _>>()?)
}

async fn open(url: &str, token: &str, query: &str) -> anyhow::Result<TcpStream> {
    let host = url.strip_prefix("http://").context("an address")?;
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "GET /api/events?{query} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    ensure!(status.ends_with(b"200"), "a stream is refused");
    Ok(stream)
}

/// Reads all that comes, and notes when what was sent is told.
async fn read(mut stream: TcpStream, looks: Option<(Sent, Seen)>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut text = String::new();
    let mut found = HashSet::new();
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let Some((sent, seen)) = &looks else { continue };
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let (before, length) = ID;
        // What is cut off is looked at with the next piece.
        let mut looked = 0;
        for (place, _) in text.match_indices(before) {
            let id = place + before.len();
            let Some(id) = text.get(id..id + length) else {
                break;
            };
            looked = place + before.len();
            let at = sent.lock().expect("no panic").get(id).copied();
            if let Some(at) = at.filter(|_| found.insert(id.to_owned())) {
                let after = at.elapsed().as_millis();
                seen.lock().expect("no panic").push(after);
            }
        }
        let keep = text.len().saturating_sub(before.len() + length).max(looked);
        let keep = (keep..=text.len()).find(|place| text.is_char_boundary(*place));
        text.drain(..keep.unwrap_or(0));
    }
}

/// Sends so many a second, and returns the id of the last.
async fn send(
    producer: &Producer,
    store: &dyn Store,
    load: &Load,
    sent: &Sent,
) -> anyhow::Result<TaskId> {
    let task = |number: usize| -> anyhow::Result<RawTask> {
        Ok(RawTask {
            name: TaskName::new("demo.add")?,
            args: format!("[{number}, 1]"),
            kwargs: "{}".to_owned(),
        })
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut last = TaskId::random();
    let mut number = 0;
    for _ in 0..load.seconds * 10 {
        ticks.tick().await;
        let mut begun = Vec::new();
        for _ in 0..load.rate / 10 {
            last = TaskId::random();
            if number % OF == 0 {
                let id = store.public_id(&last)?;
                sent.lock().expect("no panic").insert(id, Instant::now());
            }
            let options = SendOptions::new().id(last.clone());
            begun.push(producer.begin(task(number)?, options).await?);
            number += 1;
        }
        for sending in begun {
            sending.confirmed().await?;
        }
    }
    Ok(last)
}

/// The most memory that a process had.
fn peak_memory_kb(process: &Process) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("a peak")?.parse()?)
}

fn processor_time(process: &Process) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid()))?;
    let (_, after) = stat.rsplit_once(')').context("a name")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // A hundred a second, on every Linux.
    Ok(Duration::from_millis(ticks * 10))
}
