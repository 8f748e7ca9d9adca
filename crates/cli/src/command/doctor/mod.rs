//! `doctor`: what is wrong, and what to do about it.

mod database;
mod outbox;
mod services;
mod tokens;

use super::topology::wanted;
use crate::args::Global;
use crate::failure::{Code, Failure};
use crate::open;
use crate::output::Output;
use crate::text::plain;
use counterfoil_toolbox::config::{Config, Needs, Profile};
use counterfoil_toolbox::doctor::{Check, Outcome, broker, broker_fault, configuration, topology};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::TransportError;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use secrecy::ExposeSecret;

/// Fits every development machine, and so hides nothing.
const DEVELOPMENT_SECRET: &str = "development";

pub(crate) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let (config, mut checks) = configured(global);
    let is_configured = checks.iter().all(|check| check.outcome != Outcome::Fail);
    match &config {
        Some(config) if !config.broker.urls.is_empty() => checks.extend(at_broker(config).await),
        _ => checks.push(skipped("broker")),
    }
    match &config {
        Some(config) if config.database.is_some() => checks.extend(database::look(config).await),
        _ => checks.push(skipped("database")),
    }
    if let Some(config) = config.filter(|config| {
        let unreachable = |check: &Check| check.name == "broker" && check.outcome == Outcome::Fail;
        config.database.is_some() && !checks.iter().any(unreachable)
    }) {
        checks.extend(tokens::look(&config).await);
    }
    print(&checks, output)?;
    let failed: Vec<_> = checks
        .iter()
        .filter(|c| c.outcome == Outcome::Fail)
        .collect();
    let told = match failed.len() {
        0 => return Ok(()),
        1 => format!("1 check failed: {}", failed[0].name),
        n => format!("{n} checks failed"),
    };
    let code = match is_configured {
        true => Code::Failed,
        false => Code::Configuration,
    };
    Err(Failure::new(code, anyhow::anyhow!("{told}")))
}

/// The configuration, or as much of it as can be used, and what there is to say about it.
fn configured(global: &Global) -> (Option<Config>, Vec<Check>) {
    let (config, mut checks) = match open::load(global, Needs::BOTH) {
        Ok(config) => {
            let checks = configuration(&config);
            (Some(config), checks)
        }
        Err(error) => {
            let faults = error.faults.iter().map(|fault| {
                let remedy = "mend it in the file, or in the variable that sets it";
                Check::fail("configuration", fault.to_string(), remedy)
            });
            // What is missing for one of them need not keep from looking at the other.
            let rest = [Needs::BROKER, Needs::DATABASE];
            let rest = rest.into_iter().find_map(|n| open::load(global, n).ok());
            (rest, faults.collect())
        }
    };
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    checks.extend(names.filter_map(|name| ignored(&name)));
    if let Some(config) = &config {
        checks.extend(secret(config));
        if let Err(failure) = open::logs(config) {
            checks.push(failure.check("logs"));
        }
    }
    (config, checks)
}

/// A variable that looks like a setting, but is none.
fn ignored(variable: &str) -> Option<Check> {
    let setting = variable.strip_prefix("COUNTERFOIL_")?;
    let (section, field) = setting.split_once('_')?;
    let sections = ["BROKER", "DATABASE", "WORKER", "SYNC", "TELEMETRY"];
    (sections.contains(&section) && !field.starts_with('_')).then(|| {
        Check::warn(
            "configuration",
            format!("the variable {variable} is ignored"),
            &format!("two underscores join section and name: COUNTERFOIL_{section}__{field}"),
        )
    })
}

fn skipped(name: &str) -> Check {
    let what = "skipped: the configuration does not say where it is, or cannot be used";
    Check::warn(name, what, "mend the configuration, then look again")
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

async fn at_broker(config: &Config) -> Vec<Check> {
    let transport = match AmqpTransport::new(&config.broker) {
        Ok(transport) => transport,
        Err(error) => return vec![Failure::new(Code::Configuration, error).check("broker")],
    };
    let deadline = config.broker.connect_timeout * 2;
    let mut checks = match tokio::time::timeout(deadline, broker(&*transport)).await {
        Ok(checks) => checks,
        Err(_) => vec![broker_fault(&TransportError::Timeout {
            what: format!("a connection to {}", open::addresses(&config.broker)),
            after: deadline,
        })],
    };
    let answers = checks
        .iter()
        .all(|check| check.name != "broker" || check.outcome == Outcome::Ok);
    match wanted(&config.broker) {
        Ok(wanted) if answers => {
            let items = wanted.ours.into_iter().chain(wanted.of_others).collect();
            checks.extend(topology(&*transport, items).await);
            checks.extend(services::look(&*transport, &config.broker).await);
        }
        Ok(_) => checks.push(Check::warn(
            "topology",
            "skipped: the broker does not answer",
            "mend that first, then look again",
        )),
        Err(failure) => checks.push(failure.check("topology")),
    }
    transport.close().await;
    checks
}

impl Failure {
    /// What happened and what to do, as a check among others.
    fn check(&self, name: &str) -> Check {
        let remedy = self.advice().unwrap_or("see the message");
        Check::fail(name, ErrorChain(self.error()).to_string(), remedy)
    }
}
