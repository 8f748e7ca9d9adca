//! What cannot be opened or reached is named, its password is not.

use anyhow::{Context, ensure};
use counterfoil_store::{FaultClass, StoreError, StoreOptions, connect};
use counterfoil_testkit::Database;
use counterfoil_testkit::store_suite::{StoreSite, copy};
use counterfoil_toolbox::ids::TaskId;
use sqlx::{Connection, PgConnection};
use std::time::Duration;

/// The whole chain of an error, as logs and the command line print it, and its debug form.
fn everything(error: &StoreError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

async fn refused(url: &str) -> anyhow::Result<StoreError> {
    let mut options = StoreOptions::new(url).id_secret("canary-of-ids");
    options.acquire_timeout = Duration::from_millis(500);
    ensure!(
        !format!("{options:?}").contains("canary"),
        "options show a secret"
    );
    connect(&options).await.err().context("the database opened")
}

#[tokio::test]
async fn a_url_that_names_no_database_is_refused_without_being_repeated() -> anyhow::Result<()> {
    for url in [
        "mysql://user:canary@host/db",
        "canary",
        "://canary",
        "",
        "postgresql://user:canary@host:port/db",
        "postgresql://user:canary@[::1/db",
        "sqlite::memory:",
        "sqlite://",
        "sqlite://file.db?mode=canary",
    ] {
        let error = refused(url).await?;
        ensure!(
            matches!(error, StoreError::BadUrl { .. }),
            "{url}: {error:?}"
        );
        ensure!(
            !everything(&error).contains("canary") || url.contains("mode"),
            "{error:?}"
        );
        ensure!(error.class() == FaultClass::Fatal);
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_and_named_without_its_password()
-> anyhow::Result<()> {
    let error = refused("postgresql://user:canary@127.0.0.1:1/db").await?;
    let text = everything(&error);
    ensure!(error.is_transient(), "{text}");
    ensure!(
        text.contains("PostgreSQL at 127.0.0.1:1, database db"),
        "{text}"
    );
    ensure!(!text.contains("canary"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() -> anyhow::Result<()> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("postgresql://user:canary@{}/db", silent.local_addr()?);
    let error = refused(&url).await?;
    ensure!(error.is_transient(), "{}", everything(&error));
    Ok(())
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_waited_for() -> anyhow::Result<()> {
    let database = Database::fresh().await?;
    let url = format!("{}_not_there", database.url());
    let error = refused(&url).await?;
    ensure!(error.class() == FaultClass::Fatal, "{}", everything(&error));
    ensure!(error.code() == Some("3D000"));
    Ok(())
}

#[tokio::test]
async fn a_database_that_was_never_migrated_says_so() -> anyhow::Result<()> {
    let folder = StoreSite::sqlite().await?;
    for site in [folder, StoreSite::postgres().await?] {
        let (url, _place) = site.empty().await?;
        let store = connect(&StoreOptions::new(url).id_secret("s")).await?;
        let pending = store.pending_migrations().await?;
        ensure!(
            pending.first().is_some_and(|name| name == "1 tasks"),
            "{pending:?}"
        );
        let mut batch = counterfoil_store::Batch::new();
        batch.track(&copy(&TaskId::random()));
        let error = store
            .apply(&batch)
            .await
            .err()
            .context("there is no table")?;
        ensure!(error.class() == FaultClass::Fatal, "{}", everything(&error));
        ensure!(
            format!("{store:?}").len() < 200,
            "a store prints no more than its server"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_database_with_another_schema_of_the_same_number_is_refused() -> anyhow::Result<()> {
    let site = StoreSite::postgres().await?;
    let store = connect(&StoreOptions::new(site.url()).id_secret("s")).await?;
    let mut other = PgConnection::connect(site.url()).await?;
    for change in [
        "UPDATE counterfoil_migrations SET checksum = 'x' WHERE version = 1",
        "UPDATE counterfoil_migrations SET version = 99 WHERE version = 1",
    ] {
        sqlx::raw_sql(change).execute(&mut other).await?;
        let error = store.migrate().await.err().context("refused")?;
        ensure!(error.class() == FaultClass::Fatal, "{}", everything(&error));
        ensure!(matches!(error, StoreError::Migrate { .. }), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_too_long_is_ended_and_may_be_tried_again()
-> anyhow::Result<()> {
    let site = StoreSite::postgres().await?;
    let mut options = StoreOptions::new(site.url()).id_secret("s");
    options.statement_timeout = Duration::from_millis(300);
    let store = connect(&options).await?;
    let mut blocker = PgConnection::connect(site.url()).await?;
    sqlx::raw_sql("BEGIN; LOCK TABLE background_task")
        .execute(&mut blocker)
        .await?;
    let mut batch = counterfoil_store::Batch::new();
    batch.track(&copy(&TaskId::random()));
    let error = store
        .apply(&batch)
        .await
        .err()
        .context("the table is locked")?;
    ensure!(
        error.is_transient() && error.code() == Some("57014"),
        "{}",
        everything(&error)
    );
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await?;
    ensure!(store.apply(&batch).await?.tasks == 1);
    Ok(())
}
