//! Sessions that tasks open, and open again when they are executed again.

use crate::control::id;
use crate::tasks::{Act, act};
use crate::world::World;
use chrono::Utc;
use counterfoil_toolbox::control::{Instruction, Order, write};
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::names::{QueueName, TaskName};
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::session::{Inquiry, Session, SessionStatus, StartedSession};
use counterfoil_toolbox::transport::{Requeue, SubscribeOptions, Subscription};
use counterfoil_toolbox::{TaskId, TaskState};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

fn raw(name: &str, kwargs: &Value) -> RawTask {
    RawTask {
        name: TaskName::new(name).expect("valid"),
        args: "[]".to_owned(),
        kwargs: kwargs.to_string(),
    }
}

/// A session of one subtask, which no worker here takes.
fn session(page: u32) -> Session {
    Session::raw("harvest", raw("demo.end", &json!({})), true).subtask_raw(
        raw("export.page", &json!({ "page": page })),
        SendOptions::new(),
    )
}

async fn open(cx: &Context, page: u32) -> Result<StartedSession, TaskError> {
    Ok(cx.start_session(session(page)).await?)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_opened_again_is_the_same_one_whichever_others_are_skipped() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        if cx.last_checkpoint::<bool>()?.is_none() {
            open(&cx, 1).await?;
            cx.checkpoint(&true)?;
            open(&cx, 2).await?;
            return Err(TaskError::retry("once more"));
        }
        open(&cx, 2).await?;
        Ok(json!(null))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    world.told_of(&opener, TaskState::Success).await;
    let openings = world.openings();
    let ids: Vec<_> = openings.iter().map(|it| &it.id).collect();
    assert!(
        ids.len() == 3 && ids[0] != ids[1] && ids[1] == ids[2],
        "{ids:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_session_of_equal_content_is_refused_with_what_to_do_and_keys_tell_them_apart() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        let both = tokio::join!(open(&cx, 1), cx.start_session(session(1)));
        both.0?;
        let refused = both.1.expect_err("equal content").to_string();
        assert!(
            refused.contains("\"harvest\"") && refused.contains("Session::key"),
            "{refused}"
        );
        for key in ["a", "b"] {
            cx.start_session(session(1).key(key)).await?;
        }
        Ok(json!(null))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    world.told_of(&opener, TaskState::Success).await;
    let mut ids = world.opened();
    assert_eq!(ids.len(), 3);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_with_a_key_is_opened_though_one_of_equal_content_that_has_ended_is_skipped() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        if cx.last_checkpoint::<bool>()?.is_none() {
            cx.start_session(session(1).key("a")).await?;
            cx.checkpoint(&true)?;
            return Err(TaskError::retry("lost before the second"));
        }
        let second = cx.start_session(session(1).key("b")).await?;
        Ok(json!(second.status))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    let inquiry = world.inquiry(0).await;
    let first = world.opened().remove(0);
    let ended = (inquiry.session_id == first).then_some(SessionStatus::Success);
    world.answer(&inquiry, ended, 1).await;
    assert_eq!(world.result_of(&opener).await, json!("ONGOING"));
    assert_eq!(world.waiting_in("export").await, 2);
}

/// A handler that opens a session, and is executed twice.
async fn opens_twice(_: Act, cx: Context) -> Result<Value, TaskError> {
    let started = open(&cx, 1).await?;
    if cx.attempt() == 1 {
        return Err(TaskError::retry("once more"));
    }
    Ok(json!([started.id, started.status]))
}

impl World {
    /// Answers a question as the platform does.
    async fn answer(&self, inquiry: &Inquiry, status: Option<SessionStatus>, sent: i64) {
        let now = Utc::now();
        let session_id = inquiry.session_id.clone();
        let order = Order::SessionIs {
            session_id,
            status,
            sent,
        };
        let instruction = Instruction {
            id: inquiry.id,
            at: now,
            sent_at: now,
            by: None,
            order,
        };
        self.write_control(write(&[instruction])).await;
    }

    /// What the opener came to.
    async fn result_of(&self, opener: &TaskId) -> Value {
        let event = self.told_of(opener, TaskState::Success).await;
        serde_json::from_str(event.result.expect("a result").get()).expect("JSON")
    }

    fn opened(&self) -> Vec<SessionId> {
        self.openings().into_iter().map(|it| it.id).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_session_that_has_ended_is_sent_again() {
    for status in [SessionStatus::CompletedWithErrors, SessionStatus::TimedOut] {
        let world = World::new().await;
        let _worker = world.start(|builder| builder.handle(opens_twice));
        let opener = world.send(act("")).await;
        let inquiry = world.inquiry(0).await;
        world.answer(&inquiry, Some(status), 1).await;
        let told = world.result_of(&opener).await;
        assert_eq!(told, json!([inquiry.session_id, status]));
        assert_eq!(world.opened(), [inquiry.session_id]);
        assert_eq!(world.waiting_in("export").await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_which_nothing_was_sent_in_time_is_replaced_by_another() {
    let world = World::new().await;
    let opener = id("opener");
    let dead = session(1).opened_by(&opener, 0, 0).id().clone();
    let session_id = dead.clone();
    world.ask([Order::TimeOutSession { session_id }]).await;
    let _worker = world.start(|builder| builder.handle(opens_twice));
    let options = SendOptions::new().id(opener.clone());
    world.send_with(act(""), options).await;
    // Its time was over before the first execution: that is no reason to end whoever opens it.
    let inquiry = world.inquiry(0).await;
    assert_eq!(inquiry.session_id, dead);
    world
        .answer(&inquiry, Some(SessionStatus::TimedOut), 0)
        .await;
    let inquiry = world.inquiry(1).await;
    assert_ne!(inquiry.session_id, dead);
    world.answer(&inquiry, None, 0).await;
    let told = world.result_of(&opener).await;
    assert_eq!(told, json!([inquiry.session_id, SessionStatus::Ongoing]));
    assert_eq!(world.opened(), [inquiry.session_id]);
    assert_eq!(world.states_of(&opener).last(), Some(&"SUCCESS"));
}

#[tokio::test(start_paused = true)]
async fn a_session_with_an_id_of_its_senders_choice_is_not_replaced_but_told_as_timed_out() {
    let handler = async |task: Act, cx: Context| {
        if cx.attempt() == 1 {
            return Err(TaskError::retry("before it opened anything"));
        }
        let own = SendOptions::new().id(id("mine"));
        let session = match task.what.as_str() {
            "subtask" => session(1).subtask_raw(raw("export.page", &json!({})), own),
            _ => session(1).finalizer_options(own),
        };
        Ok(json!(cx.start_session(session).await?.status))
    };
    for of_sender in ["subtask", "finalizer"] {
        let world = World::new().await;
        let _worker = world.start(|builder| builder.handle(handler));
        let opener = world.send(act(of_sender)).await;
        let inquiry = world.inquiry(0).await;
        world
            .answer(&inquiry, Some(SessionStatus::TimedOut), 0)
            .await;
        assert_eq!(world.result_of(&opener).await, json!("TIMED_OUT"));
        assert!(world.openings().is_empty(), "{:?}", world.openings());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_aborted_ends_a_repeated_opener_also_where_that_is_only_an_answer() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(opens_twice));
    let opener = world.send(act("")).await;
    let inquiry = world.inquiry(0).await;
    world
        .answer(&inquiry, Some(SessionStatus::Aborted), 1)
        .await;
    let told = world.told_of(&opener, TaskState::Revoked).await;
    assert_eq!(told.error.expect("a reason").kind, FaultKind::Aborted);
    assert_eq!(world.opened().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_a_repeated_opener_sends_all_of_it_again() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(opens_twice));
    let opener = world.send(act("")).await;
    let told = world.result_of(&opener).await;
    assert_eq!(told[1], json!(SessionStatus::Ongoing));
    assert_eq!(world.opened().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_a_repeated_opener_asks_once_and_keeps_most_of_its_time() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        if cx.attempt() == 1 {
            return Err(TaskError::retry("once more"));
        }
        let began = Instant::now();
        for page in 0..3 {
            open(&cx, page).await?;
        }
        Ok(json!(began.elapsed().as_secs()))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let options = SendOptions::new().time_limit(Duration::from_secs(40));
    let opener = world.send_with(act(""), options).await;
    assert_eq!(world.result_of(&opener).await, json!(10));
    assert_eq!((world.inquiries(), world.opened().len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_goes_on_after_an_abort_that_is_only_an_answer_is_asked_to_end() {
    static ASKED: Notify = Notify::const_new();
    static BUSY: Notify = Notify::const_new();
    static ANSWERED: Notify = Notify::const_new();
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        if cx.attempt() == 1 {
            return Err(TaskError::retry("once more"));
        }
        let mut opening = pin!(cx.start_session(session(1)));
        tokio::select! {
            _ = &mut opening => panic!("it was not answered"),
            () = ASKED.notified() => BUSY.notify_one(),
        }
        // It does something else while the answer comes.
        ANSWERED.notified().await;
        let aborted = opening.await.expect_err("it was aborted").to_string();
        cx.cancelled().cancelled().await;
        Ok(json!([aborted, format!("{:?}", cx.why_cancelled())]))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    let inquiry = world.inquiry(0).await;
    ASKED.notify_one();
    BUSY.notified().await;
    world
        .answer(&inquiry, Some(SessionStatus::Aborted), 1)
        .await;
    // By the paused clock: until nobody has anything to do, so until the worker has read it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ANSWERED.notify_one();
    let told = world.result_of(&opener).await;
    assert_eq!(told[1], json!("Some(Revoked)"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_queue_without_a_count_delivers_again_asks_before_it_opens() {
    let world = World::with_classic_queues().await;
    let opener = world.send(act("")).await;
    // Somebody had it, and is gone.
    let queue = QueueName::new("demo").expect("valid");
    let options = SubscribeOptions::new(queue, 1);
    let mut lost = Subscription::open(world.transport(), options);
    let delivery = lost.next().await.expect("the transport lives");
    let _ = delivery.nack(Requeue::Yes);
    lost.close().await;
    let handler = async |_: Act, cx: Context| Ok(json!(open(&cx, 1).await?.status));
    let _worker = world.start(|builder| builder.handle(handler));
    let inquiry = world.inquiry(0).await;
    world
        .answer(&inquiry, Some(SessionStatus::Success), 1)
        .await;
    assert_eq!(world.result_of(&opener).await, json!("SUCCESS"));
    assert!(world.openings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_opener_whose_broker_goes_away_under_way_is_retried_and_sends_all_of_it() {
    let world = World::new().await;
    let faults = world.broker.faults();
    let handler = move |_: Act, cx: Context| {
        let faults = faults.clone();
        async move {
            match cx.attempt() {
                1 => faults.lose_confirms_of("export.other"),
                _ => faults.clear(),
            }
            let other = raw("export.other", &json!({}));
            let session = session(1).subtask_raw(other, SendOptions::new());
            let started = cx.start_session(session).await.inspect_err(|error| {
                let told = error.to_string();
                assert!(told.contains("1 of its 2 subtasks"), "{told}");
            })?;
            Ok(json!([started.id, cx.attempt()]))
        }
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    let result = world.result_of(&opener).await;
    assert_eq!(result[1], json!(2));
    let opened = world.opened();
    assert!(opened.len() == 2 && opened[0] == opened[1], "{opened:?}");
}
