//! `doctor`: what is wrong, and what to do about it.

mod broker;
mod database;
mod outbox;
mod probe;
mod services;
mod tokens;

use crate::args::Global;
use crate::failure::{Code, Failure};
use crate::open;
use crate::output::Output;
use crate::text::plain;
use counterfoil_toolbox::config::{Config, Needs, Profile};
use counterfoil_toolbox::doctor::{Check, Outcome, configuration};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::Transport;
use secrecy::ExposeSecret;

/// Fits every development machine, and so hides nothing.
const DEVELOPMENT_SECRET: &str = "development";

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Send messages through: each service's queue and the tracking queue must get them, once, and the daemon
    /// must write into the database what it sees
    ///
    /// No worker is troubled, whatever it is written in: each message is taken out of the queue before it could get one. A
    /// queue in which something waits is left alone.
    #[arg(long)]
    probe: bool,
}

pub(crate) async fn run(
    args: DoctorArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let (config, mut checks) = configured(global);
    let is_configured = checks.iter().all(|check| check.outcome != Outcome::Fail);
    match &config {
        Some(config) => checks.extend(looked_at(config, args).await),
        None => checks.extend([skipped("broker"), skipped("database")]),
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

/// Broker, then database, then what it takes both for.
async fn looked_at(config: &Config, args: DoctorArgs) -> Vec<Check> {
    let store = match config.database.is_some() {
        true => open::database(config)
            .await
            .map_err(|failure| failure.check("database")),
        false => Err(skipped("database")),
    };
    let told = match &store {
        Ok(store) => services::Told::by(&**store).await,
        Err(_) => services::Told::default(),
    };
    let (mut checks, transport) = match config.broker.urls.is_empty() {
        false => broker::look(config, &told).await,
        true => (vec![skipped("broker")], None),
    };
    // Names that cannot be used have failed among these.
    let broker = transport.as_deref().zip(config.broker.names().ok());
    let broker = broker
        .as_ref()
        .map(|(transport, names)| (*transport, names));
    match &store {
        Ok(store) => {
            checks.extend(told.paused.iter().map(services::paused));
            let store = &**store;
            checks.extend(database::look(store, broker, config.sync.canary_interval).await);
            if let Some((transport, names)) = broker {
                checks.extend(tokens::look(store, transport, names).await);
            }
        }
        Err(check) => checks.push(check.clone()),
    }
    let store = store.ok();
    match broker {
        Some(broker) if args.probe => {
            checks.extend(probe::look(config, broker, store.as_deref()).await);
        }
        None if args.probe => checks.push(Check::warn(
            "probe",
            "skipped: the broker does not answer",
            "mend that first, then look again",
        )),
        Some(_) | None => {}
    }
    if let Some(store) = store {
        store.close().await;
    }
    if let Some(transport) = transport {
        transport.close().await;
    }
    checks
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
    let sections = [
        "BREAKER",
        "BROKER",
        "DATABASE",
        "WORKER",
        "SYNC",
        "TELEMETRY",
    ];
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

impl Failure {
    /// What happened and what to do, as a check among others.
    fn check(&self, name: &str) -> Check {
        let remedy = self.advice().unwrap_or("see the message");
        Check::fail(name, ErrorChain(self.error()).to_string(), remedy)
    }
}
