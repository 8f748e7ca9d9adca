//! What `doctor` asks the database.

use crate::failure::Failure;
use crate::when::shown;
use chrono::TimeDelta;
use counterfoil_store::record::CanaryRow;
use counterfoil_store::{Batch, CanaryPlace, Store, StoreError};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::doctor::{Check, canaries_last};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{QueueDepth, Transport};
use std::time::Duration;
use uuid::Uuid;

/// Clocks that differ by less are taken for the same.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// Looks at database, clock, schema and rights, and at what the daemon left in it.
pub(super) async fn look(
    store: &dyn Store,
    broker: Option<(&AmqpTransport, &Names)>,
    canary_interval: Duration,
) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Err(error) = looked_at(store, broker, canary_interval, &mut checks).await {
        checks.push(Failure::from(error).check("database"));
    }
    checks
}

async fn looked_at(
    store: &dyn Store,
    broker: Option<(&AmqpTransport, &Names)>,
    canary_interval: Duration,
    checks: &mut Vec<Check>,
) -> Result<(), StoreError> {
    store.ping().await?;
    let version = store.version().await?;
    let what = format!("{} answers, version {version}", store.server());
    checks.push(Check::ok("database", what));
    checks.extend(lacks(store.server(), &version));
    let before = chrono::Utc::now();
    let theirs = store.clock().await?;
    let ours = before + (chrono::Utc::now() - before) / 2;
    let skew = theirs - ours;
    checks.push(match skew.abs() < SKEW {
        true => Check::ok("clock", "the database's clock is ours"),
        false => Check::warn(
            "clock",
            format!(
                "the database's clock differs from ours by {} s",
                skew.num_seconds()
            ),
            "set both by the network; order and leases are right all the same",
        ),
    });
    let pending = store.pending_migrations().await?;
    if !pending.is_empty() {
        let what = format!("not applied yet: {}", pending.join(", "));
        checks.push(Check::fail("migrations", what, "run `counterfoil init`"));
        return Ok(());
    }
    checks.push(Check::ok("migrations", "all applied"));
    checks.push(role(store).await);
    let is_read = match broker {
        Some((transport, names)) => is_read(transport, names).await,
        None => true,
    };
    checks.push(daemon(store, canary_interval, is_read).await?);
    checks.extend(super::outbox::look(store, broker).await?);
    checks.extend(unroutable(store).await?);
    Ok(())
}

/// The oldest PostgreSQL that the statements are made for.
const POSTGRES: u32 = 15;

/// What a database of this kind and version does less well.
fn lacks(server: &str, version: &str) -> Option<Check> {
    let name = "database version";
    if !server.starts_with("PostgreSQL") {
        return Some(Check::ok(
            name,
            "SQLite: one writer at a time, all programs on this machine, and the outbox is looked at every \
             sync.outbox_interval",
        ));
    }
    let digits = version.split(|c: char| !c.is_ascii_digit()).next();
    match digits.and_then(|digits| digits.parse::<u32>().ok()) {
        Some(POSTGRES..) => None,
        Some(_) => Some(Check::fail(
            name,
            format!("PostgreSQL {version} lacks statements that every write needs"),
            "use PostgreSQL 15 or newer: `pg_upgradecluster`, or dump and restore",
        )),
        None => Some(Check::warn(
            name,
            format!("{version:?} cannot be compared"),
            "look at it yourself: PostgreSQL 15 or newer is needed",
        )),
    }
}

/// Services whose names are told: of many, most are mistyped in the same way.
const NAMED: usize = 5;

/// Tasks whose service has no queue: nobody else says so before somebody misses them.
async fn unroutable(store: &dyn Store) -> Result<Option<Check>, StoreError> {
    let services = store.unroutable_services().await?;
    if services.is_empty() {
        return Ok(None);
    }
    let counts = store.counts_by_state(None).await?;
    let count = counts.iter().find(|it| it.state == TaskState::Unroutable);
    let named: Vec<&str> = services.iter().take(NAMED).map(String::as_str).collect();
    let more = match services.len() > NAMED {
        true => " and more",
        false => "",
    };
    let what = format!(
        "{} for services that have no queue: {}{more}",
        match count.map_or(0, |it| it.tasks) {
            1 => "1 task waits".to_owned(),
            n => format!("{n} tasks wait"),
        },
        named.join(", ")
    );
    Ok(Some(Check::warn(
        "unroutable",
        what,
        "start a worker of the service, which makes the queue, and they are sent by themselves; where the name is \
         mistyped: `counterfoil task cancel --state UNROUTABLE --service NAME`",
    )))
}

