//! What users test their tasks with.

mod priorities;
mod seeded;

use anyhow::Result;
use counterfoil_testkit::{MemoryPlatform, Outcome, Perform};
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::session::Session;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use counterfoil_toolbox::{Backoff, Task};
use counterfoil_worker::{Context, Exit, Level, TaskError, WorkerBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What the handler of [`Act`] is to do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, PartialEq)]
enum What {
    Return,
    Skip,
    Retry,
    Throttle,
    Fail,
    Reject,
    Panic,
    Hang,
    Tell,
    Checkpoint,
    Send,
    OpenSession,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Act {
    what: What,
}

impl Task for Act {
    const NAME: &'static str = "stage.act";
    type Output = u32;

    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 2,
            backoff: Backoff {
                first: Duration::from_secs(60),
                factor: 2.0,
                cap: Duration::from_secs(600),
                jitter: false,
            },
            ..TaskOptions::default()
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Extra {
    number: u32,
}

impl Task for Extra {
    const NAME: &'static str = "stage.extra";
    type Output = ();
}

/// One that runs by tokens, and is acknowledged early.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Scarce {}

impl Task for Scarce {
    const NAME: &'static str = "stage.scarce";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            max_concurrency_global: Some(3),
            ack: Ack::Early,
            time_limit: Some(Duration::from_secs(60)),
            ..TaskOptions::default()
        }
    }
}

async fn act(task: Act, cx: Context) -> Result<u32, TaskError> {
    match task.what {
        What::Return => return Ok(cx.attempt()),
        What::Skip => return Err(TaskError::skip("nothing to do")),
        What::Retry => return Err(TaskError::retry("not now")),
        What::Throttle => {
            return Err(TaskError::retry_uncounted(
                "busy",
                Duration::from_secs(3600),
            ));
        }
        What::Fail => return Err(TaskError::fail("never")),
        What::Reject => return Err(TaskError::reject("look at it")),
        What::Panic => panic!("oh no"),
        What::Hang => std::future::pending().await,
        What::Tell => {
            cx.progress(1, 3, "one");
            cx.log(Level::INFO, "halfway", json!({"of": 3}));
            tokio::time::sleep(Duration::from_secs(90)).await;
            cx.progress(2, 3, "two");
            cx.progress(3, 3, "three");
        }
        What::Checkpoint => {
            let before: Option<u32> = cx.last_checkpoint()?;
            cx.checkpoint(&(before.unwrap_or(0) + 1))?;
        }
        What::Send => {
            cx.send(Extra { number: 1 }).await?;
            let later = SendOptions::new().countdown(Duration::from_secs(600));
            cx.send_with(Extra { number: 2 }, later).await?;
        }
        What::OpenSession => {
            let session = Session::new("acting", Extra { number: 9 })?;
            let session = session.subtasks((3..5).map(|number| Extra { number }))?;
            cx.start_session(session).await?;
        }
    }
    Ok(0)
}

async fn extra(_: Extra, _: Context) -> Result<(), TaskError> {
    panic!("children are not run");
}

fn register(worker: WorkerBuilder) -> WorkerBuilder {
    worker.handle(act).handle(extra)
}

