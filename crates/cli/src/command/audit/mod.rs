//! `audit`: whether every task is accounted for.

mod balance;
mod finding;
mod look;
mod reports;
mod tally;
mod verdict;

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use crate::text::plain;
use crate::when;
use balance::{Facts, has_stranger};
use counterfoil_operations::why::discarded as discarded_by;
use counterfoil_store::{SessionFilter, SessionRow};
use counterfoil_toolbox::config::Needs;
use finding::{Finding, Kind};
use look::Look;
use reports::Canaries;
use serde::Serialize;
use std::time::Duration;
use tally::Tally;
use verdict::{Found, settled};

#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// How long after the first look a second one is taken when something does not balance: what is on its
    /// way at that moment is no fault. Only what both looks find counts. 0s: one look, which names what is on its
    /// way, too
    #[arg(long, value_name = "DURATION", value_parser = when::duration, default_value = "3s")]
    wait: Duration,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    balanced: bool,
    tasks: Tally,
    findings: &'a [Finding],
    /// Services whose queues somebody consumes who tells the platform nothing: how many of their messages
    /// are in his hands is not known.
    not_judged: Vec<&'a str>,
    /// Sessions whose finalizer could not be sent and was thrown away on purpose.
    discarded_finalizers: &'a [SessionRow],
}

pub(crate) async fn run(
    args: AuditArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::BOTH)?;
    let names = open::names(&config.broker)?;
    let store = open::database(&config).await?;
    let transport = open::broker(&config.broker).await?;
    let look = Look {
        store: &*store,
        transport: &*transport,
        names: &names,
        broker: &config.broker,
    };
    let found = audited(&look, args.wait).await;
    let filter = SessionFilter {
        discarded: true,
        ..SessionFilter::default()
    };
    let discarded = store.sessions(&filter).await;
    transport.close().await;
    store.close().await;
    let (facts, tally, findings) = found?;
    tell(&facts, tally, &findings, &discarded?, output)
}

/// What does not balance, also at another look.
async fn audited(look: &Look<'_>, wait: Duration) -> Result<(Facts, Tally, Vec<Finding>), Failure> {
    let (mut facts, mut tally) = look.take(&Canaries::default()).await?;
    let first = Found::at(&facts);
    if wait.is_zero() {
        return Ok((facts, tally, first.alone()));
    }
    let findings = settled(first, async || {
        let canaries = look.send_canaries().await?;
        tokio::time::sleep(wait).await;
        look.wait_for(&canaries).await?;
        (facts, tally) = look.take(&canaries).await?;
        Ok::<_, Failure>(Found::at(&facts))
    });
    let findings = findings.await?;
    Ok((facts, tally, findings))
}

fn tell(
    facts: &Facts,
    tally: Tally,
    findings: &[Finding],
    discarded: &[SessionRow],
    output: &mut Output,
) -> Result<(), Failure> {
    let strange = facts.queues.iter().filter(|(_, queue)| has_stranger(queue));
    let not_judged: Vec<&str> = strange.map(|(service, _)| service.as_str()).collect();
    if output.is_json() {
        output.document(&Answer {
            balanced: findings.is_empty(),
            tasks: tally,
            findings,
            not_judged,
            discarded_finalizers: discarded,
        })?;
    } else {
        output.line(tally)?;
        for service in not_judged {
            output.line(format_args!(
                "{}: somebody consumes its queues who tells the platform nothing, a worker crashed a moment ago, or no \
                 counterfoil-sync writes down what workers tell; so they are not counted",
                plain(service)
            ))?;
        }
        for session in discarded {
            let by = discarded_by(session).unwrap_or_default();
            output.line(format_args!(
                "{}: the finalizer of session {} never ran: {}",
                plain(&session.finalizer_id),
                plain(session.id.as_str()),
                plain(&by)
            ))?;
        }
        for finding in findings {
            let subject = finding.task_id.as_ref().or(finding.service.as_ref());
            let subject = subject.map_or("", String::as_str);
            let kind = finding.kind.in_words();
            let what = plain(&finding.what);
            output.line(format_args!("{kind}: {}: {what}", plain(subject)))?;
            output.line(format_args!("      {}", plain(&finding.remedy)))?;
        }
    }
    // Where nothing else was found, what is unread may well balance.
    let is_unread = |finding: &Finding| finding.kind == Kind::Unread;
    if !findings.is_empty() && findings.iter().all(is_unread) {
        return Err(Failure::failed(
            "the database does not know all yet, so it cannot be told whether the books balance",
        ));
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("the books do not balance: 1 finding")),
        n => Err(Failure::failed(format!(
            "the books do not balance: {n} findings"
        ))),
    }
}
