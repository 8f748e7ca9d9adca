//! Searching where the database lacks the extension that makes it quick, and may not get it.

use anyhow::{Context, ensure};
use counterfoil_store::{Batch, Store, StoreOptions, TaskFilter, connect};
use counterfoil_testkit::Database;
use counterfoil_testkit::store_suite::{StoreSite, copy, event, lineage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;

async fn execute(url: &str, statement: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    Ok(())
}

async fn indexes(url: &str) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let count =
        "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'background\\_task\\_%\\_part'";
    let (count,) = sqlx::query_as(count).fetch_one(&mut connection).await?;
    Ok(count)
}

async fn found(store: &dyn Store) -> anyhow::Result<usize> {
    let filter = TaskFilter {
        text: Some("such proj".to_owned()),
        ..TaskFilter::default()
    };
    let page = store.page(&filter, Duration::from_secs(20)).await?;
    Ok(page.tasks.len())
}

#[tokio::test]
async fn an_index_of_parts_that_was_broken_off_is_not_taken_for_one() -> anyhow::Result<()> {
    let site = StoreSite::postgres().await?;
    let made = async || {
        let made = site.text("SELECT counterfoil_index_search()::text").await;
        Ok::<_, anyhow::Error>(made?.context("an answer")? == "true")
    };
    ensure!(made().await?);
    site.execute(
        "UPDATE pg_index SET indisvalid = false
         WHERE indexrelid = 'background_task_error_part'::regclass",
    )
    .await?;
    ensure!(!made().await?);
    site.execute("DROP INDEX background_task_error_part")
        .await?;
    ensure!(made().await?);
    Ok(())
}

#[tokio::test]
async fn who_may_not_make_the_extension_migrates_all_the_same_and_searches_without()
-> anyhow::Result<()> {
    let database = Database::fresh().await?;
    let owner = format!("owner_{}", Uuid::now_v7().simple());
    let superuser = database.url();
    execute(
        superuser,
        &format!(
            "CREATE ROLE {owner} LOGIN; CREATE SCHEMA {owner} AUTHORIZATION {owner};
             ALTER ROLE {owner} SET search_path = {owner};"
        ),
    )
    .await?;
    let (scheme, place) = superuser.split_once("://").context("a URL")?;
    let (_, place) = place.split_once('@').context("a user")?;
    let url = format!("{scheme}://{owner}@{place}");
    let store = connect(&StoreOptions::new(url.clone()).id_secret("only for tests")).await?;
    store.migrate().await?;
    ensure!(indexes(superuser).await? == 0);
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    batch.event(&event(&id, lineage(0, 0, 0), TaskState::Failure));
    store.apply(&batch).await?;
    ensure!(found(&*store).await? == 1);

    // As docs/operate.md says.
    execute(superuser, "CREATE EXTENSION pg_trgm SCHEMA public").await?;
    let mut connection = PgConnection::connect(&url).await?;
    let (made,): (bool,) = sqlx::query_as("SELECT counterfoil_index_search()")
        .fetch_one(&mut connection)
        .await?;
    ensure!(made && indexes(superuser).await? == 2);
    ensure!(found(&*store).await? == 1);
    store.close().await;
    connection.close().await?;
    execute(
        superuser,
        &format!("DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}"),
    )
    .await
}
