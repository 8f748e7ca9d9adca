//! Whatever anybody sends: parked or kept, never in the way of the next message.

use crate::support::{World, batch, on_both_pairs, settled, task};
use counterfoil_store::DeadFilter;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::{Content, HeaderValue, Headers};
use std::path::Path;

on_both_pairs!(
    bad_bodies_of_tasks_are_all_parked_and_block_nothing,
    bad_batches_of_events_are_all_parked_and_block_nothing,
    odd_headers_neither_stop_the_daemon_nor_hide_the_next_task,
    text_that_no_column_takes_is_mirrored_all_the_same,
    large_messages_of_every_kind_come_through,
);

/// Bodies that are no task's: the files of a public collection of JSON corner cases where they are
/// there, and cases made here.
fn bad_bodies() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/datasets/json");
    let mut bodies: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|file| std::fs::read(file.ok()?.path()).ok())
        .collect();
    bodies.extend(generated());
    bodies.sort();
    bodies.dedup();
    bodies
}

fn generated() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "true",
        "7",
        "\"text\"",
        "{}",
        "[]",
        "[[], {}]",
        "[[], {}, {}, {}]",
        "[{}, [], {}]",
        "[[], {}, 7]",
        "[[], {}, {}]]",
        "[[], {}, {}",
        "[[], {'a': 1}, {}]",
        "[[], {\"a\"}, {}]",
        "[[1,], {}, {}]",
        "[[01], {}, {}]",
        "[[+1], {}, {}]",
        "[[.5], {}, {}]",
        "[[\"\\x\"], {}, {}]",
        "[[\"\t\"], {}, {}]",
        "[[\"], {}, {}]",
        "\u{feff}[[], {}, {}]",
        "<html></html>",
        "task: demo.add",
        "[[], {}, {}]\0",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    for depth in [66, 129, 1_000, 100_000] {
        bodies.push("[".repeat(depth).into_bytes());
        bodies.push(
            format!("[[{}{}], {{}}, {{}}]", "[".repeat(depth), "]".repeat(depth)).into_bytes(),
        );
        bodies.push(
            format!(
                "[[], {}1{}, {{}}]",
                "{\"a\":".repeat(depth),
                "}".repeat(depth)
            )
            .into_bytes(),
        );
    }
    bodies.push(vec![0xff; 100]);
    bodies.push(vec![0; 100]);
    bodies.push(b"[[\"\xff\"], {}, {}]".to_vec());
    bodies.push(b"[[\"\xed\xa0\x80\"], {}, {}]".to_vec());
    bodies
}

async fn bad_bodies_of_tasks_are_all_parked_and_block_nothing(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let bodies = bad_bodies();
    let messages = bodies.iter().enumerate().map(|(n, body)| {
        let mut message = task(&format!("t{n}"), "demo.add");
        message.body = body.clone().into();
        message
    });
    world
        .publish_all(&world.names.tasks, "demo.add", messages)
        .await?;
    world
        .publish(&world.names.tasks, "demo.add", task("last", "demo.add"))
        .await?;
    world.row_in("last", TaskState::Pending).await?;
    let parked = world.parked(bodies.len()).await?;
    assert!(
        parked
            .iter()
            .all(|row| !row.reason.is_empty() && row.task_id.is_some())
    );
    let mut kept: Vec<_> = parked
        .into_iter()
        .map(|row| row.message.content.body.to_vec())
        .collect();
    kept.sort();
    assert!(kept == bodies, "a body was not kept as it came");
    world.emptied(&world.names.tracking_queue).await?;
    Ok(daemon.stop().await?)
}

async fn bad_batches_of_events_are_all_parked_and_block_nothing(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let bodies = bad_bodies();
    let messages = bodies.iter().map(|body| Content::json(body.clone()));
    world
        .publish_all(&world.names.events, "event.demo.batch", messages)
        .await?;
    let good = batch(&[settled("last", "demo.add", "1")]);
    world
        .publish(&world.names.events, "event.demo.batch", good)
        .await?;
    world.row_in("last", TaskState::Success).await?;
    daemon.stop().await?;
    // A readable array is parked element by element, equal elements together.
    let parked = world.store.parked(&Default::default()).await?;
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    let kept: Vec<String> = parked
        .iter()
        .map(|row| text(&row.message.content.body))
        .collect();
    for body in &bodies {
        let whole = kept.iter().any(|kept| *kept == text(body));
        let elements = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(body);
        let in_parts = elements.is_ok_and(|elements| {
            let part = |e: &&serde_json::value::RawValue| kept.contains(&format!("[{}]", e.get()));
            !elements.is_empty() && elements.iter().all(part)
        });
        assert!(
            whole || in_parts,
            "not kept: {}",
            text(&body[..body.len().min(200)])
        );
    }
    world.emptied(&world.names.events_queue).await?;
    Ok(())
}

