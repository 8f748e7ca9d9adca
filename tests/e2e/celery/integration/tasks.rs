//! The tasks of Celery's integration tests that call no others (`t/integration/tasks.py` of its sources).

use super::call::{Call, exception, is_true, plus, raised, sum, type_error};
use counterfoil_toolbox::TaskOptions;
use counterfoil_toolbox::event::Exception;
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

/// Where their exceptions are.
const MODULE: &str = "t.integration.tasks";

pub(super) type Returned = Result<Value, TaskError>;

/// Adds handlers of these tasks, by their names.
macro_rules! tasks {
    ($worker:expr, $options:expr => $($name:literal $handler:path,)+) => {
        $worker$(.handle_raw_beside(
            concat!("t.integration.tasks.", $name),
            $options,
            |payload, cx| async move {
                $handler($crate::celery::integration::call::Call::of($name, &payload)?, cx).await
            },
        ))+
    };
}
pub(super) use tasks;

pub(super) fn once() -> TaskOptions {
    TaskOptions {
        max_retries: 0,
        ..TaskOptions::default()
    }
}

pub(super) fn join(worker: WorkerBuilder) -> WorkerBuilder {
    let retried = || TaskOptions {
        max_retries: 1,
        ..TaskOptions::default()
    };
    let thrice = || TaskOptions::default();
    let ignored = || TaskOptions {
        ignore_result: true,
        ..retried()
    };
    let worker = tasks!(worker, once() =>
        "identity" identity, "add" add, "add_not_typed" add_two, "add_with_result" add_two, "mul" mul,
        "write_to_file_and_return_int" write_to_file, "raise_error" raise_error, "delayed_sum" delayed_sum,
        "delayed_sum_with_soft_guard" delayed_sum, "tsum" tsum, "xsum" xsum, "print_unicode" print_unicode,
        "return_exception" return_exception, "sleeping" sleeping, "ids" ids, "collect_ids" collect_ids,
        "fail" fail, "fail_unpickleable" fail_unpickleable, "replaced_with_me" replaced_with_me,
        "add_pydantic" add_pydantic, "add_pydantic_string_annotations" add_pydantic,
    );
    let worker = tasks!(worker, ignored() =>
        "add_ignore_result" add_two, "retry_once_ignore_result" retry_once,
    );
    let worker =
        tasks!(worker, thrice() => "retry" retry, "retry_unpickleable" retry_unpickleable,);
    let worker = tasks!(worker, retried() =>
        "retry_once" retry_once, "retry_once_with_result" retry_once, "retry_once_priority" retry_once_priority,
        "retry_once_headers" retry_once_headers, "retry_with_args_after_kwargs" retry_with_args,
        "retry_with_kwargs_after_args" retry_with_kwargs,
    );
    worker.handle_raw_beside(
        "auto_retry_class_task",
        retried(),
        |payload, cx| async move { auto_retry(Call::of("run", &payload)?, cx).await },
    )
}

async fn identity(call: Call, _: Context) -> Returned {
    let [x] = call.named(["x"], 1)?;
    Ok(x)
}

async fn add(call: Call, _: Context) -> Returned {
    let [x, y, z] = call.named(["x", "y", "z"], 2)?;
    let sum = plus(&x, &y)?;
    if z.is_null() { Ok(sum) } else { plus(&sum, &z) }
}

async fn add_two(call: Call, _: Context) -> Returned {
    let [x, y] = call.named(["x", "y"], 2)?;
    plus(&x, &y)
}

async fn mul(call: Call, _: Context) -> Returned {
    let [x, y] = call.named(["x", "y"], 2)?;
    match (x.as_i64(), y.as_i64()) {
        (Some(x), Some(y)) => Ok(json!(x * y)),
        _ => Err(type_error("can't multiply")),
    }
}

