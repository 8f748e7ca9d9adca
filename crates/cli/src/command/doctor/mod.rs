//! `doctor`: what is wrong, and what to do about it.

use super::topology::wanted;
use crate::args::Global;
use crate::failure::{Code, Failure};
use crate::open;
use crate::output::Output;
use crate::text::plain;
use chrono::TimeDelta;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::config::{Config, Needs, Profile};
use counterfoil_toolbox::doctor::{Check, Outcome, broker, broker_fault, configuration, topology};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use secrecy::ExposeSecret;

/// Clocks that differ by less are taken for the same.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// Fits every development machine, and so hides nothing.
const DEVELOPMENT_SECRET: &str = "development";

pub(crate) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BOTH)?;
    let mut checks = configuration(&config);
    checks.extend(secret(&config));
    checks.extend(at_broker(&config).await?);
    checks.extend(at_database(&config).await);
    print(&checks, output)?;
    let failed: Vec<_> = checks
        .iter()
        .filter(|c| c.outcome == Outcome::Fail)
        .collect();
    match failed.len() {
        0 => Ok(()),
        1 => Err(Failure::failed(format!(
            "1 check failed: {}",
            failed[0].name
        ))),
        n => Err(Failure::failed(format!("{n} checks failed"))),
    }
}

fn print(checks: &[Check], output: &mut Output) -> Result<(), Failure> {
    for check in checks {
        if output.is_json() {
            output.document(check)?;
            continue;
        }
        let (is, name) = (check.outcome.as_str(), plain(&check.name));
        output.line(format_args!("{is:<4}  {name}: {}", plain(&check.detail)))?;
        if let Some(remedy) = &check.remedy {
            output.line(format_args!("      {}", plain(remedy)))?;
        }
    }
    Ok(())
}

fn secret(config: &Config) -> Option<Check> {
    let secret = config.database.as_ref()?.id_secret.expose_secret();
    (config.profile == Profile::Production && secret == DEVELOPMENT_SECRET).then(|| {
        Check::fail(
            "id secret",
            "database.id_secret is the one that everybody knows",
            "set it to a random text before the first task is mirrored; public ids change with it",
        )
    })
}

async fn at_broker(config: &Config) -> Result<Vec<Check>, Failure> {
    let transport = AmqpTransport::new(&config.broker)
        .map_err(|error| Failure::new(Code::Configuration, error))?;
    let mut checks =
        match tokio::time::timeout(config.broker.connect_timeout * 2, broker(&*transport)).await {
            Ok(checks) => checks,
            Err(_) => vec![broker_fault(
                &counterfoil_toolbox::transport::TransportError::Timeout {
                    what: format!("a connection to {}", open::addresses(&config.broker)),
                    after: config.broker.connect_timeout * 2,
                },
            )],
        };
    let answers = checks
        .iter()
        .all(|check| check.name != "broker" || check.outcome == Outcome::Ok);
    if answers {
        let wanted = wanted(&config.broker)?;
        let items = wanted.ours.into_iter().chain(wanted.of_others).collect();
        checks.extend(topology(&*transport, items).await);
    }
    transport.close().await;
    Ok(checks)
}

async fn at_database(config: &Config) -> Vec<Check> {
    let store = match open::database(config).await {
        Ok(store) => store,
        Err(failure) => {
            let (what, remedy) = failure.told();
            return vec![Check::fail("database", what, &remedy)];
        }
    };
    let mut checks = Vec::new();
    match looked_at(&*store, &mut checks).await {
        Ok(()) => {}
        Err(error) => {
            let (what, remedy) = Failure::from(error).told();
            checks.push(Check::fail("database", what, &remedy));
        }
    }
    store.close().await;
    checks
}

async fn looked_at(store: &dyn Store, checks: &mut Vec<Check>) -> Result<(), StoreError> {
    store.ping().await?;
    checks.push(Check::ok("database", format!("{} answers", store.server())));
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
    checks.push(daemon(store).await?);
    Ok(())
}

/// Whether canaries come through, and so whether a daemon runs.
async fn daemon(store: &dyn Store) -> Result<Check, StoreError> {
    let canaries = store.canaries(2).await?;
    let arrived = canaries
        .iter()
        .find(|c| c.tracked_at.is_some() && c.unroutable_at.is_some() && c.event_at.is_some());
    let now = store.clock().await?;
    Ok(match (arrived, canaries.first()) {
        (Some(canary), _) if now - canary.sent_at < TimeDelta::minutes(5) => Check::ok(
            "daemon",
            "a canary came through within the last five minutes",
        ),
        (_, Some(canary)) => Check::warn(
            "daemon",
            format!(
                "the last canary left at {} and did not come through, or that is long ago",
                canary.sent_at
            ),
            "start counterfoil-sync, or see its log",
        ),
        (None, None) => Check::warn(
            "daemon",
            "no canary was ever sent",
            "start counterfoil-sync",
        ),
        (Some(_), None) => Check::ok("daemon", "a canary came through"),
    })
}

impl Failure {
    /// What happened and what to do, for a check that goes on.
    fn told(&self) -> (String, String) {
        (
            ErrorChain(self.error()).to_string(),
            self.advice().unwrap_or_default().to_owned(),
        )
    }
}
