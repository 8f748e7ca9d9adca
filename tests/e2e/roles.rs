//! The roles of `deploy/postgres/roles.sql`: what each can do, and what it is refused.

use crate::platform::{PATIENCE, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database, PostgresNode, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use std::process::Command;

/// A server of its own, because roles belong to servers, with everything in place.
struct Site {
    /// Programs that connect as `counterfoil_sync`.
    platform: Platform,
    database: Database,
    vhost: Vhost,
    _node: PostgresNode,
}

impl Site {
    async fn new() -> anyhow::Result<Self> {
        let node = PostgresNode::start().await?;
        let database = Database::of(&node).await?;
        let vhost = Broker::shared().await?.vhost().await?;
        let roles = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgres/roles.sql");
        let superuser = database.url();
        run(psql(superuser).args(["-f", roles]))?;
        Platform::init(&vhost.amqp_url(), &as_role(superuser, "counterfoil_owner")?)?;
        run(psql(superuser).args(["-f", roles]))?;
        Ok(Self {
            // Again, as who may not change the schema: there is nothing to change.
            platform: Platform::init(&vhost.amqp_url(), &as_role(superuser, "counterfoil_sync")?)?,
            database,
            vhost,
            _node: node,
        })
    }

    /// What the server says to a statement of this role: an error's code, or what was selected.
    fn says(&self, role: &str, statement: &str) -> anyhow::Result<Result<String, String>> {
        let url = as_role(self.database.url(), role)?;
        let output = psql(&url)
            .args(["-v", "VERBOSITY=sqlstate", "-c", statement])
            .output()?;
        if output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            return Ok(Ok(text.trim().to_owned()));
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let code = errors
            .lines()
            .find_map(|line| line.split("ERROR:  ").nth(1));
        Ok(Err(code
            .with_context(|| errors.to_string())?
            .trim()
            .to_owned()))
    }

    fn is_refused(&self, role: &str, statements: &[&str]) -> anyhow::Result<()> {
        for statement in statements {
            let said = self.says(role, statement)?;
            anyhow::ensure!(
                said == Err("42501".to_owned()),
                "{role} and {statement}: {said:?}"
            );
        }
        Ok(())
    }

    fn may(&self, role: &str, statements: &[&str]) -> anyhow::Result<()> {
        for statement in statements {
            let said = self.says(role, statement)?;
            anyhow::ensure!(said.is_ok(), "{role} and {statement}: {said:?}");
        }
        Ok(())
    }
}

fn psql(url: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
    psql
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("psql could not be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{errors}");
    Ok(())
}

/// The same database for somebody else; the node asks nobody for a password.
fn as_role(url: &str, role: &str) -> anyhow::Result<String> {
    let (scheme, rest) = url.split_once("://").context("a URL")?;
    let place = rest.split_once('@').map_or(rest, |(_, place)| place);
    Ok(format!("{scheme}://{role}@{place}"))
}

/// As after a restore without `--create`: where the tables are was said of the old database.
fn a_database_that_was_made_anew_needs_the_roles_again(site: &Site) -> anyhow::Result<()> {
    let superuser = site.database.url();
    run(psql(superuser).args(["-c", "CREATE DATABASE restored"]))?;
    let (server, _) = superuser.rsplit_once('/').context("a database")?;
    let owner = as_role(&format!("{server}/restored"), "counterfoil_owner")?;
    let init = Platform::init(&site.vhost.amqp_url(), &owner);
    let said = format!("{:#}", init.err().context("the owner may not write there")?);
    anyhow::ensure!(
        said.contains("permission denied for schema public (42501)")
            && said.contains("roles.sql is used, run it again"),
        "{said}"
    );
    Ok(())
}

/// What nobody but the owner, or the server's superuser, may do.
const NOBODYS: [&str; 12] = [
    "CREATE TABLE mine (n int)",
    "CREATE TEMPORARY TABLE mine (n int)",
    "CREATE TABLE public.mine (n int)",
    "DROP TABLE task_result",
    "ALTER TABLE task_result ADD COLUMN mine int",
    "TRUNCATE task_result",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SET ROLE counterfoil_owner",
    "CREATE ROLE mine",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY task_result TO '/tmp/counterfoil-results'",
    "COPY task_result FROM PROGRAM 'id'",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_of_the_database_may_do_its_own_work_and_nothing_else() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    the_daemon_mirrors(&mut site).await?;
    a_worker_sees_results_alone(&site)?;
    who_shows_tasks_reads_and_asks(&site)?;
    who_may_only_ask_cancels_tasks(&mut site).await?;
    who_writes_changes_no_table(&site)?;
    a_database_that_was_made_anew_needs_the_roles_again(&site)?;
    Ok(())
}

async fn the_daemon_mirrors(site: &mut Site) -> anyhow::Result<()> {
    let mut daemon = site.platform.daemon()?;
    let mut worker = site.platform.worker()?;
    let sent = site
        .platform
        .cli(&["send", "demo.add", r#"{"x": 2, "y": 3}"#])?;
    let id = String::from_utf8(sent.stdout)?;
    let store = site.platform.store().await?;
    wait_for_state(&*store, id.trim(), TaskState::Success, PATIENCE).await?;
    store.prepare_months().await?;
    store.drop_empty_months().await?;
    daemon.assert_running()?;
    worker.assert_running()?;
    let doctor = site.platform.cli(&["doctor"])?;
    let said = String::from_utf8(doctor.stdout)?;
    anyhow::ensure!(said.contains("ok    database role"), "{said}");
    Ok(())
}

fn a_worker_sees_results_alone(site: &Site) -> anyhow::Result<()> {
    let worker = "counterfoil_worker";
    site.is_refused(worker, &NOBODYS)?;
    site.is_refused(
        worker,
        &[
            "SELECT * FROM background_task",
            "UPDATE background_task SET state = 'SUCCESS'",
            "DELETE FROM background_task",
            "DELETE FROM task_result",
            "SELECT * FROM task_event",
            "INSERT INTO task_log SELECT * FROM task_log",
            "SELECT * FROM dead",
            "SELECT * FROM parked",
            "SELECT * FROM outbox",
            "SELECT * FROM control",
            "SELECT * FROM task_change",
            "SELECT * FROM operator_action",
            "SELECT * FROM request_key",
            "SELECT * FROM counterfoil_migrations",
            "SELECT counterfoil_prepare_months(1)",
            "SELECT lo_import('/etc/passwd')",
        ],
    )?;
    site.may(
        worker,
        &[
            "SELECT status FROM task_result",
            "INSERT INTO task_result (task_id, run, status, rescue, sticky, executions, deliveries, tries, rank, event_id, date_done)
             VALUES ('python', 0, 'SUCCESS', 0, 2, 0, 0, 0, 90, gen_random_uuid(), now())",
            "UPDATE task_result SET result = '1' WHERE task_id = 'python'",
        ],
    )
}

fn who_shows_tasks_reads_and_asks(site: &Site) -> anyhow::Result<()> {
    let web = "counterfoil_web";
    site.is_refused(web, &NOBODYS)?;
    site.is_refused(
        web,
        &[
            "UPDATE background_task SET held = true",
            "DELETE FROM background_task",
            "INSERT INTO task_result SELECT * FROM task_result",
            "DELETE FROM task_event",
            "UPDATE control SET ends_at = now()",
            "DELETE FROM outbox",
            "UPDATE outbox SET sent_at = now()",
            "INSERT INTO dead SELECT * FROM dead",
            "SELECT counterfoil_drop_empty_months()",
            "DELETE FROM task_change",
            "INSERT INTO task_rollup SELECT * FROM task_rollup",
            "UPDATE operator_action SET who = 'nobody'",
            "DELETE FROM operator_action",
            "UPDATE request_key SET task_id = 'other'",
        ],
    )?;
    site.may(
        web,
        &[
            "SELECT count(*) FROM background_task",
            "SELECT count(*) FROM task_event",
            "SELECT count(*) FROM dead",
            "INSERT INTO control (id, kind, subject, created_date)
             VALUES (gen_random_uuid(), 'quiet', 'nobody', now())",
            "SELECT count(*), pg_current_snapshot() FROM task_change, task_change_mark",
            "SELECT sum(tasks) FROM (TABLE task_rollup_delta) AS delta",
            "SELECT sum(tasks) FROM task_rollup",
            "INSERT INTO operator_action (id, who, role, action, outcome)
             VALUES (gen_random_uuid(), 'ana', 'operator', 'cancel', 'done') ON CONFLICT DO NOTHING",
            "INSERT INTO request_key (owner, key, digest, task_id) VALUES ('ana', 'k', '', 't1')
             ON CONFLICT DO NOTHING",
            "UPDATE request_key SET answered_at = now() WHERE owner = 'ana' AND answered_at IS NULL",
            "UPDATE request_key SET created_at = now() WHERE owner = 'ana' AND answered_at IS NOT NULL",
            "DELETE FROM request_key WHERE owner = 'ana'",
        ],
    )
}

async fn who_may_only_ask_cancels_tasks(site: &mut Site) -> anyhow::Result<()> {
    let (store, mut daemon) = (site.platform.store().await?, site.platform.daemon()?);
    let send = |name| {
        site.platform
            .cli(&["send", name, r#"{"x": 2, "y": 3}"#, "--countdown", "1h"])
    };
    let [cancelled, held] = [send("demo.add")?, send("demo.add")?];
    let id = |output: std::process::Output| String::from_utf8(output.stdout);
    let (cancelled, held) = (
        id(cancelled)?.trim().to_owned(),
        id(held)?.trim().to_owned(),
    );
    for id in [&cancelled, &held] {
        wait_for_state(&*store, id, TaskState::Pending, PATIENCE).await?;
    }
    let url = as_role(site.database.url(), "counterfoil_web")?;
    // Programs that are started from now on.
    site.platform.set("COUNTERFOIL_DATABASE__URL", url.into());
    let web = &site.platform;
    let listed = web.cli(&["task", "list", "--state", "PENDING", "--json"])?;
    let listed = String::from_utf8(listed.stdout)?;
    anyhow::ensure!(
        listed.contains(&cancelled) && listed.contains(&held),
        "{listed}"
    );
    for command in [["task", "cancel", &cancelled], ["task", "pause", &held]] {
        let done = web.cli(&command)?;
        let errors = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success() && errors.is_empty(), "{errors}");
    }
    wait_for_state(&*store, &cancelled, TaskState::Revoked, PATIENCE).await?;
    eventually("the other to be held", PATIENCE, async || {
        let row = store.task(&held).await?.context("a row")?;
        Ok(row.held.then_some(()))
    })
    .await?;
    let deleted = web.cli(&["task", "delete", &cancelled])?;
    let errors = String::from_utf8_lossy(&deleted.stderr);
    anyhow::ensure!(
        !deleted.status.success() && errors.contains("permission denied"),
        "{errors}"
    );
    daemon.assert_running()
}

fn who_writes_changes_no_table(site: &Site) -> anyhow::Result<()> {
    let sync = "counterfoil_sync";
    site.is_refused(sync, &NOBODYS)?;
    site.is_refused(
        sync,
        &[
            "DELETE FROM counterfoil_migrations",
            "DROP FUNCTION counterfoil_prepare_months(integer)",
            "ALTER TABLE background_task DISABLE TRIGGER ALL",
            "UPDATE operator_action SET who = 'nobody'",
            "DELETE FROM operator_action",
        ],
    )?;
    // A table of a later migration.
    site.may("counterfoil_owner", &["CREATE TABLE later (n int)"])?;
    site.may(sync, &["INSERT INTO later VALUES (1)"])?;
    site.may("counterfoil_web", &["SELECT n FROM later"])?;
    site.is_refused("counterfoil_worker", &["SELECT n FROM later"])?;
    site.is_refused("counterfoil_web", &["INSERT INTO later VALUES (2)"])
}
