//! What users put around their handlers.

use crate::running::add;
use crate::tasks::{Act, Add, act};
use crate::world::World;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::{Task, TaskState};
use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

on_both_transports!(
    layers_see_every_execution_from_outside_in_and_what_came_of_it,
    a_layer_may_answer_itself_and_what_no_handler_returned_passes_through,
);

type Seen = Arc<Mutex<Vec<String>>>;

async fn noted(seen: Seen, who: &'static str, call: Call, next: Next) -> Answer {
    let note = |text: String| seen.lock().expect("nothing panics").push(text);
    note(format!(
        "{who} {} #{}",
        call.cx().task_name(),
        call.cx().attempt()
    ));
    let answer = next.run(call).await;
    match &answer {
        Ok(output) => note(format!("{who} {}", output.json())),
        Err(error) => note(format!("{who} {error}")),
    }
    answer
}

async fn layers_see_every_execution_from_outside_in_and_what_came_of_it(world: World) {
    let seen = Seen::default();
    let layer = |who: &'static str| {
        let seen = seen.clone();
        from_fn(move |call, next| noted(seen.clone(), who, call, next))
    };
    let handler = async |_: Act, cx: Context| match cx.attempt() {
        1 => Err(TaskError::retry("not yet")),
        n => Ok(json!(n)),
    };
    let _worker = world.start(|builder| {
        let builder = builder.layer(layer("inner")).layer(layer("outer"));
        builder.handle(handler)
    });
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    let expected = [
        "outer demo.act #1",
        "inner demo.act #1",
        "inner not yet",
        "outer not yet",
        "outer demo.act #2",
        "inner demo.act #2",
        "inner 2",
        "outer 2",
    ];
    assert_eq!(*seen.lock().expect("nothing panics"), expected);
}

async fn a_layer_may_answer_itself_and_what_no_handler_returned_passes_through(world: World) {
    let guarded = from_fn(async |call: Call, next: Next| match call.cx().creator() {
        None if call.cx().task_name().as_str() == Add::NAME => Err(TaskError::fail("who are you?")),
        Some(_) | None => next.run(call).await,
    });
    let panics = |_: Act, _: Context| -> Result<Value, TaskError> { panic!("on its thread") };
    let builder = |builder: counterfoil_worker::WorkerBuilder| builder.layer(guarded);
    let _worker = world.start(|b| builder(b).handle_blocking(panics).handle(add));
    let refused = world.send(Add { x: 1, y: 2 }).await;
    let refused = world.told_of(&refused, TaskState::Failure).await;
    assert_eq!(refused.error.expect("a fault").message, "who are you?");
    let id = world.send(act("")).await;
    let retry = world.told_of(&id, TaskState::Retry).await;
    let fault = retry.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::Panic);
    assert!(fault.message.contains("layers.rs"), "{}", fault.message);
}

/// Needs the feature: `cargo nextest run -p counterfoil-worker --features sentry`.
#[cfg(feature = "sentry")]
#[test]
fn sentry_is_told_of_executions_that_fail_and_of_no_others() {
    use counterfoil_worker::layer::SentryLayer;
    use sentry_core::test::with_captured_events;

    let events = with_captured_events(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let world = World::new().await;
            let handler = async |task: Act, cx: Context| match (&*task.what, cx.attempt()) {
                ("panic", 1) => panic!("boom"),
                ("fail", _) => Err(TaskError::fail("no such page")),
                ("throttled", 1) => {
                    let soon = std::time::Duration::from_millis(1);
                    Err(TaskError::retry_uncounted("too fast", soon))
                }
                _ => Ok(Value::Null),
            };
            let _worker = world.start(|builder| builder.layer(SentryLayer).handle(handler));
            for (what, state) in [
                ("panic", TaskState::Success),
                ("throttled", TaskState::Success),
                ("fail", TaskState::Failure),
                ("", TaskState::Success),
            ] {
                let id = world.send(act(what)).await;
                world.told_of(&id, state).await;
            }
        });
    });
    let told = events.iter().map(|event| event.message.as_deref());
    assert_eq!(
        told.collect::<Vec<_>>(),
        [Some("panicked: boom"), Some("no such page")]
    );
    for event in &events {
        assert_eq!(event.tags["task_name"], "demo.act");
        assert_eq!(event.tags["attempt"], "0.0.0");
    }
}
