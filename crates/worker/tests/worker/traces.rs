//! Traces go where tasks go: W3C Trace Context in the headers of messages.

use crate::tasks::{Act, act};
use crate::world::World;
use counterfoil_toolbox::message::{Content, HeaderValue};
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::session::Session;
use counterfoil_toolbox::telemetry::TraceContext;
use counterfoil_toolbox::telemetry::trace::{TRACEPARENT, TRACESTATE};
use counterfoil_toolbox::{TaskId, TaskState};
use counterfoil_worker::{Context, TaskError};
use serde_json::json;
use std::time::Duration;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "vendor=1,other=2";

fn in_a_trace() -> SendOptions {
    let trace = TraceContext::new(PARENT, Some(STATE)).expect("a trace");
    SendOptions::new().trace(trace)
}

/// What a message says of its trace.
fn trace_of(content: &Content) -> (Option<&str>, Option<&str>) {
    let headers = &content.headers;
    (headers.text(TRACEPARENT), headers.text(TRACESTATE))
}

/// Fails once, to come again through the broker, and sends a child then.
async fn parent(task: Act, cx: Context) -> Result<serde_json::Value, TaskError> {
    match (task.what.as_str(), cx.attempt()) {
        ("parent", 1) => Err(TaskError::retry_after("later", Duration::from_secs(2))),
        ("parent", _) => Ok(json!(cx.send(act("child")).await?.to_string())),
        _ => Ok(json!(
            cx.trace().map(|trace| trace.traceparent().to_owned())
        )),
    }
}

#[tokio::test(start_paused = true)]
async fn retries_and_children_stay_in_the_trace_that_a_task_came_with() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(parent));
    let id = world.send_with(act("parent"), in_a_trace()).await;
    let child = world.told_of(&id, TaskState::Success).await.result;
    let child: String = serde_json::from_str(child.expect("an id").get()).expect("text");
    let child: TaskId = child.parse().expect("an id");
    let told = world.told_of(&child, TaskState::Success).await.result;
    assert_eq!(told.expect("a trace").get(), json!(PARENT).to_string());
    // As it was sent, as it was sent again, and its child.
    for retries in [0, 1, 0] {
        let copy = world.take_from("platform.fifo").await;
        assert_eq!(trace_of(&copy), (Some(PARENT), Some(STATE)), "{copy:?}");
        assert_eq!(copy.headers.int("retries"), Some(retries));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_task_opens_and_its_finalizer_are_part_of_its_trace() {
    let world = World::new().await;
    let handler = async |task: Act, cx: Context| {
        if task.what == "opener" {
            let session = Session::new("trace", act("end"))?.subtask(act("part"))?;
            cx.start_session(session).await?;
        }
        Ok(json!(null))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send_with(act("opener"), in_a_trace()).await;
    world.told_of(&id, TaskState::Success).await;
    let opening = world.openings().remove(0);
    let (_, finalizer) = opening.finalizer.message("{}");
    assert_eq!(trace_of(&finalizer), (Some(PARENT), Some(STATE)));
    for _ in ["the opener", "its subtask"] {
        let copy = world.take_from("platform.fifo").await;
        assert_eq!(trace_of(&copy), (Some(PARENT), Some(STATE)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_trace_harms_nobody_and_is_not_passed_on() {
    let world = World::new().await;
    let handler = async |task: Act, cx: Context| {
        if task.what == "parent" {
            cx.send(act("child")).await?;
        }
        Ok(json!(null))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let odd = [
        HeaderValue::from("none of our business"),
        HeaderValue::from(PARENT.to_uppercase()),
        HeaderValue::from("x".repeat(70_000)),
        HeaderValue::Int(7),
        HeaderValue::Bytes(vec![0xff].into()),
        HeaderValue::List(vec![PARENT.into()]),
    ];
    for (n, value) in odd.into_iter().enumerate() {
        let mut content = Content::json(r#"[["parent"], {}, {}]"#);
        let id = format!("odd-{n}");
        content.headers.push("task", "demo.act");
        content.headers.push("id", id.as_str());
        content.headers.push(TRACEPARENT, value);
        content.headers.push(TRACESTATE, STATE);
        world.publish(&world.names.tasks, "demo.act", content).await;
        let id = id.parse().expect("an id");
        world.told_of(&id, TaskState::Success).await;
        let own = world.take_from("platform.fifo").await;
        assert_eq!(own.headers.text("id"), Some(&*format!("odd-{n}")));
        let child = world.take_from("platform.fifo").await;
        assert_eq!(trace_of(&child), (None, None), "{n}");
    }
}