async fn write_to_file(call: Call, _: Context) -> Returned {
    let [file, number] = call.named(["file_name", "i"], 2)?;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file.as_str().unwrap_or_default())?;
    writeln!(file, "{number}")?;
    Ok(number)
}

async fn raise_error(_: Call, _: Context) -> Returned {
    Err(raised(
        "builtins",
        "ValueError",
        [json!("deliberate error")],
    ))
}

fn seconds(value: &Value, default: f64) -> Duration {
    let seconds = value.as_f64().unwrap_or(default);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

async fn pause(length: &Value) {
    tokio::time::sleep(seconds(length, 1.0)).await;
}

/// With the soft limit it returns 0, as the one that guards against it.
async fn delayed_sum(call: Call, cx: Context) -> Returned {
    let [numbers, seconds] = call.named(["numbers", "pause_time"], 1)?;
    tokio::select! {
        () = pause(&seconds) => sum(&numbers),
        () = cx.soft_time_limit().cancelled() => match cx.task_name().as_str().ends_with("guard") {
            true => Ok(json!(0)),
            false => Err(raised("billiard.exceptions", "SoftTimeLimitExceeded", [])),
        },
    }
}

async fn tsum(call: Call, _: Context) -> Returned {
    let [numbers] = call.named(["nums"], 1)?;
    sum(&numbers)
}

async fn xsum(call: Call, _: Context) -> Returned {
    let [numbers] = call.named(["nums"], 1)?;
    let numbers = numbers
        .as_array()
        .ok_or_else(|| type_error("object is not iterable"))?;
    let flat = |number: &Value| {
        if number.is_array() {
            sum(number)
        } else {
            Ok(number.clone())
        }
    };
    let flat: Vec<_> = numbers.iter().map(flat).collect::<Result<_, _>>()?;
    sum(&Value::Array(flat))
}

async fn print_unicode(call: Call, cx: Context) -> Returned {
    let [told, printed] = call.named(["log_message", "print_message"], 0)?;
    let printed = printed.as_str().unwrap_or("hiöäüß");
    let told = told.as_str().unwrap_or("håå®ƒ valmuefrø");
    cx.log(counterfoil_worker::Level::WARN, told, json!({}));
    writeln!(std::io::stdout(), "{printed}")?;
    Ok(Value::Null)
}

async fn return_exception(call: Call, _: Context) -> Returned {
    let [e] = call.named(["e"], 1)?;
    Ok(json!([e, true]))
}

async fn sleeping(call: Call, _: Context) -> Returned {
    // With any other arguments by name.
    let i = call.args.first().or_else(|| call.kwargs.get("i"));
    pause(i.ok_or_else(|| call.missing(&["i"]))?).await;
    Ok(Value::Null)
}

fn family(cx: &Context, i: Value) -> Value {
    json!([cx.root_id(), cx.parent_id(), i])
}

async fn ids(call: Call, cx: Context) -> Returned {
    let [i] = call.named(["i"], 1)?;
    Ok(family(&cx, i))
}

async fn collect_ids(call: Call, cx: Context) -> Returned {
    let [before, i] = call.named(["res", "i"], 2)?;
    Ok(json!([before, family(&cx, i)]))
}

async fn fail(call: Call, _: Context) -> Returned {
    let told = std::iter::once(json!("Task expected to fail")).chain(call.args);
    let exception = Exception::new("ExpectedException", told);
    Err(TaskError::fail(exception.of_module(MODULE)))
}

fn unpickleable(told: Value, bar: &Value) -> Exception {
    match bar.is_null() {
        true => exception("builtins", "TypeError", [json!("bar must be provided")]),
        false => exception(MODULE, "UnpickleableException", [told]),
    }
}

async fn fail_unpickleable(call: Call, _: Context) -> Returned {
    let [told, bar] = call.named(["foo", "bar"], 2)?;
    Err(TaskError::fail(unpickleable(told, &bar)))
}

pub(super) fn priority(cx: &Context) -> Value {
    json!(cx.message().envelope.priority)
}

async fn replaced_with_me(_: Call, _: Context) -> Returned {
    Ok(json!(true))
}

async fn add_pydantic(call: Call, _: Context) -> Returned {
    let [data] = call.named(["data"], 1)?;
    Ok(json!({"result": plus(&data["x"], &data["y"])?}))
}

/// Retries behind the task.
pub(super) fn retries(cx: &Context) -> i32 {
    cx.lineage().retries()
}

async fn retry(call: Call, cx: Context) -> Returned {
    let [value] = call.named(["return_value"], 0)?;
    if is_true(&value) && retries(&cx) >= 3 {
        return Ok(value);
    }
    let again = exception(MODULE, "ExpectedException", []);
    Err(TaskError::retry_after(again, Duration::from_secs(5)))
}

async fn retry_unpickleable(call: Call, cx: Context) -> Returned {
    let [told, bar, with] = call.named(["foo", "bar", "retry_kwargs"], 3)?;
    let why = unpickleable(told, &bar);
    let most = with["max_retries"].as_i64().unwrap_or(3);
    // Which is raised before it is retried, or because it was too often.
    if bar.is_null() || i64::from(retries(&cx)) >= most {
        return Err(TaskError::fail(why));
    }
    let wait = seconds(&with["countdown"], 1.0);
    Err(TaskError::retry_after(why, wait))
}

/// With arguments by name for the retry, where Python's has them.
async fn retry_once(call: Call, cx: Context) -> Returned {
    let retries = retries(&cx);
    if retries > 0 {
        return Ok(json!(retries));
    }
    if call.kwargs.get("max_retries").and_then(Value::as_i64) == Some(0) {
        let (id, name) = (cx.task_id(), cx.task_name());
        let Call { args, kwargs, .. } = call;
        let [args, kwargs] = [json!(args), json!(kwargs)];
        let told = format!("Can't retry {name}[{id}] args:{args} kwargs:{kwargs}");
        let module = "celery.exceptions";
        return Err(raised(module, "MaxRetriesExceededError", [told.into()]));
    }
    let countdown = call.kwargs.get("countdown").unwrap_or(&Value::Null);
    Err(TaskError::retry_after("again", seconds(countdown, 0.1)))
}

async fn retry_once_priority(call: Call, cx: Context) -> Returned {
    let found = priority(&cx);
    retry_once(call, cx).await.map(|_| found)
}

async fn retry_once_headers(call: Call, cx: Context) -> Returned {
    let found = cx.message().envelope.extra.to_json();
    retry_once(call, cx).await.map(|_| found)
}

async fn retry_with_args(call: Call, cx: Context) -> Returned {
    let [left, right, label] = call.named(["foo", "bar", "label"], 2)?;
    if retries(&cx) == 0 {
        let [left, right] = [plus(&left, &json!(1))?, plus(&right, &json!(1))?];
        let (args, kwargs) = (
            json!([left, right]).to_string(),
            json!({"label": label}).to_string(),
        );
        return Err(TaskError::retry("again").with_arguments(&args, &kwargs));
    }
    Ok(
        json!({"foo": left, "bar": right, "label": label, "retries": retries(&cx), "is_eager": false}),
    )
}

async fn retry_with_kwargs(call: Call, cx: Context) -> Returned {
    let [left, right] = call.named(["foo", "bar"], 2)?;
    if retries(&cx) == 0 {
        let kwargs = json!({"foo": plus(&left, &json!(1))?, "bar": right}).to_string();
        return Err(TaskError::retry("again").with_arguments("[]", &kwargs));
    }
    Ok(json!({"foo": left, "bar": right, "retries": retries(&cx), "is_eager": false}))
}

async fn auto_retry(_: Call, cx: Context) -> Returned {
    match retries(&cx) {
        0 => Err(TaskError::retry(exception("builtins", "ValueError", []))),
        retries => Ok(json!(retries)),
    }
}
