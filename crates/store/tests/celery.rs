//! The tables and rows that Celery itself has made, held against ours: `samples` has them as they were found.

use anyhow::{Context, ensure};
use chrono::NaiveDateTime;
use counterfoil_store::Batch;
use counterfoil_testkit::store_suite::{StoreSite, copy_of, event, fault, lineage};
use counterfoil_toolbox::config::CeleryEncoding::{Json, Pickle};
use counterfoil_toolbox::event::{After, Event, Exception};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::state::TaskState::{Failure, Success};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::Path;

const SCHEMA_OF_5_7: &str = "db-schema-postgresql-celery-5.7.sql";
const SCHEMA_OF_5_6: &str = "db-schema-postgresql-celery-5.6.3.sql";
const ROWS_OF_5_7: &str = "db-rows-celery-5.7-extended.json";
const ROWS_OF_5_6: &str = "db-rows-celery-5.6.3-pickle.json";

/// All that the database knows of the tables of Celery and of their sequences, a line for each thing.
const CATALOG: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
    SELECT concat_ws(' ', 'column', table_name, ordinal_position, column_name, data_type, character_maximum_length,
        'nullable', is_nullable, 'default', column_default) AS line
    FROM information_schema.columns WHERE table_name LIKE 'celery%'
    UNION ALL
    SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid::regclass::text LIKE 'celery%'
    UNION ALL
    SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'celery%'
    UNION ALL
    SELECT concat_ws(' ', 'sequence', sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size)
    FROM pg_sequences WHERE sequencename LIKE 'task%'
) AS lines";

fn sample(name: &str) -> anyhow::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    std::fs::read_to_string(folder.join(name)).with_context(|| name.to_owned())
}

fn rows(name: &str) -> anyhow::Result<Vec<Value>> {
    let rows: Vec<Value> = serde_json::from_str(&sample(name)?)?;
    ensure!(rows.len() == 8, "{name}: {} rows", rows.len());
    Ok(rows)
}

fn text<'a>(row: &'a Value, column: &str) -> anyhow::Result<&'a str> {
    let text = row[column].as_str();
    text.with_context(|| format!("no {column} in {row}"))
}

/// A database in which Celery made its tables before.
async fn made_by(schema: &str) -> anyhow::Result<StoreSite> {
    let site = StoreSite::postgres().await?;
    let dump = sample(schema)?;
    // These lines are for psql alone.
    let lines = dump.lines().filter(|line| !line.starts_with('\\'));
    let statements: Vec<_> = lines.collect();
    site.execute(&statements.join("\n")).await?;
    Ok(site)
}

async fn catalog(site: &StoreSite) -> anyhow::Result<String> {
    let found = site.text(CATALOG).await?;
    found.context("there are no tables of Celery")
}

#[tokio::test]
async fn our_tables_are_those_that_celery_makes_to_the_last_index() -> anyhow::Result<()> {
    let theirs = catalog(&made_by(SCHEMA_OF_5_7).await?).await?;
    let things = ["column", "constraint", "CREATE", "sequence"];
    let count = |thing| {
        theirs
            .lines()
            .filter(|line| line.starts_with(thing))
            .count()
    };
    // Some servers list what may not be null as constraints, too.
    ensure!(count("column") == 18 && count("sequence") == 2, "{theirs}");
    ensure!(things.iter().all(|thing| count(thing) > 0), "{theirs}");
    let site = StoreSite::postgres().await?;
    site.store().keep_celery_results(Json).await?;
    assert_eq!(catalog(&site).await?, theirs);
    Ok(())
}

#[tokio::test]
async fn tables_that_a_celery_made_are_used_as_they_are() -> anyhow::Result<()> {
    for (schema, encoding) in [
        (SCHEMA_OF_5_7, Json),
        (SCHEMA_OF_5_6, Json),
        (SCHEMA_OF_5_6, Pickle),
    ] {
        let site = made_by(schema).await?;
        let before = catalog(&site).await?;
        let kept = site.store().keep_celery_results(encoding).await;
        kept.with_context(|| schema.to_owned())?;
        for row in rows(ROWS_OF_5_7)? {
            tell(&site, &row).await?;
        }
        assert_eq!(catalog(&site).await?, before, "{schema}");
        let seen = "SELECT string_agg(status, ' ' ORDER BY id) FROM celery_taskmeta";
        let seen = site.text(seen).await?;
        let wanted = format!("SUCCESS FAILURE{}", " SUCCESS".repeat(6));
        ensure!(seen == Some(wanted), "{schema}: {seen:?}");
        let seen = "SELECT min(id) || ' to ' || max(id) FROM celery_taskmeta";
        let seen = site.text(seen).await?;
        ensure!(seen.as_deref() == Some("1 to 8"), "{schema}: {seen:?}");
    }
    Ok(())
}