/// Whether the user may write, as the daemon does all the time: a canary that nobody sent is marked
/// as seen, which changes no row and needs the same rights.
async fn role(store: &dyn Store) -> Check {
    let mut batch = Batch::new();
    batch.canary(Uuid::nil(), CanaryPlace::Tracking);
    let Err(error) = store.apply(&batch).await else {
        return Check::ok("database role", "it may write");
    };
    let remedy = match error.code() {
        // insufficient_privilege
        Some("42501") => {
            "let the user of database.url read and write all tables of the schema, or use the one that \
             ran `counterfoil init`; only commands that look at tasks can do without"
        }
        // read_only_sql_transaction, SQLITE_READONLY
        Some("25006" | "8") => {
            "name the server that takes writes in database.url, or make file and folder writable"
        }
        _ => return Failure::from(error).check("database role"),
    };
    Check::fail("database role", ErrorChain(&error).to_string(), remedy)
}

/// Whether somebody reads what happens, as far as the broker can be asked.
async fn is_read(transport: &AmqpTransport, names: &Names) -> bool {
    let depth = transport.depth(&names.tracking_queue).await;
    !matches!(depth, Ok(Some(QueueDepth { consumers: 0, .. })))
}

/// Whether canaries come through, and so whether a daemon runs.
async fn daemon(store: &dyn Store, interval: Duration, is_read: bool) -> Result<Check, StoreError> {
    let canaries = store.canaries(2).await?;
    let arrived = canaries
        .iter()
        .find(|canary| canary.missing().next().is_none());
    let now = store.clock().await?;
    let lately = canaries_last(interval);
    let is_late = |canary: &CanaryRow| {
        (now - canary.sent_at)
            .to_std()
            .is_ok_and(|age| age >= lately)
    };
    Ok(match (arrived, canaries.first()) {
        (Some(canary), _) if !is_late(canary) && !is_read => Check::warn(
            "daemon",
            format!(
                "none reads now; the last canary that came through left at {}",
                shown(canary.sent_at)
            ),
            "start counterfoil-sync",
        ),
        (Some(canary), _) if !is_late(canary) => Check::ok(
            "daemon",
            format!("a canary came through within the last {lately:?}"),
        ),
        (_, Some(canary)) => Check::warn(
            "daemon",
            format!(
                "the last canary left at {} and did not come through, or that is long ago",
                shown(canary.sent_at)
            ),
            "start counterfoil-sync; where it runs, its log and GET /readyz say what it waits for; one that stands still \
             has to be restarted; one that has another database.url takes what belongs into this one, and has to end",
        ),
        (None, None) => Check::warn(
            "daemon",
            "no canary was ever sent",
            "start counterfoil-sync",
        ),
        (Some(_), None) => Check::ok("daemon", "a canary came through"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::doctor::Outcome;

    #[test]
    fn a_postgresql_that_is_too_old_fails_and_sqlite_says_what_it_is_for() {
        let outcome = |server: &str, version: &str| lacks(server, version).map(|it| it.outcome);
        let postgres = "PostgreSQL at db:5432, database counterfoil";
        assert_eq!(outcome(postgres, "14.9"), Some(Outcome::Fail));
        assert_eq!(outcome(postgres, "15.13 (Debian 15.13-0+deb12u1)"), None);
        assert_eq!(outcome(postgres, "18beta1"), None);
        assert_eq!(outcome(postgres, "devel"), Some(Outcome::Warn));
        assert_eq!(outcome("SQLite at own.db", "3.50.1"), Some(Outcome::Ok));
    }
}
