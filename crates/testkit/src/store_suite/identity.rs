//! Tasks with an identifier.

use super::samples::{copy_of, event, lineage};
use super::site::StoreSite;
use crate::Application;
use anyhow::{Context, ensure};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, ControlFilter, Double, TaskFilter, identity};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::time::Duration;
use tokio::time::timeout;

const NAME: &str = "demo.add";

fn named(id: &TaskId, name: &str, identifier: &str) -> Batch {
    let mut envelope = Envelope::new(id.clone(), TaskName::new(name).expect("a task name"));
    envelope.identifier = Some(identifier.into());
    let mut batch = Batch::new();
    batch.track(&copy_of(envelope));
    batch
}

/// Ids in the order of their time of sending.
async fn ids<const N: usize>() -> [TaskId; N] {
    let mut ids = Vec::new();
    for _ in 0..N {
        ids.push(TaskId::random());
        // Their times are milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    ids.try_into().expect("as many")
}

async fn over(site: &StoreSite, id: &TaskId) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.event(&event(id, lineage(0, 0, 0), TaskState::Success));
    site.store().apply(&batch).await?;
    Ok(())
}

async fn row(site: &StoreSite, id: &TaskId) -> anyhow::Result<TaskRow> {
    site.store().task(id.as_str()).await?.context("a row")
}

/// Whatever order they come in. One that is over, of another type, or with another identifier is nobody's
/// double.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn the_first_of_those_with_one_identity_stays_and_the_others_are_found(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let [gone, first, second, third, other] = ids().await;
    for id in [&third, &gone, &second, &first] {
        site.store().apply(&named(id, NAME, "project 17")).await?;
        if id == &gone {
            over(site, id).await?;
        }
    }
    site.store()
        .apply(&named(&other, NAME, "project 18"))
        .await?;
    let another_type = named(&TaskId::random(), "demo.echo", "project 17");
    site.store().apply(&another_type).await?;
    let doubles = site.store().doubles(0).await?;
    let of_first = |id: &TaskId| Double {
        task_id: id.clone(),
        first: first.clone(),
    };
    ensure!(doubles.len() == 2, "{doubles:?}");
    ensure!(doubles.contains(&of_first(&second)) && doubles.contains(&of_first(&third)));
    ensure!(site.store().doubles(1).await?.len() == 1);
    over(site, &first).await?;
    // Now the next is the first.
    let doubles = site.store().doubles(0).await?;
    ensure!(
        doubles.len() == 1 && doubles[0].first == second,
        "{doubles:?}"
    );
    Ok(())
}

/// At once where it waits; where it runs its worker is asked, once.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_double_is_revoked_once_and_its_history_names_the_first(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let [first, waits, runs] = ids().await;
    for id in [&first, &waits, &runs] {
        site.store().apply(&named(id, NAME, "i")).await?;
    }
    let mut batch = Batch::new();
    batch.event(&event(&runs, lineage(0, 0, 0), TaskState::Started));
    site.store().apply(&batch).await?;
    let now = site.store().clock().await?;
    let mut batch = Batch::new();
    for double in site.store().doubles(0).await? {
        let row = row(site, &double.task_id).await?;
        batch.revoke_double(&row, &double.first, now);
    }
    site.store().apply(&batch).await?;
    let revoked = row(site, &waits).await?;
    let why = revoked.error_message.context("a reason")?;
    ensure!(revoked.state == TaskState::Revoked);
    ensure!(why.contains(first.as_str()), "{why}");
    ensure!(row(site, &runs).await?.state == TaskState::Started);
    ensure!(row(site, &first).await?.state == TaskState::Pending);
    let asked = site.store().controls(&ControlFilter::default()).await?;
    let asked = asked.iter().find(|row| row.subject == runs.as_str());
    let asked = asked.context("its worker is asked")?;
    let by = asked.created_by.as_deref().context("by somebody")?;
    ensure!(
        asked.kind == "revoke" && by.contains(first.as_str()),
        "{asked:?}"
    );
    // It lives until its worker has heard of it.
    ensure!(site.store().doubles(0).await?.is_empty());
    Ok(())
}

