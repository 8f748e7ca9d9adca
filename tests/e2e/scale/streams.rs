//! Many who watch while much changes.

use crate::dashboard::{hash, start};
use crate::platform::{Platform, Process};
use anyhow::{Context as _, ensure};
use counterfoil_store::Store;
use counterfoil_testkit::{Database, PostgresNode, RabbitNode, eventually};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{Producer, TaskId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// When tasks were sent, by their public ids.
type Sent = Arc<Mutex<HashMap<String, Instant>>>;

/// Streams that look for what they are told; the others only read.
const LOOKING: usize = 5;

/// One task of so many is looked for.
const OF: usize = 50;

/// How long all may take at the end.
const PATIENCE: Duration = Duration::from_secs(60);

struct Load {
    streams: usize,
    rate: usize,
    seconds: u64,
}

/// What was measured.
#[derive(Debug)]
struct Measured {
    memory_mb: u64,
    p50_ms: u128,
    p95_ms: u128,
    max_ms: u128,
    /// Processor time of the daemon.
    daemon: Duration,
    /// From the first send until the last row was there.
    mirrored: Duration,
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
    let load = |streams| -> anyhow::Result<Load> {
        Ok(Load {
            streams,
            rate: number("RATE", 1000)?,
            seconds: number("SECONDS_LONG", 30)?.try_into()?,
        })
    };
    let streams = number("STREAMS", 500)?;
    let alone = measure(load(0)?).await?;
    let watched = measure(load(streams)?).await?;
    eprintln!("without streams: {alone:?}\nwith {streams}:    {watched:?}");
    ensure!(
        watched.memory_mb < 150,
        "the dashboard takes {} MB",
        watched.memory_mb
    );
    ensure!(watched.p95_ms < 1000, "changes are seen late");
    Ok(())
}

async fn measure(load: Load) -> anyhow::Result<Measured> {
    let (rabbit, postgres) = tokio::try_join!(RabbitNode::start(), PostgresNode::start())?;
    let database = Database::of(&postgres).await?;
    let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
    let daemon = platform.daemon()?;
    let hash = hash(&platform)?;
    let token = token(&mut platform)?;
    let (dashboard, url) = start(&mut platform, &hash).await?;
    let store = platform.store().await?;
    let sent = Sent::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut watching = JoinSet::new();
    for number in 0..load.streams {
        let stream = open(&url, &token).await?;
        let looks = (number < LOOKING).then(|| (Arc::clone(&sent), Arc::clone(&seen)));
        watching.spawn(read(stream, looks));
    }
    let began = Instant::now();
    let last = send(&platform.producer()?, &*store, &load, &sent).await?;
    eventually("the last task to be mirrored", PATIENCE, async || {
        Ok(store.task(last.as_str()).await?.map(drop))
    })
    .await?;
    let mirrored = began.elapsed();
    if load.streams > 0 {
        let wanted = LOOKING * sent.lock().expect("no panic").len();
        let all = eventually("all to be seen", PATIENCE, async || {
            let seen = seen.lock().expect("no panic").len();
            Ok((seen >= wanted).then_some(()))
        });
        all.await?;
    }
    let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    seen.sort_unstable();
    let at = |percent: usize| seen.get(seen.len() * percent / 100).copied().unwrap_or(0);
    let measured = Measured {
        memory_mb: peak_memory_kb(&dashboard)? / 1024,
        p50_ms: at(50),
        p95_ms: at(95),
        max_ms: seen.last().copied().unwrap_or(0),
        daemon: processor_time(&daemon)?,
        mirrored,
    };
    watching.shutdown().await;
    dashboard.terminate().await?;
    daemon.terminate().await?;
    Ok(measured)
}

fn token(platform: &mut Platform) -> anyhow::Result<String> {
    let made = platform
        .command("counterfoil-dashboard")?
        .arg("new-token")
        .output()?;
    let made = String::from_utf8(made.stdout)?;
    let word = |name: &str| {
        let line = made.lines().find_map(|line| line.strip_prefix(name));
        line.map(|word| word.trim().to_owned()).context("one")
    };
    let digest = word("digest")?;
    platform.set("COUNTERFOIL_DASHBOARD__TOKENS__TEST__DIGEST", digest.into());
    word("token")
}

async fn open(url: &str, token: &str) -> anyhow::Result<TcpStream> {
    let host = url.strip_prefix("http://").context("an address")?;
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "GET /api/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads all that comes, and notes when what was sent is told.
async fn read(mut stream: TcpStream, looks: Option<(Sent, Arc<Mutex<Vec<u128>>>)>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut text = String::new();
    let mut found: HashMap<String, ()> = HashMap::new();
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let Some((sent, seen)) = &looks else { continue };
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        // An id may be cut in two: the end is looked at again.
        for (id, at) in sent.lock().expect("no panic").iter() {
            if !found.contains_key(id) && text.contains(id.as_str()) {
                found.insert(id.clone(), ());
                seen.lock()
                    .expect("no panic")
                    .push(at.elapsed().as_millis());
            }
        }
        let keep = text.len().saturating_sub(64);
        let keep = (keep..text.len()).find(|place| text.is_char_boundary(*place));
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
