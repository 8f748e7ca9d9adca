//! A database for each test.

use counterfoil_testkit::Database;
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn two_databases_do_not_see_each_other() -> anyhow::Result<()> {
    let (one, other) = (Database::fresh().await?, Database::fresh().await?);
    let mut connection = PgConnection::connect(one.url()).await?;
    sqlx::raw_sql("CREATE TABLE stub (id int)")
        .execute(&mut connection)
        .await?;
    // Fails if it were the same one.
    let mut connection = PgConnection::connect(other.url()).await?;
    sqlx::raw_sql("CREATE TABLE stub (id int)")
        .execute(&mut connection)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_dropped_database_is_gone_although_somebody_is_connected() -> anyhow::Result<()> {
    let witness = Database::fresh().await?;
    let database = Database::fresh().await?;
    let url = database.url().to_owned();
    let _open = PgConnection::connect(&url).await?;
    drop(database);
    let error = PgConnection::connect(&url)
        .await
        .expect_err("the database is gone");
    assert!(error.to_string().contains("does not exist"), "{error}");
    PgConnection::connect(witness.url()).await?;
    Ok(())
}
