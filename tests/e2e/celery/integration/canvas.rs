//! The tasks of Celery's integration tests that call others, or return signatures.

use super::call::{Call, type_error};
use super::tasks::{Returned, once, tasks};
use counterfoil_celery::{Signature, chain, replace, send};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use serde_json::{Value, json};

pub(super) fn join(worker: WorkerBuilder) -> WorkerBuilder {
    tasks!(worker, once() =>
        "chain_add" chain_add, "chord_add" chord_add, "add_replaced" add_replaced,
        "replace_with_chain" replace_with_chain, "replace_with_chain_which_raises" replace_with_chain_which_raises,
        "second_order_replace1" second_order_1, "second_order_replace2" second_order_2,
        "record_replaced_task_nesting" nesting, "add_replaced_with_chain" add_replaced_with_chain,
        "replace_with_empty_chain" replace_with_empty_chain,
        "replace_with_chain_which_contains_a_group" replace_with_chain_with_group, "add_to_all" add_to_all,
        "build_chain_inside_task" build_chain, "fail_replaced" fail_replaced,
        "return_nested_signature_chain_chain" chain_chain, "return_nested_signature_chain_group" chain_group,
        "return_nested_signature_chain_chord" chain_chord, "return_nested_signature_group_chain" group_chain,
        "return_nested_signature_group_group" group_group, "return_nested_signature_group_chord" group_chord,
        "return_nested_signature_chord_chain" chord_chain, "return_nested_signature_chord_group" chord_group,
        "return_nested_signature_chord_chord" chord_chord, "rebuild_signature" rebuild,
        "replace_with_stamped_task" replace_with_stamped,
    )
}

fn task(name: &str) -> Signature {
    Signature::task(format!("t.integration.tasks.{name}"))
}

fn add() -> Signature {
    task("add")
}

fn tsum() -> Signature {
    task("tsum")
}

async fn chain_add(call: Call, cx: Context) -> Returned {
    let [x, y] = call.named(["x", "y"], 2)?;
    send(&cx, &chain![add().arg(x.clone()).arg(x), add().arg(y)]).await?;
    Ok(Value::Null)
}

async fn chord_add(call: Call, cx: Context) -> Returned {
    let [x, y] = call.named(["x", "y"], 2)?;
    let header = [add().arg(x.clone()).arg(x)];
    send(&cx, &Signature::chord(header, add().arg(y))).await?;
    Ok(Value::Null)
}

async fn add_replaced(call: Call, cx: Context) -> Returned {
    let [x, y] = call.named(["x", "y"], 2)?;
    Err(replace(&cx, &add().arg(x).arg(y)))
}

async fn nesting(call: Call, cx: Context) -> Returned {
    let [replacements, nesting] = call.named(["replacements", "nesting"], 1)?;
    let mut nesting = nesting.as_array().cloned().unwrap_or_default();
    let own = cx.message().envelope.extra.int("replaced_task_nesting");
    nesting.push(json!(own.unwrap_or(0)));
    match replacements.as_i64().unwrap_or(0) {
        0 => Ok(json!(nesting)),
        left => {
            let next = task("record_replaced_task_nesting").arg(left - 1);
            Err(replace(&cx, &next.arg(nesting)))
        }
    }
}

async fn add_replaced_with_chain(call: Call, cx: Context) -> Returned {
    let [x, y] = call.named(["x", "y"], 2)?;
    Err(replace(&cx, &chain![add().arg(x).arg(y), task("identity")]))
}

/// What is told elsewhere, with this message or with the result.
fn echo(message: Option<&Value>) -> Signature {
    match message {
        Some(message) => task("redis_echo").arg(message.clone()).immutable(),
        None => task("redis_echo"),
    }
}

fn identity(args: Vec<Value>) -> Signature {
    args.into_iter().fold(task("identity"), Signature::arg)
}

async fn replace_with_chain(call: Call, cx: Context) -> Returned {
    let echo = echo(call.kwargs.get("link_msg"));
    Err(replace(
        &cx,
        &chain![identity(call.args), task("identity")].link(echo),
    ))
}

async fn replace_with_chain_which_raises(call: Call, cx: Context) -> Returned {
    let echo = echo(call.kwargs.get("link_msg"));
    Err(replace(
        &cx,
        &chain![identity(call.args), task("raise_error")].link_error(echo),
    ))
}

