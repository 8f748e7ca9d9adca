//! What programs may do under a role of their own, with the rights that `deploy/postgres/roles.sql` gives it.

use anyhow::{Context, ensure};
use chrono::Utc;
use counterfoil_store::{Batch, DeadLetter, Deed, Store, StoreOptions, connect};
use counterfoil_testkit::store_suite::{copy, lineage};
use counterfoil_testkit::{Application, Database, PostgresNode};
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use std::process::Command;
use std::sync::Arc;
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

/// A server of its own, because roles belong to servers, with the tables and the rights on them.
struct Site {
    database: Database,
    owner: Arc<dyn Store>,
    _node: PostgresNode,
}

impl Site {
    async fn new() -> anyhow::Result<Self> {
        let node = PostgresNode::start().await?;
        let database = Database::of(&node).await?;
        let roles = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../deploy/postgres/roles.sql"
        );
        psql(database.url(), ["-f", roles])?;
        let owner = connect(&options(&database, "counterfoil_owner")?).await?;
        owner.migrate().await?;
        psql(database.url(), ["-f", roles])?;
        Ok(Self {
            database,
            owner,
            _node: node,
        })
    }

    /// As the server's superuser.
    fn execute(&self, statement: &str) -> anyhow::Result<()> {
        psql(self.database.url(), ["-c", statement])
    }

    async fn store(&self, role: &str) -> anyhow::Result<Arc<dyn Store>> {
        Ok(connect(&options(&self.database, role)?).await?)
    }
}

fn options(database: &Database, role: &str) -> anyhow::Result<StoreOptions> {
    let url = as_role(database.url(), role)?;
    Ok(StoreOptions::new(url).id_secret("only for tests"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_under_a_role_of_its_own_sends_in_its_transactions() -> anyhow::Result<()> {
    let site = Site::new().await?;
    for statement in [
        "CREATE ROLE shop LOGIN IN ROLE counterfoil_app",
        "ALTER ROLE shop SET search_path = public, counterfoil",
    ] {
        site.execute(statement)?;
    }

    let store = site.store("shop").await?;
    let url = as_role(site.database.url(), "shop")?;
    let application = Application::connect(&url).await?;
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
        site.owner.task(id.as_str()).await?.context("its row")?;
    }
    let others = application.execute("SELECT * FROM task_result").await;
    ensure!(others.is_err(), "results are nobody's business there");
    Ok(())
}

/// What is written once a task was sent again, and once its message was taken out of a dead queue.
fn records() -> [Batch; 2] {
    let mut copy = copy(&TaskId::random());
    copy.envelope.lineage.run = 1;
    let deed = Deed {
        action: "rerun",
        by: Some("ana"),
        at: Utc::now(),
    };
    let [mut sent, mut taken_out] = [Batch::new(), Batch::new()];
    sent.rerun(&copy, deed);
    taken_out.handle_dead(DeadLetter {
        service: "demo".into(),
        reason: "exhausted".into(),
        reason_text: None,
        task_id: Some(copy.envelope.id),
        name: Some("demo.add".into()),
        lineage: lineage(0, 0, 0),
        died_at: None,
        message: copy.message,
    });
    [sent, taken_out]
}

/// Who could not record a run must learn that before it is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_that_only_ask_are_told_from_those_that_record_what_was_sent_again()
-> anyhow::Result<()> {
    let site = Site::new().await?;
    let [web, sync] = [
        site.store("counterfoil_web").await?,
        site.store("counterfoil_sync").await?,
    ];
    ensure!(web.only_asks().await?.as_deref() == Some("counterfoil_web"));
    for writes in [&sync, &site.owner] {
        let told = writes.only_asks().await?;
        ensure!(told.is_none(), "{told:?}");
    }
    // As they were told.
    for batch in &records() {
        let refused = web.apply(batch).await.err().context("it was written")?;
        ensure!(refused.is_forbidden(), "{refused:?}");
        sync.apply(batch).await?;
    }
    // One right that is missing is one too many.
    for (right, table) in [
        ("UPDATE", "background_task"),
        ("INSERT", "task_event"),
        ("DELETE", "dead"),
        ("INSERT", "task_change"),
        ("INSERT", "task_rollup_delta"),
    ] {
        let table = format!("counterfoil.{table}");
        site.execute(&format!("REVOKE {right} ON {table} FROM counterfoil_sync"))?;
        let told = sync.only_asks().await?;
        ensure!(
            told.as_deref() == Some("counterfoil_sync"),
            "{right} on {table}: {told:?}"
        );
        site.execute(&format!("GRANT {right} ON {table} TO counterfoil_sync"))?;
    }
    ensure!(sync.only_asks().await?.is_none());
    Ok(())
}