/// Else the last that was sent.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_is_found_by_its_identity_the_living_one_first(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let [old, living, last] = ids().await;
    let found = async || -> anyhow::Result<Option<TaskId>> {
        let found = site.store().task_with_identity(NAME, "i").await?;
        Ok(found.map(|row| row.task_id))
    };
    ensure!(found().await?.is_none());
    for id in [&last, &living, &old] {
        site.store().apply(&named(id, NAME, "i")).await?;
    }
    for id in [&old, &last] {
        over(site, id).await?;
    }
    ensure!(found().await?.as_ref() == Some(&living));
    over(site, &living).await?;
    ensure!(found().await?.as_ref() == Some(&last));
    ensure!(
        site.store()
            .task_with_identity("demo.echo", "i")
            .await?
            .is_none()
    );
    let filter = TaskFilter {
        name: Some(NAME.to_owned()),
        identifier: Some("i".to_owned()),
        ..TaskFilter::default()
    };
    ensure!(site.store().tasks(&filter).await?.len() == 3);
    let filter = TaskFilter {
        identifier: Some("j".to_owned()),
        ..filter
    };
    ensure!(site.store().tasks(&filter).await?.is_empty());
    Ok(())
}

/// As soon as the other one is over, and of nobody when that was rolled back.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn of_two_transactions_that_claim_an_identity_one_is_told_of_the_other(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let [one, other] = ids().await;
    let identity = (NAME, "i");
    let insert = |id: &TaskId| {
        format!(
            "INSERT INTO background_task (id, task_id, type, service, state, run, rescue, sticky, executions, \
             deliveries, tries, rank, event_id, copy_run, copy_rescue, copy_executions, copy_digest, identifier) \
             VALUES ('{id}', '{id}', '{NAME}', 'demo', 'PENDING', 0, 0, 0, 0, 0, 0, 10, '{id}', 0, 0, 0, 0, 'i')"
        )
    };
    if !site.url().starts_with("postgres") {
        let mut connection = SqliteConnection::connect(site.url()).await?;
        let mut tx = connection.begin().await?;
        ensure!(
            identity::sqlite::living_namesake(&mut tx, identity, &one)
                .await?
                .is_none()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert(&one)))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let mut tx = connection.begin().await?;
        let found = identity::sqlite::living_namesake(&mut tx, identity, &other).await?;
        ensure!(found.as_ref() == Some(&one), "{found:?}");
        return Ok(());
    }
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut blind = PgConnection::connect(site.url()).await?;
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(begin))
            .execute(&mut blind)
            .await?;
        let refused = identity::postgres::living_namesake(&mut blind, identity, &one).await;
        let refused = refused.expect_err("it would not see the other one");
        ensure!(refused.to_string().contains("READ COMMITTED"), "{refused}");
    }
    for ends in ["ROLLBACK", "COMMIT"] {
        let mut first = PgConnection::connect(site.url()).await?;
        let mut second = PgConnection::connect(site.url()).await?;
        let mut tx = first.begin().await?;
        ensure!(
            identity::postgres::living_namesake(&mut tx, identity, &one)
                .await?
                .is_none()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert(&one)))
            .execute(&mut *tx)
            .await?;
        let waits = tokio::spawn({
            let other = other.clone();
            async move {
                let mut tx = second.begin().await?;
                identity::postgres::living_namesake(&mut tx, identity, &other).await
            }
        });
        // Once more of its own is nothing new.
        ensure!(
            identity::postgres::living_namesake(&mut tx, identity, &one)
                .await?
                .is_none()
        );
        ensure!(!waits.is_finished(), "it waits for the other transaction");
        match ends {
            "COMMIT" => tx.commit().await?,
            _ => tx.rollback().await?,
        }
        let found = timeout(Duration::from_secs(20), waits).await???;
        ensure!(
            (found.as_ref() == Some(&one)) == (ends == "COMMIT"),
            "{ends}: {found:?}"
        );
    }
    Ok(())
}

/// Until that one is over.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_send_in_of_an_identity_that_lives_is_refused_and_names_the_other(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (store, application) = (site.store(), Application::connect(site.url()).await?);
    let task = || RawTask {
        name: TaskName::new(NAME).expect("a task name"),
        args: "[1, 2]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    let options = || SendOptions::new().identifier("i");
    let mut tx = application.begin().await?;
    let first = store
        .send_raw_in(tx.connection(), task(), options())
        .await?;
    tx.commit().await?;
    let mut tx = application.begin().await?;
    let refused = store.send_raw_in(tx.connection(), task(), options()).await;
    let error = refused.err().context("refused")?;
    ensure!(error.to_string().contains(first.as_str()), "{error}");
    drop(tx);
    over(site, &first).await?;
    let mut tx = application.begin().await?;
    store
        .send_raw_in(tx.connection(), task(), options())
        .await?;
    tx.commit().await?;
    Ok(())
}
