//! Time limits, expiry, and tasks that come before their time.

use crate::control::{hold, nap, release};
use crate::tasks::{Act, act};
use crate::world::{World, in_time};
use chrono::{TimeDelta, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::transport::{Requeue, SubscribeOptions, Subscription};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

on_both_transports!(a_task_that_expired_is_revoked_without_running,);

async fn hang(_: Act, _: Context) -> Result<Value, TaskError> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_ended_at_the_limit_of_the_settings_and_retried() {
    let world = World::new().await;
    let settings = WorkerSettings {
        time_limit: Some(Duration::from_secs(7)),
        ..WorkerSettings::default()
    };
    let _worker = world.start_with(settings, |builder| builder.handle(hang));
    let began = Instant::now();
    let id = world.send(act("")).await;
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert!(
        (7..9).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
    let fault = retry.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::TimeLimit);
    assert_eq!(fault.message, "it was ended at its time limit of 7s");
    let failed = world.told_of(&id, TaskState::Failure).await;
    assert_eq!(failed.error.expect("a fault").kind, FaultKind::Exhausted);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_sender_goes_before_all_others() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(hang));
    let began = Instant::now();
    let options = SendOptions::new().time_limit(Duration::from_secs(2));
    let id = world.send_with(act(""), options).await;
    world.told_of(&id, TaskState::Retry).await;
    assert!(
        (2..4).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn no_task_runs_for_longer_than_the_broker_waits_whatever_its_sender_says() {
    let world = World::new().await;
    let settings = WorkerSettings {
        time_limit: None,
        ..WorkerSettings::default()
    };
    let _worker = world.start_with(settings, |builder| {
        let timeout = Duration::from_secs(100);
        builder.consumer_timeout(timeout).handle(hang)
    });
    let long = SendOptions::new().time_limit(Duration::from_secs(3600));
    for options in [long, SendOptions::new()] {
        let id = world.send_with(act(""), options).await;
        let retry = world.told_of(&id, TaskState::Retry).await;
        let fault = retry.error.expect("a fault");
        assert_eq!(fault.message, "it was ended at its time limit of 90s");
    }
}

#[tokio::test]
async fn a_blocking_handler_past_its_limit_is_asked_to_leave_and_its_late_result_is_ignored() {
    let world = World::new().await;
    let left = Arc::new(Notify::new());
    let leave = left.clone();
    let handler = move |_: Act, cx: Context| {
        if cx.attempt() > 1 {
            // The first attempt still tells its progress meanwhile.
            std::thread::sleep(Duration::from_millis(30));
            return Ok(json!("in time"));
        }
        while !cx.cancelled().is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..20 {
            cx.progress(99, None, "late");
            std::thread::sleep(Duration::from_millis(10));
        }
        leave.notify_one();
        Ok(json!("late"))
    };
    let _worker = world.start(|builder| builder.handle_blocking(handler));
    // Long enough for the second attempt on a busy machine.
    let options = SendOptions::new().time_limit(Duration::from_secs(3));
    let id = world.send_with(act(""), options).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), r#""in time""#);
    in_time("leaving", left.notified()).await;
    let progress = world.all_told_of(&id, TaskState::Progress);
    assert!(progress.iter().all(|event| event.lineage.retries() == 0));
}

// A clock that is paused does not see what blocks.
#[tokio::test]
async fn an_async_handler_that_blocks_past_its_limit_succeeds_and_that_is_told() {
    is_told_of_an_overrun(World::new().await).await;
}

#[tokio::test]
async fn an_async_handler_that_blocks_past_its_limit_succeeds_and_that_is_told_on_rabbitmq()
-> anyhow::Result<()> {
    let (vhost, world) = crate::on_rabbitmq::rabbitmq().await?;
    is_told_of_an_overrun(world).await;
    vhost.close().await
}

async fn is_told_of_an_overrun(world: World) {
    let handler = async |task: Act, _: Context| {
        if task.what == "blocks" {
            std::thread::sleep(Duration::from_millis(600));
        }
        Ok(json!("done"))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let told = async |what| {
        let options = SendOptions::new().time_limit(Duration::from_millis(200));
        let id = world.send_with(act(what), options).await;
        world.told_of(&id, TaskState::Success).await;
        world.logged_by(&id)
    };
    assert_eq!(told("in time").await, [""; 0]);
    let lines = told("blocks").await;
    let [line] = &lines[..] else {
        panic!("one line: {lines:?}");
    };
    assert!(line.contains("past its time limit of 200ms"), "{line}");
    assert!(line.contains("ms after its start"), "{line}");
    assert!(
        line.contains("let cx.spawn_blocking do what blocks"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_with_its_time_limit_is_not_told_to_have_blocked_its_thread() {
    const LIMIT: Duration = Duration::from_micros(200_100);
    let world = World::new().await;
    // Timers count in milliseconds: both are over at once.
    let handler = async |_: Act, _: Context| {
        tokio::time::sleep(LIMIT + Duration::from_micros(300)).await;
        Ok(json!("done"))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let options = SendOptions::new().time_limit(LIMIT);
    let id = world.send_with(act(""), options).await;
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.logged_by(&id), [""; 0]);
}

async fn a_task_that_expired_is_revoked_without_running(world: World) {
    let handler = async |_: Act, _: Context| -> Result<Value, TaskError> { panic!("it ran") };
    let worker = world.start(|builder| builder.handle(handler));
    let options = SendOptions::new().expires(Utc::now() - TimeDelta::seconds(1));
    let id = world.send_with(act(""), options).await;
    let revoked = world.told_of(&id, TaskState::Revoked).await;
    assert_eq!(revoked.error.expect("a fault").kind, FaultKind::Expired);
    assert_eq!(world.states_of(&id), ["REVOKED"]);
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(world.waiting_in("demo.dead").await, 0);
}

// By the wall clock, which does not stand still for tests.
#[tokio::test]
async fn a_task_that_expires_while_it_waits_for_a_place_is_revoked_without_running()
-> anyhow::Result<()> {
    let (vhost, world) = crate::on_rabbitmq::rabbitmq().await?;
    let worker = world.start_with(World::one_at_a_time(), |builder| builder.handle(nap));
    world.warm_up().await;
    let running = world.send(act("4")).await;
    world.told_of(&running, TaskState::Started).await;
    let options = SendOptions::new().expires(Utc::now() + TimeDelta::seconds(2));
    let id = world.send_with(act("0"), options).await;
    let revoked = world.told_of(&id, TaskState::Revoked).await;
    assert_eq!(revoked.error.expect("a fault").kind, FaultKind::Expired);
    assert!(!world.states_of(&id).contains(&"STARTED"));
    assert!(world.is_empty_after(worker, "demo").await);
    vhost.close().await
}

#[tokio::test(start_paused = true)]
async fn a_task_that_comes_before_its_time_waits_at_the_broker() {
    let world = World::new().await;
    let worker = world.start(|builder| {
        builder.handle(async |_: Act, cx: Context| Ok(json!(cx.lineage().to_string())))
    });
    let mut message = world.message("demo.act", "e1", "[[], {}, {}]");
    let eta = Utc::now() + TimeDelta::seconds(60);
    message.headers.push("eta", eta.to_rfc3339());
    let began = Instant::now();
    world.publish(&world.names.tasks, "demo.act", message).await;
    let id = "e1".parse().expect("valid");
    let done = world.told_of(&id, TaskState::Success).await;
    // By a wall clock, less what has passed of it.
    assert!(
        (40..64).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
    // Waiting is no attempt.
    assert_eq!(done.result.expect("an output").get(), r#""0.0.0""#);
    assert_eq!(world.states_of(&id), ["SUCCESS"]);
    assert!(world.is_empty_after(worker, "demo").await);
}

/// Its sender has no delay levels, and what is held goes round through them: that is no waiting for its time.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_held_and_released_before_its_time_still_waits_for_it() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(async |_: Act, _: Context| Ok(Value::Null)));
    let id = "e1".parse().expect("valid");
    world.ask([hold(&id)]).await;
    world.warm_up().await;
    let mut message = world.message("demo.act", "e1", "[[], {}, {}]");
    let eta = Utc::now() + TimeDelta::seconds(60);
    message.headers.push("eta", eta.to_rfc3339());
    let began = Instant::now();
    world.publish(&world.names.tasks, "demo.act", message).await;
    // By the paused clock: long enough for the worker to have met and put it off.
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.ask([release(&id)]).await;
    world.told_of(&id, TaskState::Success).await;
    assert!(began.elapsed().as_secs() >= 40, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waited_at_the_broker_runs_even_when_somebody_else_gave_it_back() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(async |_: Act, _: Context| Ok(Value::Null)));
    world.warm_up().await;
    let ids = ["e1", "e2", "e3", "e4"];
    for id in ids {
        let mut message = world.message("demo.act", id, "[[], {}, {}]");
        let eta = Utc::now() + TimeDelta::seconds(60);
        message.headers.push("eta", eta.to_rfc3339());
        world.publish(&world.names.tasks, "demo.act", message).await;
    }
    // Takes turns with the worker, and returns whatever it gets.
    let queue = "demo".parse().expect("valid");
    let mut rival = Subscription::open(world.transport(), SubscribeOptions::new(queue, 1));
    let giving_back = async {
        while let Some(delivery) = rival.next().await {
            let _ = delivery.nack(Requeue::Yes);
        }
    };
    let all_done = async {
        for id in ids {
            let id = id.parse().expect("valid");
            world.told_of(&id, TaskState::Success).await;
        }
    };
    tokio::select! {
        () = giving_back => unreachable!("the rival consumes until the test ends"),
        () = all_done => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_waited_at_the_broker_runs_whatever_the_clock_of_its_sender_says() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(async |_: Act, _: Context| Ok(Value::Null)));
    // The sender's clock is a day ahead, so its eta is too, but it asked for ten seconds.
    let began = Instant::now();
    let id = world
        .send_with(
            act(""),
            SendOptions::new().countdown(Duration::from_secs(10)),
        )
        .await;
    world.told_of(&id, TaskState::Success).await;
    assert!(
        (10..13).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_task_of_celerys_that_waited_for_whole_seconds_does_not_run_before_its_time() {
    let world = World::new().await;
    let handler = async |_: Act, _: Context| Ok(json!(Utc::now().timestamp_micros()));
    let _worker = world.start(|builder| builder.handle(handler));
    let eta = Utc::now() + TimeDelta::milliseconds(700);
    let mut content = world.message("demo.act", "t1", "[[], {}, {}]");
    content.headers.push("eta", eta.to_rfc3339());
    // As Celery has the levels hold it for no second: 28 bits.
    let key = format!("{}demo.act", "0.".repeat(28));
    world.publish(&world.names.tasks, &key, content).await;
    let id = "t1".parse().expect("valid");
    let done = world.told_of(&id, TaskState::Success).await;
    let began: i64 = serde_json::from_str(done.result.expect("a time").get()).expect("a number");
    assert!(began >= eta.timestamp_micros(), "{began} {eta}");
}
