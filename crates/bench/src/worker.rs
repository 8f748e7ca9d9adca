//! The worker of the scenarios: an empty handler.

use crate::setting::Setting;
use crate::task::{ExportProject, Exported};
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_worker::{Context, Exit, TaskError, Worker};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Deliveries held at a time, as many as the peers hold.
const PREFETCH: u16 = 1000;

/// A consumer holds one message at a time for its first second: what is measured starts after it.
pub(crate) const CAUTION: Duration = Duration::from_millis(1100);

/// What the handlers see together.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Inner>);

struct Inner {
    wanted: usize,
    done: AtomicUsize,
    flow: Mutex<Flow>,
    finished: watch::Sender<bool>,
}

#[derive(Default)]
struct Flow {
    first: Option<Instant>,
    /// When the consumer had widened, and how many tasks had run by then.
    wide: Option<(Instant, usize)>,
    last: Option<Instant>,
    gaps: Vec<Duration>,
}

impl Progress {
    /// Nothing has run yet; `wanted` tasks will.
    pub(crate) fn new(wanted: usize) -> Self {
        let flow = Mutex::new(Flow {
            gaps: Vec::with_capacity(wanted),
            ..Flow::default()
        });
        Self(Arc::new(Inner {
            wanted,
            done: AtomicUsize::new(0),
            flow,
            finished: watch::Sender::new(false),
        }))
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.0
            .flow
            .lock()
            .expect("no code panics while it holds the lock")
    }

    fn note(&self) {
        let now = Instant::now();
        let done = self.0.done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut flow = self.flow();
        let first = *flow.first.get_or_insert(now);
        if flow.wide.is_none() && now.duration_since(first) >= CAUTION {
            flow.wide = Some((now, done));
        }
        if let Some(last) = flow.last.replace(now) {
            flow.gaps.push(now.duration_since(last));
        }
        drop(flow);
        if done == self.0.wanted {
            self.0.finished.send_replace(true);
        }
    }

    /// Waits until the last handler ran.
    pub(crate) async fn finished(&self) {
        // The sender lives as long as `self`.
        let _ = self
            .0
            .finished
            .subscribe()
            .wait_for(|finished| *finished)
            .await;
    }

    /// When the consumer had widened and how many tasks had run by then; the start when it never did.
    pub(crate) fn wide(&self) -> Option<(Instant, usize)> {
        let flow = self.flow();
        let wide = flow.wide.filter(|(_, done)| *done < self.0.wanted);
        wide.or_else(|| flow.first.map(|first| (first, 0)))
    }

    /// Times between one handler's start and the next one's.
    pub(crate) fn gaps(&self) -> Vec<Duration> {
        self.flow().gaps.clone()
    }
}

async fn export(_: ExportProject, cx: Context) -> Result<Exported, TaskError> {
    cx.state::<Progress>().note();
    Ok(Exported {
        url: "https://example.org/export.xls".to_owned(),
    })
}

/// Runs a worker until `signal`, and until everything that it ran is reported and acknowledged.
pub(crate) async fn run(
    setting: &Setting,
    progress: Progress,
    signal: impl Future<Output = ()>,
) -> anyhow::Result<Exit> {
    let settings = WorkerSettings {
        concurrency: PREFETCH,
        prefetch: Some(PREFETCH),
        ..WorkerSettings::default()
    };
    let worker = Worker::builder(setting.transport.clone(), setting.names.clone(), settings)
        .state(progress)
        .handle(export)
        .build()?;
    Ok(worker.run_until(signal).await)
}
