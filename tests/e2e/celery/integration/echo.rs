//! Tasks by which tests learn what ran: they write to a Redis at its usual port, where there is one.

use super::call::{Call, sum};
use super::tasks::{Returned, once, tasks};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REDIS: &str = "127.0.0.1:6379";

pub(super) fn join(worker: WorkerBuilder) -> WorkerBuilder {
    tasks!(worker, once() =>
        "sum_and_record" sum_and_record, "redis_echo" echo, "redis_echo_group_id" echo_group_id, "redis_count" count,
        "errback_old_style" errback, "errback_new_style" errback,
        "errback_old_style_with_args" errback_with_args, "errback_new_style_with_args" errback_with_args,
    )
}

/// Appends to a list.
pub(super) async fn push(key: &str, value: &str) -> Result<(), TaskError> {
    command(&["RPUSH", key, value]).await
}

async fn command(words: &[&str]) -> Result<(), TaskError> {
    let mut redis = TcpStream::connect(REDIS).await.map_err(TaskError::fail)?;
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    redis
        .write_all(text.as_bytes())
        .await
        .map_err(TaskError::fail)?;
    let mut answer = [0; 1];
    redis
        .read_exact(&mut answer)
        .await
        .map_err(TaskError::fail)?;
    match answer {
        [b':'] => Ok(()),
        _ => Err(TaskError::fail(format!("Redis refuses {words:?}"))),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

async fn echo(call: Call, _: Context) -> Returned {
    let [message, key] = call.named(["message", "redis_key"], 1)?;
    push(key.as_str().unwrap_or("redis-echo"), &text(&message)).await?;
    Ok(Value::Null)
}

async fn sum_and_record(call: Call, cx: Context) -> Returned {
    let [numbers, key] = call.named(["values", "redis_key"], 2)?;
    let sum = sum(&numbers)?;
    push(&text(&key), cx.task_id().as_str()).await?;
    Ok(sum)
}

async fn echo_group_id(call: Call, cx: Context) -> Returned {
    let [_, key] = call.named(["_", "redis_key"], 1)?;
    let group = cx
        .message()
        .envelope
        .extra
        .text("group")
        .unwrap_or_default()
        .to_owned();
    push(key.as_str().unwrap_or("redis-group-ids"), &group).await?;
    Ok(Value::Null)
}

async fn count(call: Call, _: Context) -> Returned {
    let [key] = call.named(["redis_key"], 0)?;
    command(&["INCR", key.as_str().unwrap_or("redis-count")]).await?;
    Ok(Value::Null)
}

async fn errback(call: Call, _: Context) -> Returned {
    let [id] = call.named(["request_id"], 1)?;
    command(&["INCR", &text(&id)]).await?;
    Ok(id)
}

async fn errback_with_args(call: Call, _: Context) -> Returned {
    let [id, label] = call.named(["request_id", "label"], 2)?;
    push(&text(&id), &text(&label)).await?;
    Ok(Value::Null)
}
