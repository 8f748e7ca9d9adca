//! What an application may do under a role of its own, with the rights that `deploy/postgres/roles.sql` gives it.

use anyhow::{Context, ensure};
use counterfoil_store::{StoreOptions, connect};
use counterfoil_testkit::{Application, Database, PostgresNode};
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use std::process::Command;
use std::time::Duration;

/// Runs psql on a database.
fn psql(url: &str, arguments: [&str; 2]) -> anyhow::Result<()> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url])
        .args(arguments);
    let output = psql.output().context("psql could not be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(())
}

/// The same database for somebody else; the node asks nobody for a password.
fn as_role(url: &str, role: &str) -> anyhow::Result<String> {
    let (scheme, rest) = url.split_once("://").context("a URL")?;
    let (_, place) = rest.split_once('@').context("a user")?;
    Ok(format!("{scheme}://{role}@{place}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_under_a_role_of_its_own_sends_in_its_transactions() -> anyhow::Result<()> {
    // A server of its own, because roles belong to servers.
    let node = PostgresNode::start().await?;
    let database = Database::of(&node).await?;
    let roles = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/postgres/roles.sql"
    );
    let options = |role| {
        let url = as_role(database.url(), role)?;
        anyhow::Ok(StoreOptions::new(url).id_secret("only for tests"))
    };
    psql(database.url(), ["-f", roles])?;
    let owner = connect(&options("counterfoil_owner")?).await?;
    owner.migrate().await?;
    psql(database.url(), ["-f", roles])?;
    for statement in [
        "CREATE ROLE shop LOGIN IN ROLE counterfoil_app",
        "ALTER ROLE shop SET search_path = public, counterfoil",
    ] {
        psql(database.url(), ["-c", statement])?;
    }

    let store = connect(&options("shop")?).await?;
    let application = Application::connect(&as_role(database.url(), "shop")?).await?;
    let mut ids = Vec::new();
    for send in [
        SendOptions::new(),
        SendOptions::new().countdown(Duration::from_secs(600)),
    ] {
        let mut transaction = application.begin().await?;
        let task = RawTask {
            name: TaskName::new("demo.add")?,
            args: "[1, 2]".to_owned(),
            kwargs: "{}".to_owned(),
        };
        let sent = store.send_raw_in(transaction.connection(), task, send);
        ids.push(sent.await?);
        transaction.commit().await?;
    }
    for id in &ids {
        owner.task(id.as_str()).await?.context("its row")?;
    }
    let others = application.execute("SELECT * FROM task_result").await;
    ensure!(others.is_err(), "results are nobody's business there");
    Ok(())
}
