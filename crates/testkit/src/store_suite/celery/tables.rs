//! The tables of Celery.

use super::{Input, apply, succeeds, told};
use crate::store_suite::{StoreSite, copy, event, lineage};
use anyhow::{Context as _, ensure};
use counterfoil_store::Batch;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::{HeaderValue, Headers};
use counterfoil_toolbox::state::TaskState::{Retry, Started, Success};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// # Errors
/// When the promise is broken.
pub async fn tables_are_made_where_there_are_none_and_used_as_they_are(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    let done = Input::Event(Box::new(event(&id, lineage(0, 0, 0), Success)));
    apply(site, std::slice::from_ref(&done)).await?;
    let asked = "SELECT count(*) || '' FROM celery_taskmeta";
    ensure!(
        site.text(asked).await.is_err(),
        "there is no such table where nobody asked for it"
    );
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    site.another()
        .await?
        .keep_celery_results(CeleryEncoding::Json)
        .await?;

    // As a Celery of before 5.7 made it.
    site.execute("ALTER TABLE celery_taskmeta DROP COLUMN stamps")
        .await?;
    let half = site
        .another()
        .await?
        .keep_celery_results(CeleryEncoding::Json)
        .await;
    let half = half.expect_err("half of Celery 5.7").to_string();
    ensure!(half.contains("no column stamps"), "{half}");
    site.execute("ALTER TABLE celery_taskmeta DROP COLUMN children")
        .await?;
    let store = site.another().await?;
    store.keep_celery_results(CeleryEncoding::Json).await?;
    let mut batch = Batch::new();
    batch.event(&event(&id, lineage(0, 0, 0), Success));
    batch.event(&event(&id, lineage(0, 1, 0), Started));
    store.apply(&batch).await?;
    let status = format!("SELECT max(status) FROM celery_taskmeta WHERE task_id = '{id}'");
    ensure!(site.text(&status).await?.as_deref() == Some("SUCCESS"));
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn results_are_pickled_where_that_is_asked_for(site: &StoreSite) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Pickle)
        .await?;
    let id = TaskId::random();
    succeeds(site, &id).await?;
    let hex = match site.url().starts_with("postgres") {
        true => "encode(result, 'hex')",
        false => "lower(hex(result))",
    };
    let asked = format!("SELECT {hex} FROM celery_taskmeta WHERE task_id = '{id}'");
    let found = site.text(&asked).await?;
    ensure!(found.as_deref() == Some("80024a030000002e"));
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn what_callers_were_told_goes_with_the_task(site: &StoreSite) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let id = TaskId::random();
    succeeds(site, &id).await?;
    ensure!(told(site, &id).await? != Value::Null);
    site.store()
        .delete_tasks(std::slice::from_ref(&id), None)
        .await?;
    ensure!(told(site, &id).await? == Value::Null);
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn results_of_celerys_workers_are_what_they_wrote_and_else_what_they_printed(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let long = format!("22{}22", "78".repeat(1 << 20));
    let cases = [
        // As JSON, as a pickle, as one that is no plain data, longer than is taken over, and nothing.
        (Some("7b2261223a312e31307d"), json!({"a": 1.10})),
        (Some("80054b042e"), json!(4)),
        (Some("80045f2e"), json!("printed")),
        (Some(long.as_str()), json!("printed")),
        (None, json!("printed")),
    ];
    let (mut batch, ids) = (Batch::new(), cases.clone().map(|_| TaskId::random()));
    for (n, (id, (written, _))) in ids.iter().zip(&cases).enumerate() {
        if let Some(written) = written {
            super::chords::writes(site, 2000 + n, id, written).await?;
        }
        let mut done = event(id, lineage(0, 0, 0), Success);
        done.result = RawValue::from_string("\"printed\"".to_owned()).ok();
        done.worker = Some("celery@host".parse()?);
        batch.event(&done);
    }
    // What ours say is whole.
    let ours = TaskId::random();
    super::chords::writes(site, 3000, &ours, "34").await?;
    let mut done = event(&ours, lineage(0, 0, 0), Success);
    done.result = RawValue::from_string("5".to_owned()).ok();
    batch.event(&done);
    site.store().apply(&batch).await?;
    let wanted = cases.into_iter().map(|(_, wanted)| wanted);
    for (id, wanted) in ids.iter().zip(wanted).chain([(&ours, json!(5))]) {
        let row = site.store().result(id, 0).await?.context("no result")?;
        let found = row.result.map(|result| result.to_value());
        ensure!(found == Some(wanted.clone()), "{wanted}: {found:?}");
    }
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn tasks_that_were_revoked_are_told_so_unless_somebody_has_begun_them(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let ids = [(); 5].map(|()| TaskId::random());
    let [unknown, waits, runs, retried, over] = &ids;
    for id in [waits, runs, retried, over] {
        apply(site, &[Input::Copy(Box::new(copy(id)))]).await?;
    }
    for (id, state) in [(runs, Started), (retried, Retry), (over, Success)] {
        let seen = event(id, lineage(0, 0, 0), state);
        apply(site, &[Input::Event(Box::new(seen))]).await?;
    }
    // Somebody else has begun it, whom the platform does not know.
    let theirs = TaskId::random();
    site.execute(&format!(
        "INSERT INTO celery_taskmeta (id, task_id, status) VALUES (5000, '{theirs}', 'STARTED')"
    ))
    .await?;
    let all: Vec<_> = ids.iter().cloned().chain([theirs.clone()]).collect();
    for _ in 0..2 {
        let mut batch = Batch::new();
        batch.revoked_by_celery(&all);
        site.store().apply(&batch).await?;
    }
    for (id, status) in [
        (unknown, json!("REVOKED")),
        (waits, json!("REVOKED")),
        (retried, json!("REVOKED")),
        (runs, Value::Null),
        (over, json!("SUCCESS")),
        (&theirs, json!("STARTED")),
    ] {
        let found = told(site, id).await?;
        ensure!(found["status"] == status, "{status}: {found:#}");
    }
    let found = told(site, unknown).await?;
    let wanted = json!({"exc_type": "TaskRevokedError", "exc_message": ["revoked"], "exc_module": "celery.exceptions"});
    ensure!(
        found["result"] == wanted && found["is_done"] == true,
        "{found:#}"
    );
    // A worker that was not told of it runs it all the same.
    succeeds(site, waits).await?;
    ensure!(told(site, waits).await?["status"] == "SUCCESS");
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn stamps_are_told_as_they_came_whatever_they_are(
    site: &StoreSite,
) -> anyhow::Result<()> {
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let table = |value: &str| {
        let mut stamps = Headers::new();
        stamps.push("tag", value);
        HeaderValue::Table(stamps)
    };
    for (stamps, wanted) in [
        (table("abc"), json!({"tag": "abc"})),
        // Not what Celery writes, but anybody may.
        (HeaderValue::from("abc"), json!("abc")),
    ] {
        let id = TaskId::random();
        let mut sent = copy(&id);
        let headers = &mut sent.message.content.headers;
        headers.push("stamped_headers", HeaderValue::List(vec!["tag".into()]));
        headers.push("stamps", stamps);
        let done = event(&id, lineage(0, 0, 0), Success);
        let inputs = [Input::Copy(Box::new(sent)), Input::Event(Box::new(done))];
        apply(site, &inputs).await?;
        let found = told(site, &id).await?;
        let wanted = json!({"stamped_headers": ["tag"], "stamps": wanted});
        ensure!(found["stamps"] == wanted, "{wanted}: {found}");
    }
    Ok(())
}
