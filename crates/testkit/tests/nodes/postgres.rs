//! A private PostgreSQL: what survives which end.

use counterfoil_testkit::{Database, PostgresNode, PostgresOptions};
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn what_was_committed_survives_every_kind_of_end() -> anyhow::Result<()> {
    let mut node = PostgresNode::start().await?;
    let database = Database::of(&node).await?;
    let mut connection = PgConnection::connect(database.url()).await?;
    sqlx::raw_sql("CREATE TABLE stub (id int); INSERT INTO stub VALUES (1)")
        .execute(&mut connection)
        .await?;

    node.kill9()?;
    assert!(
        PgConnection::connect(database.url()).await.is_err(),
        "nobody is there"
    );
    node.restart().await?;
    insert_one_more(&database).await?;

    node.stop_immediate().await?;
    assert!(
        node.stop_immediate().await.is_err(),
        "it cannot be stopped twice"
    );
    node.restart().await?;
    insert_one_more(&database).await?;

    node.restart().await?;
    assert_eq!(insert_one_more(&database).await?, 4);
    database.close().await
}

#[tokio::test]
async fn the_socket_leads_to_the_same_server() -> anyhow::Result<()> {
    let node = PostgresNode::start().await?;
    let port = i32::from(node.port());
    for url in [node.url("postgres"), node.socket_url("postgres")] {
        let mut connection = PgConnection::connect(&url).await?;
        let port_of_server: i32 = sqlx::query_scalar("SELECT current_setting('port')::int")
            .fetch_one(&mut connection)
            .await?;
        assert_eq!(port_of_server, port, "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn settings_reach_the_server() -> anyhow::Result<()> {
    let options = PostgresOptions {
        fsync: true,
        settings: vec![("statement_timeout".to_owned(), "1234ms".to_owned())],
    };
    let node = PostgresNode::start_with(options).await?;
    let mut connection = PgConnection::connect(&node.url("postgres")).await?;
    let settings: (String, String) =
        sqlx::query_as("SELECT current_setting('fsync'), current_setting('statement_timeout')")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(settings, ("on".to_owned(), "1234ms".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let options = PostgresOptions {
        settings: vec![("no_such_setting".to_owned(), "1".to_owned())],
        ..Default::default()
    };
    let error = PostgresNode::start_with(options)
        .await
        .expect_err("the setting does not exist");
    assert!(
        format!("{error:#}").contains("no_such_setting"),
        "{error:#}"
    );
}

async fn insert_one_more(database: &Database) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(database.url()).await?;
    sqlx::raw_sql("INSERT INTO stub VALUES (1)")
        .execute(&mut connection)
        .await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM stub")
        .fetch_one(&mut connection)
        .await?)
}