/// Tells the store of a task like that of a row of Celery's, run by a worker of ours.
async fn tell(site: &StoreSite, row: &Value) -> anyhow::Result<()> {
    let id: TaskId = text(row, "task_id")?.parse()?;
    let name = text(row, "name")?.parse()?;
    let mut copy = copy_of(Envelope::new(id.clone(), name));
    copy.message.routing_key = text(row, "queue")?.into();
    let (args, kwargs) = (text(row, "args")?, text(row, "kwargs")?);
    copy.input = Some(format!(r#"{{"args": {args}, "kwargs": {kwargs}}}"#));
    let mut batch = Batch::new();
    batch.track(&copy);
    batch.event(&ended(row, &id)?);
    site.store().apply(&batch).await?;
    Ok(())
}

/// What that worker says of its end.
fn ended(row: &Value, id: &TaskId) -> anyhow::Result<Event> {
    let has_failed = row["status"] == "FAILURE";
    let state = if has_failed { Failure } else { Success };
    let mut ended = event(id, lineage(0, 0, 0), state);
    ended.task = text(row, "name")?.parse()?;
    let at: NaiveDateTime = text(row, "date_done")?.parse()?;
    ended.at = at.and_utc();
    let result = text(row, "result_text")?;
    if has_failed {
        let raised: Value = serde_json::from_str(result)?;
        let args = raised["exc_message"].as_array().context("arguments")?;
        let exception = Exception::new(text(&raised, "exc_type")?, args.iter().cloned());
        let exception = exception.of_module(text(&raised, "exc_module")?);
        let mut error = fault();
        error.exception = Some(Box::new(exception));
        error.traceback = Some(text(row, "tb")?.to_owned());
        ended.error = Some(error);
    } else {
        ended.result = Some(RawValue::from_string(result.to_owned())?);
    }
    ended.after = match row["children"].as_str() {
        Some(children) => Some(Box::new(After {
            children: Some(RawValue::from_string(children.to_owned())?),
            ..After::default()
        })),
        None => None,
    };
    Ok(ended)
}

#[tokio::test]
async fn a_row_of_ours_says_what_celerys_row_of_such_a_task_says() -> anyhow::Result<()> {
    let site = made_by(SCHEMA_OF_5_7).await?;
    site.store().keep_celery_results(Json).await?;
    for theirs in rows(ROWS_OF_5_7)? {
        tell(&site, &theirs).await?;
        let id = text(&theirs, "task_id")?;
        // As that sample was taken, and what it does not show of them: no task had stamps.
        let ours = site
            .text(&format!(
                "SELECT json_build_object('id', id, 'task_id', task_id, 'status', status,
                    'result_hex', encode(result, 'hex'), 'result_text', convert_from(result, 'UTF8'),
                    'date_done', date_done, 'tb', traceback, 'children', convert_from(children, 'UTF8'),
                    'name', name, 'args', convert_from(args, 'UTF8'), 'kwargs', convert_from(kwargs, 'UTF8'),
                    'worker', worker, 'retries', retries, 'queue', queue, 'stamps', stamps)::text
                FROM celery_taskmeta WHERE task_id = '{id}'"
            ))
            .await?;
        let mut ours: Value = serde_json::from_str(&ours.context("a row")?)?;
        let mut theirs = theirs.clone();
        theirs["stamps"] = Value::Null;
        // Each says who it was, and JSON has more than one form of the same error.
        theirs["worker"] = json!("demo@host.7.0a0b0c0d");
        for row in [&mut ours, &mut theirs] {
            if row["status"] == "FAILURE" {
                row["result_text"] = serde_json::from_str(text(row, "result_text")?)?;
                row["result_hex"] = Value::Null;
            }
        }
        assert_eq!(ours, theirs);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_celery_of_before_5_7_pickled_is_shown_as_the_platforms_results()
-> anyhow::Result<()> {
    let site = made_by(SCHEMA_OF_5_6).await?;
    site.store().keep_celery_results(Pickle).await?;
    let mut ended = Vec::new();
    // The same tasks, in the same order.
    for (pickled, plain) in rows(ROWS_OF_5_6)?.iter().zip(&rows(ROWS_OF_5_7)?) {
        ensure!(pickled["status"] == plain["status"], "{pickled}, {plain}");
        let (number, id) = (&pickled["id"], text(pickled, "task_id")?);
        let (status, hex) = (text(pickled, "status")?, text(pickled, "result_hex")?);
        site.execute(&format!(
            "INSERT INTO celery_taskmeta (id, task_id, status, result) VALUES ({number}, '{id}', '{status}', '\\x{hex}')"
        ))
        .await?;
        if status == "SUCCESS" {
            let id: TaskId = id.parse()?;
            let mut done = event(&id, lineage(0, 0, 0), Success);
            done.result = Some(RawValue::from_string("\"printed\"".to_owned())?);
            done.worker = Some("celery@vm".parse()?);
            let mut batch = Batch::new();
            batch.event(&done);
            site.store().apply(&batch).await?;
            ended.push((id, text(plain, "result_text")?.parse::<Value>()?));
        }
    }
    ensure!(ended.len() == 7, "{ended:?}");
    for (id, wanted) in ended {
        let row = site.store().result(&id, 0).await?.context("no result")?;
        let found = row.result.map(|result| result.to_value());
        ensure!(found == Some(wanted.clone()), "{wanted}: {found:?}");
    }
    Ok(())
}