/// Says that it is begun, goes on as `within` and then itself, and says that it is over.
async fn second_order(
    call: Call,
    cx: Context,
    name: &str,
    within: Signature,
    own: &str,
) -> Returned {
    let [state] = call.named(["state"], 0)?;
    if state == true {
        super::echo::push("redis-echo", &format!("Out {name}")).await?;
        return Ok(Value::Null);
    }
    super::echo::push("redis-echo", &format!("In {name}")).await?;
    let again = task(own).kwarg("state", true).immutable();
    Err(replace(&cx, &chain![within, again]))
}

async fn second_order_1(call: Call, cx: Context) -> Returned {
    let within = task("second_order_replace2");
    second_order(call, cx, "A", within, "second_order_replace1").await
}

async fn second_order_2(call: Call, cx: Context) -> Returned {
    let within = echo(Some(&json!("In/Out C")));
    second_order(call, cx, "B", within, "second_order_replace2").await
}

/// As Celery, which raises what says so.
async fn replace_with_empty_chain(_: Call, _: Context) -> Returned {
    Err(super::call::raised(
        "celery.exceptions",
        "ImproperlyConfigured",
        [json!("Cannot replace with an empty chain")],
    ))
}

async fn replace_with_chain_with_group(_: Call, cx: Context) -> Returned {
    let group = Signature::group([add().arg(1), add().arg(1)]);
    Err(replace(&cx, &chain![add().arg(1).arg(2), group]))
}

async fn add_to_all(call: Call, cx: Context) -> Returned {
    let [numbers, number] = call.named(["nums", "val"], 2)?;
    let numbers = numbers.as_array().cloned().unwrap_or_default();
    let members = numbers
        .into_iter()
        .map(|it| add().arg(it).arg(number.clone()));
    Err(replace(&cx, &Signature::group(members)))
}

async fn build_chain(_: Call, cx: Context) -> Returned {
    let group = Signature::group([add().arg(3), add().arg(4)]);
    let chain = chain![add().arg(1).arg(1), add().arg(2), group, add().arg(5)];
    let awaited = send(&cx, &chain).await?;
    Ok(serde_json::to_value(awaited)?)
}

async fn fail_replaced(call: Call, cx: Context) -> Returned {
    let fail = call
        .args
        .into_iter()
        .fold(task("fail").immutable(), Signature::arg);
    Err(replace(&cx, &fail))
}

fn written(signature: &Signature) -> Returned {
    Ok(serde_json::to_value(signature)?)
}

async fn chain_chain(_: Call, _: Context) -> Returned {
    written(&chain![chain![add()]])
}

async fn chain_group(_: Call, _: Context) -> Returned {
    written(&chain![Signature::group([add()])])
}

async fn chain_chord(_: Call, _: Context) -> Returned {
    written(&chain![Signature::chord([add()], add())])
}

async fn group_chain(_: Call, _: Context) -> Returned {
    written(&Signature::group([chain![add()]]))
}

async fn group_group(_: Call, _: Context) -> Returned {
    written(&Signature::group([Signature::group([add()])]))
}

async fn group_chord(_: Call, _: Context) -> Returned {
    written(&Signature::group([Signature::chord([add()], add())]))
}

async fn chord_chain(_: Call, _: Context) -> Returned {
    written(&Signature::chord([chain![add()]], tsum()))
}

async fn chord_group(_: Call, _: Context) -> Returned {
    written(&Signature::chord([Signature::group([add()])], tsum()))
}

async fn chord_chord(_: Call, _: Context) -> Returned {
    written(&Signature::chord([Signature::chord([add()], add())], add()))
}

/// Whether what came is a signature all through.
async fn rebuild(call: Call, _: Context) -> Returned {
    let [signature] = call.named(["sig_dict"], 1)?;
    check(&signature)?;
    Ok(Value::Null)
}

fn check(signature: &Value) -> Result<(), TaskError> {
    if !signature["task"].is_string() {
        return Err(type_error(format!("{signature} is not a signature object")));
    }
    let within = &signature["kwargs"];
    let lists = [&within["tasks"], &within["header"]]
        .into_iter()
        .filter_map(Value::as_array);
    lists.flatten().try_for_each(check)?;
    let ones = [&within["header"], &within["body"]]
        .into_iter()
        .filter(|it| it.is_object());
    ones.into_iter().try_for_each(check)
}

async fn replace_with_stamped(call: Call, cx: Context) -> Returned {
    let [with] = call.named(["replace_with"], 0)?;
    let with = match with.is_null() {
        true => task("replaced_with_me"),
        false => serde_json::from_value(with)?,
    };
    Err(replace(
        &cx,
        &with.stamp("StampOnReplace", "This is the replaced task"),
    ))
}
