//! Whether our worker has every task that Celery's integration tests define: those of a new Celery are noticed.

use super::{python, sources, with_tasks};
use anyhow::{Context as _, ensure};
use counterfoil_testkit::MemoryPlatform;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_worker::extension::{Beside, Extension, Message, Step, Subject};
use counterfoil_worker::{Worker, WorkerBuilder};
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Mutex;
use tokio::sync::oneshot;

/// Tells which tasks a worker has, once it runs.
#[derive(Debug)]
struct Told(Mutex<Option<oneshot::Sender<BTreeSet<String>>>>);

impl Extension for Told {
    fn messages(&self, _: &Subject<'_>, _: &Step<'_>) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }

    fn beside(&self, worker: Beside) -> Option<BoxFuture<'static, ()>> {
        let types = worker.inside.task_types().into_iter();
        let names = types.map(|it| it.name.to_string()).collect();
        if let Some(told) = self.0.lock().ok().and_then(|mut told| told.take()) {
            let _ = told.send(names);
        }
        None
    }
}

/// Those of our worker.
async fn ours() -> anyhow::Result<BTreeSet<String>> {
    let platform = MemoryPlatform::new().await?;
    let (told, names) = oneshot::channel();
    let names_of_broker = BrokerSettings::default().names()?;
    let settings = WorkerSettings {
        queues: vec!["celery".parse()?],
        ..WorkerSettings::default()
    };
    let worker: WorkerBuilder = Worker::builder(platform.transport(), names_of_broker, settings);
    let worker = with_tasks(worker).extension(Told(Mutex::new(Some(told))));
    let worker = worker.build()?;
    let stopper = worker.stopper();
    let running = tokio::spawn(worker.run_until(std::future::pending()));
    let names = tokio::time::timeout(crate::platform::PATIENCE, names).await??;
    stopper.drain();
    running.await?;
    Ok(names)
}

/// Those that Celery knows once it has read its tests.
fn theirs() -> anyhow::Result<BTreeSet<String>> {
    let ask = "import celery, json, t.integration.tasks as tasks
app = celery.current_app
app.register_task(tasks.ClassBasedAutoRetryTask())
app.finalize()
print(json.dumps([name for name in app.tasks if not name.startswith('celery.')]))";
    let asked = python("")?
        .current_dir(sources()?)
        .args(["-c", ask])
        .output()?;
    let said = String::from_utf8_lossy(&asked.stderr);
    ensure!(asked.status.success(), "{said}");
    serde_json::from_slice(&asked.stdout).context("names")
}

#[tokio::test(flavor = "multi_thread")]
async fn our_worker_has_every_task_that_celerys_integration_tests_define() -> anyhow::Result<()> {
    let (ours, theirs) = (ours().await?, theirs()?);
    assert!(theirs.len() > 70, "{theirs:?}");
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let unknown: Vec<_> = ours.difference(&theirs).collect();
    assert!(missing.is_empty(), "tasks without a handler: {missing:?}");
    assert!(unknown.is_empty(), "no tasks of Celery's: {unknown:?}");
    Ok(())
}
