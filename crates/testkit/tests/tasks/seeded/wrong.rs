//! Wrong workers are caught.

use super::hasty::Hasty;
use super::{Database, Tell, right, start_right};
use counterfoil_testkit::{Seeds, Trial, Trouble};
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::names::QueueName;
use counterfoil_worker::{Context, TaskError, Worker};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

async fn tell_four(trial: &Trial, database: &Database) -> anyhow::Result<()> {
    for user in 0..4 {
        trial.send(Tell { user, fails: 0 }).await?;
    }
    trial.settle().await?;
    database.assert_told(0..4);
    Ok(())
}

/// The right handlers, but their deliveries are acknowledged as they come, before any effect.
async fn acknowledges_too_soon(trial: Trial) -> anyhow::Result<()> {
    let database = Database::default();
    let clone = database.clone();
    let queue = QueueName::new("mail")?;
    let names = BrokerSettings::default().names()?;
    let hasty = move |transport| {
        let queue = queue.clone();
        let hasty = Arc::new(Hasty { transport, queue });
        let worker = Worker::builder(hasty, names.clone(), WorkerSettings::default());
        right(worker, &clone)
    };
    trial.worker_over(hasty).await?;
    tell_four(&trial, &database).await
}

#[test]
fn a_worker_that_acknowledges_before_the_effect_is_caught_within_a_thousand_seeds() {
    let failure = Seeds::new(1000).first_failure(acknowledges_too_soon);
    let failure = failure.expect("it is caught");
    assert!(failure.why().contains("is lost"), "{}", failure.why());
    let needed = failure.needed_faults();
    assert!(!needed.is_empty() && needed.len() <= failure.faults().len());
    // Nothing is lost while nothing happens.
    let calm = Seeds::new(50).faults(0);
    assert!(calm.first_failure(acknowledges_too_soon).is_none());
}

#[test]
fn a_failure_says_all_that_it_takes_to_see_it_again() {
    let first = Seeds::new(1000).first_failure(acknowledges_too_soon);
    let first = first.expect("it is caught");
    let seed = first.seed();
    let again = Seeds::only(seed).first_failure(acknowledges_too_soon);
    let again = again.expect("it is caught again");
    assert_eq!((again.seed(), again.faults()), (seed, first.faults()));
    assert_eq!(again.diary(), first.diary());
    let text = first.to_string();
    let again = format!("COUNTERFOIL_SEED={seed} cargo test seeded::wrong::a_failure_says");
    for wanted in [&format!("seed {seed} failed: mail.tell #"), "of ", &again] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    for fault in first.faults() {
        assert!(text.contains(&fault), "{fault}");
    }
}

/// Writes what was handed over now and then; what it has not written ends with its process.
struct Writer {
    handed_over: Arc<Mutex<Vec<u64>>>,
    writing: JoinHandle<()>,
}

impl Writer {
    fn start(database: Database) -> Self {
        let handed_over = Arc::<Mutex<Vec<u64>>>::default();
        let taken = handed_over.clone();
        let writing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let users = std::mem::take(&mut *taken.lock().expect("no panic"));
                users.into_iter().for_each(|user| database.write(user));
            }
        });
        Self {
            handed_over,
            writing,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

/// Says that it is done when somebody else is to do it: a buffer, a background task, an unflushed file.
async fn hand_over(task: Tell, cx: Context) -> Result<u64, TaskError> {
    let writer = cx.state::<Writer>();
    writer.handed_over.lock().expect("no panic").push(task.user);
    Ok(task.user)
}

#[test]
fn a_handler_that_answers_before_its_effect_is_durable_is_caught_within_a_thousand_seeds() {
    let failure = Seeds::new(1000).first_failure(async |trial| {
        let database = Database::default();
        let clone = database.clone();
        let start = move || Writer::start(clone.clone());
        trial
            .worker(move |worker| worker.state(start()).handle(hand_over))
            .await?;
        tell_four(&trial, &database).await
    });
    let failure = failure.expect("it is caught");
    assert!(
        failure.why().starts_with("nobody told user"),
        "{}",
        failure.why()
    );
}

#[test]
fn whoever_counts_on_running_once_is_caught() {
    let failure = Seeds::new(1000).first_failure(async |trial| {
        let database = start_right(&trial).await?;
        trial.send(Tell { user: 1, fails: 0 }).await?;
        trial.settle().await?;
        assert_eq!(database.told(1), 1, "once is enough");
        Ok(())
    });
    let failure = failure.expect("a task runs at least once, not at most once");
    assert!(
        failure.why().contains("once is enough"),
        "{}",
        failure.why()
    );
    assert!(!failure.needed_faults().is_empty(), "{failure}");
}

#[test]
#[should_panic(expected = "seed 0 failed: never right")]
fn run_panics_with_the_failure() {
    Seeds::new(5)
        .only_faults([Trouble::Kill])
        .run(async |_| anyhow::bail!("never right"));
}
