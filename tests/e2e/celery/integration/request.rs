//! The tasks of Celery's integration tests that look at the message they came by, or give it back.

use super::call::{Call, raised};
use super::tasks::{Returned, once, tasks};
use counterfoil_celery::Request;
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn join(worker: WorkerBuilder) -> WorkerBuilder {
    tasks!(worker, once() =>
        "return_priority" return_priority, "return_request_eta" return_request_eta,
        "return_properties" properties, "return_request_time_limits" time_limits,
        "task_with_declared_time_limits" time_limits, "soft_time_limit_must_exceed_time_limit" nothing,
        "reject_then_succeed" reject_then_succeed, "reject_without_requeue" reject_without_requeue,
        "store_success_then_reject" store_success_then_reject,
        "add_to_all_to_chord" add_to_all_to_chord, "add_chord_to_chord" add_chord_to_chord,
    )
}

async fn return_priority(_: Call, cx: Context) -> Returned {
    let priority = cx.message().envelope.priority;
    Ok(json!(format!(
        "Priority: {}",
        priority.map_or("None".to_owned(), |it| it.to_string())
    )))
}

async fn return_request_eta(_: Call, cx: Context) -> Returned {
    Ok(json!(cx.message().headers.text("eta")))
}

async fn reject_then_succeed(_: Call, cx: Context) -> Returned {
    match cx.lineage().executions {
        0 => Err(TaskError::retry_uncounted("rejected", Duration::ZERO)),
        _ => Ok(json!("second-pass")),
    }
}

async fn reject_without_requeue(_: Call, _: Context) -> Returned {
    Err(TaskError::reject("rejected"))
}

/// But for `application_headers`, which the task has beside them.
async fn properties(_: Call, cx: Context) -> Returned {
    let properties = cx.properties().unwrap_or_default();
    let all = json!({
        "app_id": properties.app_id,
        "content_encoding": properties.content_encoding,
        "content_type": properties.content_type,
        "correlation_id": properties.correlation_id,
        "delivery_mode": if properties.persistent { 2 } else { 1 },
        "expiration": properties.expiration,
        "message_id": properties.message_id,
        "priority": properties.priority,
        "reply_to": properties.reply_to,
        "timestamp": properties.timestamp,
        "type": properties.kind,
        "user_id": properties.user_id,
    });
    // Python has only those that are there.
    let there = all.as_object().into_iter().flatten();
    let there = there.filter(|(_, value)| !value.is_null());
    Ok(there
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// Seconds, without a fraction where there is none.
fn number(limit: std::time::Duration) -> Value {
    match limit.subsec_nanos() {
        0 => json!(limit.as_secs()),
        _ => json!(limit.as_secs_f64()),
    }
}

async fn time_limits(_: Call, cx: Context) -> Returned {
    let limits = cx.message().envelope.time_limits;
    let [hard, soft] = [limits.hard, limits.soft].map(|limit| limit.map(number));
    Ok(json!({"time_limit": hard, "soft_time_limit": soft}))
}

/// Runs where its caller does not check its limits, as Celery's callers do.
async fn nothing(call: Call, _: Context) -> Returned {
    let [] = call.named([], 0)?;
    Ok(Value::Null)
}

/// Celery stores the first result meanwhile, and finds it again only with `worker_deduplicate_successful_tasks`, which
/// is off by default. A worker of ours tells one end of a task, its last.
async fn store_success_then_reject(_: Call, cx: Context) -> Returned {
    match cx.lineage().executions {
        0 => Err(TaskError::retry_uncounted("rejected", Duration::ZERO)),
        _ => Ok(json!("dedup-pass")),
    }
}

/// What Celery raises, whose chords grow only in Redis.
fn add_to_chord(cx: &Context) -> Result<(), TaskError> {
    let (name, told) = match Request::of(cx)?.chord {
        None => ("ValueError", "Current task is not member of any chord"),
        Some(_) => (
            "NotImplementedError",
            "Backend does not support add_to_chord",
        ),
    };
    Err(raised("builtins", name, [json!(told)]))
}

async fn add_to_all_to_chord(call: Call, cx: Context) -> Returned {
    let [numbers, _] = call.named(["nums", "val"], 2)?;
    let mut numbers = numbers.as_array().into_iter().flatten();
    numbers.try_for_each(|_| add_to_chord(&cx))?;
    Ok(json!(0))
}

async fn add_chord_to_chord(call: Call, cx: Context) -> Returned {
    let [_, _] = call.named(["nums", "val"], 2)?;
    add_to_chord(&cx)?;
    Ok(json!(0))
}
