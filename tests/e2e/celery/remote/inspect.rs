//! Looking at workers.

use super::{Answers, Nodes};
use crate::platform::PATIENCE;
use anyhow::{Context as _, ensure};
use counterfoil_testkit::eventually;
use serde_json::{Value, json};

/// The names of the fields, and what is in those that are fields again.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, it)| (name.clone(), shape(it)))
            .collect(),
        Value::Array(_) => "list".into(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "flag".into(),
        Value::Null => Value::Null,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn celery_inspect_shows_of_our_worker_what_it_shows_of_a_python_worker() -> anyhow::Result<()>
{
    let nodes = Nodes::start().await?;
    for arguments in [
        &["ping"][..],
        &["active"],
        &["reserved"],
        &["scheduled"],
        &["revoked"],
        &["query_task", "no-such-id"],
        &["registered"],
        &["registered", "name", "acks_late"],
    ] {
        let answers = nodes.inspect(arguments).await?;
        answers
            .are_equal()
            .with_context(|| format!("{arguments:?}"))?;
    }
    queues_are_told(&nodes.inspect(&["active_queues"]).await?)?;
    for method in [
        "nosuch",
        "autoscale",
        "pool_restart",
        "dump_tasks",
        "dump_active",
    ] {
        let answers = nodes.broadcast(method, &json!({})).await?;
        answers.are_equal().context(method)?;
    }
    let arguments = json!({"builtins": true});
    builtin_tasks_are_told(nodes.broadcast("registered", &arguments).await?)?;
    let clock = nodes.inspect(&["clock"]).await?;
    ensure!(shape(&clock.theirs) == shape(&clock.ours), "{clock:?}");
    let report = nodes.inspect(&["report"]).await?;
    let report = report.ours["ok"].as_str().context("a text")?.to_owned();
    ensure!(
        report.contains("software -> celery:") && !report.contains("guest:guest"),
        "{report}"
    );
    let conf = nodes.inspect(&["conf"]).await?;
    for name in [
        "broker_url",
        "result_backend",
        "deprecated_settings",
        "task_acks_late",
        "task_default_exchange",
    ] {
        ensure!(conf.theirs[name] == conf.ours[name], "{name}: {conf:?}");
    }
    nodes.end().await
}

/// Each sorts them among its own, which here have the same names only afterwards.
fn builtin_tasks_are_told(answers: Answers) -> anyhow::Result<()> {
    let names = |told: Value| -> anyhow::Result<Vec<String>> {
        let mut names: Vec<String> = serde_json::from_value(told)?;
        names.sort();
        Ok(names)
    };
    let (theirs, mut ours) = (names(answers.theirs)?, names(answers.ours)?);
    // Celery itself has that one only in its tests.
    let ping = ours.iter().position(|name| name == "celery.ping");
    ours.remove(ping.context("no celery.ping")?);
    ensure!(theirs == ours, "Python: {theirs:#?}\nours: {ours:#?}");
    Ok(())
}

/// Ours is declared with more arguments than Celery knows of.
fn queues_are_told(answers: &Answers) -> anyhow::Result<()> {
    let Answers { theirs, ours } = answers;
    let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
    let arguments = ours[0]["queue_arguments"].take();
    let wanted = theirs[0]["queue_arguments"].take();
    ensure!(
        arguments["x-queue-type"] == wanted["x-queue-type"],
        "{arguments}"
    );
    Answers { theirs, ours }.are_equal()
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_have_the_same_fields_and_count_what_was_run() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    for name in ["calc.add", "pycalc.add"] {
        for _ in 0..2 {
            nodes.send(name, &json!([1, 2]), &json!({})).await?;
        }
    }
    let stats = eventually("both to have run them", PATIENCE, async || {
        let stats = nodes.inspect(&["stats"]).await?;
        let is_run = |stats: &Value| stats["total"] == json!({"calc.add": 2});
        Ok((is_run(&stats.theirs) && is_run(&stats.ours)).then_some(stats))
    });
    let Answers {
        mut theirs,
        mut ours,
    } = stats.await?;
    ensure!(
        ours["pool"]["max-concurrency"] == 2 && ours["pid"] == std::process::id(),
        "{ours:#}"
    );
    for stats in [&mut theirs, &mut ours] {
        // What a pool of threads tells of itself, and how the two count what they hold.
        ensure!(stats["pool"].take().is_object());
        ensure!(stats["broker"]["transport_options"].take().is_object());
    }
    ensure!(
        shape(&theirs) == shape(&ours),
        "Python: {theirs:#}\nours: {ours:#}"
    );
    for name in ["hostname", "port", "userid", "virtual_host", "transport"] {
        ensure!(
            theirs["broker"][name] == ours["broker"][name],
            "{theirs:#} {ours:#}"
        );
    }
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_run_and_wait_are_shown_with_the_same_fields() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let mut waiting = Vec::new();
    for service in ["calc", "pycalc"] {
        for place in 0..3 {
            let file = nodes.file(&format!("{service}-{place}"));
            let options = json!({"priority": 0, "shadow": format!("it-{place}")});
            let id = nodes
                .send(&format!("{service}.count"), &json!([place, file]), &options)
                .await?;
            waiting.push(id);
        }
    }
    let active = eventually("two to run on each", PATIENCE, async || {
        let active = nodes.inspect(&["active"]).await?;
        let count = |tasks: &Value| tasks.as_array().map(Vec::len);
        Ok((count(&active.theirs) == Some(2) && count(&active.ours) == Some(2)).then_some(active))
    });
    let active = active.await?;
    same_tasks(&active)?;
    let info = &active.ours[0];
    ensure!(
        info["acknowledged"] == false && info["hostname"] == "node",
        "{info}"
    );
    ensure!(
        info["worker_pid"] == std::process::id() && info["time_start"].is_f64(),
        "{info}"
    );
    let reserved = nodes.inspect(&["reserved"]).await?;
    same_tasks(&reserved)?;
    let ids: Vec<_> = waiting.iter().map(|id| id.as_str()).collect();
    let asked = nodes
        .broadcast("query_task", &json!({ "ids": ids }))
        .await?;
    let mut stages = states(&asked.ours);
    ensure!(stages == states(&asked.theirs), "{asked:?}");
    stages.dedup();
    ensure!(stages == ["active", "reserved"], "{stages:?}");
    let safe = nodes.broadcast("active", &json!({"safe": true})).await?;
    let text = safe.ours[0]["args"].as_str().context("a text")?;
    ensure!(text.starts_with('(') && text.ends_with("')"), "{text}");
    for service in ["calc", "pycalc"] {
        for place in 0..3 {
            std::fs::write(nodes.file(&format!("{service}-{place}")), "")?;
        }
    }
    nodes.end().await
}

/// In which stage tasks are, in order.
fn states(asked: &Value) -> Vec<String> {
    let asked = asked.as_object().into_iter().flatten();
    let stages = asked.filter_map(|(_, told)| told[0].as_str().map(str::to_owned));
    let mut stages: Vec<_> = stages.collect();
    stages.sort_unstable();
    stages
}

/// But for their ids, files, processes and times.
fn same_tasks(answers: &Answers) -> anyhow::Result<()> {
    let normal = |tasks: &Value| {
        let tasks = tasks.as_array().into_iter().flatten();
        let normal = tasks.map(|task| {
            let mut task = task.clone();
            for name in ["id", "worker_pid", "time_start"] {
                task[name] = shape(&task[name]);
            }
            task["args"][1] = Value::Null;
            task.to_string()
        });
        let mut normal: Vec<_> = normal.collect();
        normal.sort_unstable();
        normal
    };
    let (theirs, ours) = (normal(&answers.theirs), normal(&answers.ours));
    ensure!(theirs == ours, "Python: {theirs:#?}\nours: {ours:#?}");
    Ok(())
}
