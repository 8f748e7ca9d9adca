//! `topology`: what should be at the broker, against what is.

use crate::args::Global;
use crate::failure::{Code, Failure};
use crate::open;
use crate::output::Output;
use crate::text::plain;
use counterfoil_toolbox::config::{BrokerSettings, Declaring, Needs};
use counterfoil_toolbox::topology::{
    Finding, Item, ItemState, apply, delay_levels, plan, platform, service,
};
use counterfoil_toolbox::transport::{Transport, TransportError};
use serde::Serialize;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TopologyCommand {
    /// Say what is there, what is missing and what differs; change nothing
    Plan,
    /// Create what is missing
    Apply,
    /// Fail with exit code 78 when something is missing or differs
    Verify,
}

/// Everything that a configuration asks for.
pub(crate) struct Wanted {
    /// What `apply` creates.
    pub(crate) ours: Vec<Item>,
    /// What it only looks at: queues that somebody else declares.
    pub(crate) of_others: Vec<Item>,
}

/// One finding, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    item: String,
    details: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

pub(crate) async fn run(
    command: TopologyCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::BROKER)?;
    let wanted = wanted(&config.broker)?;
    let transport = open::broker(&config.broker).await?;
    let findings = match command {
        TopologyCommand::Plan | TopologyCommand::Verify => {
            let all = wanted.ours.into_iter().chain(wanted.of_others);
            plan(&*transport, all.collect()).await?
        }
        TopologyCommand::Apply => apply_wanted(&*transport, wanted).await?,
    };
    transport.close().await;
    print(&findings, output)?;
    let only_looking = matches!(command, TopologyCommand::Plan);
    let is_wrong = |finding: &&Finding| {
        matches!(
            finding.state,
            ItemState::Missing | ItemState::Differs { .. }
        )
    };
    match findings.iter().filter(is_wrong).count() {
        0 => Ok(()),
        _ if only_looking => Ok(()),
        wrong => Err(mismatch(wrong)),
    }
}

/// Declares what is ours, and looks at the rest.
pub(crate) async fn apply_wanted(
    transport: &dyn Transport,
    wanted: Wanted,
) -> Result<Vec<Finding>, TransportError> {
    let mut findings = apply(transport, wanted.ours).await?;
    findings.extend(plan(transport, wanted.of_others).await?);
    Ok(findings)
}

/// Items that are not as they should be.
pub(crate) fn mismatch(wrong: usize) -> Failure {
    let are = if wrong == 1 { "item is" } else { "items are" };
    let error =
        anyhow::anyhow!("{wrong} {are} missing at the broker or differ from what is declared");
    Failure::new(Code::Configuration, error).remedy("see what is listed beside each")
}

/// Platform, delay levels, and the services of the configuration.
pub(crate) fn wanted(settings: &BrokerSettings) -> Result<Wanted, Failure> {
    let names = open::names(settings)?;
    let mut ours = platform(&names, settings.queue_settings);
    ours.extend(delay_levels(&names));
    let mut of_others = Vec::new();
    for name in &settings.services {
        let items = service(&names, name, &settings.service(name));
        match settings.declaring(name) {
            Declaring::Active => ours.extend(items),
            Declaring::Passive => of_others.extend(items),
            Declaring::Off => {}
        }
    }
    // The platform and the delay levels both name the exchange where delayed tasks come out.
    let mut unique: Vec<Item> = Vec::with_capacity(ours.len());
    for item in ours {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    Ok(Wanted {
        ours: unique,
        of_others,
    })
}

/// Prints findings: JSON has all of them; people see those that are not as they should be, and how
/// many are.
pub(crate) fn print(findings: &[Finding], output: &mut Output) -> Result<(), Failure> {
    let lines: Vec<Line> = findings.iter().map(line).collect();
    if output.is_json() {
        return lines.iter().try_for_each(|line| output.document(line));
    }
    for line in lines.iter().filter(|line| line.remedy.is_some()) {
        let details = line.difference.as_ref().unwrap_or(&line.details);
        output.line(format_args!(
            "{:<9} {}: {}",
            line.state,
            plain(&line.item),
            plain(details)
        ))?;
        if let Some(remedy) = line.remedy.as_ref().filter(|_| line.difference.is_some()) {
            output.line(format_args!("          {}", plain(remedy)))?;
        }
    }
    let count = |state: &str| lines.iter().filter(|line| line.state == state).count();
    let counts = [
        "present",
        "applied",
        "missing",
        "differs",
        "unchecked",
        "unknown",
    ]
    .into_iter()
    .filter(|state| count(state) > 0)
    .map(|state| match state {
        "unknown" => format!("{} bindings, which AMQP cannot look at", count(state)),
        state => format!("{} {state}", count(state)),
    });
    let counts: Vec<_> = counts.collect();
    output.line(counts.join(", "))
}

fn line(finding: &Finding) -> Line {
    let (state, difference) = match &finding.state {
        ItemState::Present => ("present", None),
        ItemState::Missing => ("missing", None),
        ItemState::Differs { difference } => ("differs", Some(difference.clone())),
        ItemState::Unchecked { reason } => ("unchecked", Some(reason.clone())),
        ItemState::Unknown => ("unknown", None),
        ItemState::Applied => ("applied", None),
    };
    Line {
        item: finding.item.to_string(),
        details: finding.item.details(),
        state,
        difference,
        remedy: finding.remedy(),
    }
}