fn odd_headers() -> Vec<Headers> {
    let base = || {
        let mut headers = Headers::new();
        headers.push("task", "demo.add");
        headers.push("id", "odd");
        headers
    };
    let with = |name: &'static str, value: HeaderValue| {
        let mut headers = base();
        headers.set(name, value);
        headers
    };
    let deep = (0..60).fold(HeaderValue::Int(1), |inner, _| {
        HeaderValue::List(vec![inner])
    });
    vec![
        with("id", HeaderValue::Int(7)),
        with("id", "".into()),
        with("id", "x".repeat(156).into()),
        with("id", "nul\0".into()),
        with("id", HeaderValue::Bytes(vec![0xff].into())),
        with("task", HeaderValue::List(vec![])),
        with("task", "white space".into()),
        with("task", "x".repeat(156).into()),
        with("task", "platform.canary".into()),
        with("retries", "many".into()),
        with("retries", HeaderValue::Int(i64::MAX)),
        with("eta", "tomorrow".into()),
        with("expires", HeaderValue::Float(-1.5)),
        with("timelimit", HeaderValue::List(vec!["x".into()])),
        with("counterfoil-run", HeaderValue::Int(-1)),
        with("counterfoil-rescue", HeaderValue::Int(1 << 40)),
        with("root_id", "r\n".into()),
        with("compression", "x-evil".into()),
        with("compression", "application/x-gzip".into()),
        with("x-death", deep),
    ]
}

async fn odd_headers_neither_stop_the_daemon_nor_hide_the_next_task(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let odd = odd_headers();
    for (n, headers) in odd.iter().enumerate() {
        for (exchange, key) in [
            (&world.names.tasks, "demo.add"),
            (&world.names.dead, "demo"),
        ] {
            let mut message = task("odd", "demo.add");
            message.body = format!("[[{n}], {{}}, {{}}]").into();
            message.headers = headers.clone();
            world.publish(exchange, key, message).await?;
        }
    }
    world
        .publish(&world.names.tasks, "demo.add", task("last", "demo.add"))
        .await?;
    world.row_in("last", TaskState::Pending).await?;
    // All but the last, which is a task with a strange header.
    let parked = world.parked(odd.len() - 1).await?;
    assert!(parked.iter().all(|row| !row.reason.is_empty()));
    world.emptied(&world.names.deaths_queue).await?;
    daemon.stop().await?;
    let filter = DeadFilter {
        limit: 1000,
        ..DeadFilter::default()
    };
    assert_eq!(world.store.dead(&filter).await?.len(), odd.len());
    Ok(())
}

async fn text_that_no_column_takes_is_mirrored_all_the_same(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let texts = [
        r#""\u0000""#,
        r#""\ud800""#,
        "1e131071",
        "NaN",
        r#""'; DROP TABLE background_task; --""#,
        "\"\u{202e}\\u001b[31m\"",
    ];
    for (n, text) in texts.iter().enumerate() {
        let mut message = task(&format!("t{n}"), "demo.echo");
        message.body = format!("[[{text}], {{}}, {{}}]").into();
        message.headers.push("counterfoil-creator", "a\0b\r\n");
        // Of tasks with the same one all but the first would be revoked.
        let identifier = format!("{n}{}", "x".repeat(20_000));
        message.headers.push("counterfoil-identifier", identifier);
        world
            .publish(&world.names.tasks, "demo.echo", message)
            .await?;
    }
    for n in 0..texts.len() {
        world.row_in(&format!("t{n}"), TaskState::Pending).await?;
    }
    let mut events = vec![
        settled("t0", "demo.echo", texts[0]),
        settled("t1", "demo.echo", texts[2]),
    ];
    let mut failed = crate::support::event("t4", "demo.echo", TaskState::Failure);
    let fault = counterfoil_toolbox::event::FaultKind::Exception;
    failed.error = Some(counterfoil_toolbox::event::TaskFault {
        kind: fault,
        message: "a\0b\u{1b}[31m".repeat(1000),
        traceback: Some("\0".repeat(100_000)),
        exception: None,
    });
    events.push(failed);
    world
        .publish(&world.names.events, "event.demo.batch", batch(&events))
        .await?;
    world.row_in("t0", TaskState::Success).await?;
    world.row_in("t1", TaskState::Success).await?;
    world.row_in("t4", TaskState::Failure).await?;
    assert_eq!(world.parked(0).await?.len(), 0);
    Ok(daemon.stop().await?)
}

async fn large_messages_of_every_kind_come_through(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let big = "x".repeat(3_000_000);
    for n in 0..10 {
        let mut message = task(&format!("t{n}"), "demo.echo");
        message.body = format!("[[\"{big}\"], {{}}, {{}}]").into();
        world
            .publish(&world.names.tasks, "demo.echo", message)
            .await?;
        let done = settled(&format!("t{n}"), "demo.echo", &format!("\"{big}\""));
        world
            .publish(&world.names.events, "event.demo.batch", batch(&[done]))
            .await?;
    }
    for n in 0..10 {
        world.row_in(&format!("t{n}"), TaskState::Success).await?;
    }
    Ok(daemon.stop().await?)
}