fn perform(what: What) -> Perform<Act> {
    Perform::new(Act { what })
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_answers_becomes_what_the_platform_would_hear() -> Result<()> {
    let done = perform(What::Return).by(register).await?;
    assert_eq!(done.output(), &1);
    let skipped = perform(What::Skip).by(register).await?;
    assert_eq!(
        skipped.outcome(),
        &Outcome::Skipped("nothing to do".to_owned())
    );
    let failed = perform(What::Fail).by(register).await?;
    assert!(matches!(failed.outcome(), Outcome::Failed(_)));
    assert_eq!(failed.fault().message, "never");
    let rejected = perform(What::Reject).by(register).await?;
    assert!(matches!(rejected.outcome(), Outcome::Dead(_)));
    assert_eq!(rejected.fault().kind, FaultKind::Rejected);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_told_with_its_backoff_and_is_not_run() -> Result<()> {
    let after = |what, attempt: u32| async move {
        let performed = perform(what).attempt(attempt).by(register).await?;
        let Outcome::Retry { after, counted, .. } = performed.outcome() else {
            anyhow::bail!("{}", performed.outcome());
        };
        assert!(performed.scheduled().is_empty());
        Ok((after.as_secs(), *counted))
    };
    assert_eq!(after(What::Retry, 1).await?, (60, true));
    assert_eq!(after(What::Retry, 2).await?, (120, true));
    assert_eq!(after(What::Panic, 1).await?, (60, true));
    assert_eq!(after(What::Throttle, 1).await?, (3600, false));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_the_handlers_and_the_last_one_is_dead() -> Result<()> {
    let third = perform(What::Return).attempt(3).by(register).await?;
    assert_eq!(third.output(), &3);
    let third = perform(What::Retry).attempt(3).by(register).await?;
    assert!(matches!(third.outcome(), Outcome::Dead(_)));
    assert_eq!(third.fault().kind, FaultKind::Exhausted);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_ended_at_its_time_limit_and_takes_no_time() -> Result<()> {
    let began = std::time::Instant::now();
    let limit = Duration::from_secs(600);
    let options = SendOptions::new().time_limit(limit);
    let hung = perform(What::Hang).options(options).by(register).await?;
    assert_eq!(hung.fault().kind, FaultKind::TimeLimit);
    assert!(matches!(hung.outcome(), Outcome::Retry { .. }));
    assert_eq!(hung.took().as_secs(), limit.as_secs());
    assert!(began.elapsed() < limit / 10, "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn progress_log_checkpoint_and_time_can_be_asked_for() -> Result<()> {
    let told = perform(What::Tell).by(register).await?;
    let progress = told.progress().expect("it told some");
    assert_eq!((progress.current, progress.total), (3, Some(3)));
    let lines: Vec<_> = told.log().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["halfway"]);
    assert_eq!(told.took().as_secs(), 90);
    assert_eq!(told.checkpoint::<u32>()?, None);
    let fresh = perform(What::Checkpoint).by(register).await?;
    assert_eq!(fresh.checkpoint()?, Some(1));
    let again = perform(What::Checkpoint).checkpoint(&7)?;
    assert_eq!(again.by(register).await?.checkpoint()?, Some(8));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn children_are_listed_with_their_delays_and_are_not_run() -> Result<()> {
    let sent = perform(What::Send).by(register).await?;
    assert_eq!(sent.output(), &0);
    let numbers: Vec<_> = sent.scheduled().all::<Extra>();
    let numbers: Vec<_> = numbers.iter().map(|extra| extra.number).collect();
    assert_eq!(numbers, [1, 2]);
    let first = sent.assert_scheduled(|extra: &Extra| extra.number == 1);
    assert_eq!(first.delay(), None);
    assert_eq!(first.envelope().parent_id.as_ref(), Some(sent.id()));
    let later = sent.assert_scheduled(|extra: &Extra| extra.number == 2);
    assert_eq!(later.delay(), Some(Duration::from_secs(600)));
    sent.scheduled()
        .refute_scheduled(|extra: &Extra| extra.number == 3);
    let opened = perform(What::OpenSession).by(register).await?;
    assert_eq!(opened.scheduled().len(), 2);
    opened.assert_scheduled(|extra: &Extra| extra.number == 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn neither_a_child_nor_a_retry_runs_while_or_after_the_handler_does() -> Result<()> {
    let ran = Arc::new(AtomicU32::new(0));
    let count = |by| {
        let ran = Arc::clone(&ran);
        move || {
            ran.fetch_add(by, Ordering::Relaxed);
        }
    };
    let (parent, child) = (count(1), count(100));
    let register = |worker: WorkerBuilder| {
        let parent = move |_: Act, cx: Context| {
            parent();
            async move {
                cx.send(Extra { number: 1 }).await?;
                tokio::time::sleep(Duration::from_secs(60)).await;
                Err(TaskError::retry_after("again", Duration::ZERO))
            }
        };
        let child = move |_: Extra, _: Context| {
            let child = child.clone();
            async move {
                child();
                Ok(())
            }
        };
        worker.handle(parent).handle(child)
    };
    let performed = perform(What::Return).by(register).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(matches!(performed.outcome(), Outcome::Retry { .. }));
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
#[should_panic = "no stage.extra that fits was scheduled; what was:\n  stage.extra {\"number\":1}\n  \
                  stage.extra {\"number\":2} in 600s"]
async fn a_task_that_was_not_scheduled_is_missed_and_the_others_are_listed() {
    let sent = perform(What::Send).by(register).await.expect("performed");
    sent.assert_scheduled(|extra: &Extra| extra.number == 3);
}

#[tokio::test(start_paused = true)]
#[should_panic = "this should not have been scheduled: stage.extra {\"number\":1}"]
async fn a_task_that_should_not_have_been_scheduled_is_named() {
    let sent = perform(What::Send).by(register).await.expect("performed");
    sent.scheduled().refute_scheduled(|_: &Extra| true);
}

#[tokio::test(start_paused = true)]
#[should_panic = "stage.act did not return anything: it failed: exception: never"]
async fn an_output_that_is_not_there_says_what_became_of_the_task_instead() {
    let failed = perform(What::Fail).by(register).await.expect("performed");
    let _ = failed.output();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_by_tokens_or_is_acknowledged_early_is_performed_too() -> Result<()> {
    let scarce = |worker: WorkerBuilder| {
        worker.handle(|_: Scarce, _: Context| async { Ok::<_, TaskError>(()) })
    };
    let done = Perform::new(Scarce {}).by(scarce).await?;
    assert_eq!(done.output(), &());
    Ok(())
}

#[tokio::test]
async fn a_blocking_handler_is_performed_by_the_clock_on_the_wall() -> Result<()> {
    let block = |_: Act, cx: Context| {
        std::thread::sleep(Duration::from_millis(20));
        cx.progress(1, 1, "");
        Ok(7)
    };
    let done = perform(What::Return).by(|worker| worker.handle_blocking(block));
    let done = done.await?;
    assert_eq!(done.output(), &7);
    assert!(done.took() >= Duration::from_millis(20));
    assert!(done.progress().is_some());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_the_handler_is_refused_or_says_that_it_knows_no_such_task() -> Result<()>
{
    let other = Perform::new(Scarce {}).by(register).await?;
    assert_eq!(other.fault().kind, FaultKind::UnknownTask);
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Elsewhere;
    impl Task for Elsewhere {
        const NAME: &'static str = "elsewhere.act";
        type Output = ();
    }
    let refused = Perform::new(Elsewhere).by(register).await;
    let refused = refused.expect_err("nobody consumes it").to_string();
    assert_eq!(
        refused,
        "the worker has no handler for tasks of the service elsewhere"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_platform_keeps_what_was_scheduled_by_whomever_once_for_each_task() -> Result<()> {
    let platform = MemoryPlatform::new().await?;
    platform.producer().send(Extra { number: 1 }).await?;
    platform
        .assert_scheduled(|extra: &Extra| extra.number == 1)
        .await?;
    // Its first attempt is put off at the broker, which is no other task.
    let flaky = |_: Act, cx: Context| async move {
        match cx.attempt() {
            1 => Err(TaskError::retry("not now")),
            _ => {
                cx.send(Extra { number: 2 }).await?;
                Ok(cx.attempt())
            }
        }
    };
    let worker = platform.worker().handle(flaky);
    let worker = platform.start(worker).await?;
    let began = Instant::now();
    let act = Act { what: What::Return };
    let mut sent = platform.producer().send(act).await?;
    assert_eq!(sent.result(Duration::from_secs(600)).await?, 2);
    assert!(began.elapsed() >= Duration::from_secs(60));
    assert_eq!(worker.drain().await?, Exit::Drained);
    let scheduled = platform.scheduled().await?;
    let names: Vec<_> = scheduled.iter().map(|task| task.name().as_str()).collect();
    assert_eq!(names, ["stage.extra", "stage.act", "stage.extra"]);
    Ok(())
}
