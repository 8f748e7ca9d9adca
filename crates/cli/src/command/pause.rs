//! `pause`, `resume`: whether anything of a service starts.

use crate::args::Global;
use crate::asking::{Doer, ask, passed_on};
use crate::failure::Failure;
use crate::known::warn_if_unknown;
use crate::open;
use crate::output::Output;
use counterfoil_store::record::ControlRow;
use counterfoil_store::{Batch, ControlFilter, Store};
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::names::ServiceName;
use serde::Serialize;

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Paused,
    Resumed,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    /// The service
    service: ServiceName,
    #[command(flatten)]
    doer: Doer,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    service: &'a ServiceName,
    paused: bool,
    /// `false`: it was so already.
    changed: bool,
    /// Whether a daemon has told the workers.
    passed_on: bool,
}

pub(crate) async fn run(
    args: PauseArgs,
    wanted: Wanted,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let (service, doer) = (&args.service, args.doer.or_user());
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    warn_if_unknown(&*store, &config, service.as_str(), "").await?;
    let changed = wanted != now(&*store, service).await?;
    let passed_on = match changed {
        true => change(&*store, service, wanted, &doer).await?,
        false => true,
    };
    store.close().await;
    if output.is_json() {
        return output.document(&Answer {
            service,
            paused: wanted == Wanted::Paused,
            changed,
            passed_on,
        });
    }
    let already = if changed { "" } else { " already" };
    output.line(match wanted {
        Wanted::Paused => format!(
            "service {service} is paused{already}: nothing of it starts until `counterfoil resume {service}`, what \
             runs may finish"
        ),
        Wanted::Resumed if changed => format!("service {service} goes on"),
        Wanted::Resumed => format!("service {service} is not paused"),
    })
}

/// The services that are paused.
pub(crate) async fn paused(store: &dyn Store) -> Result<Vec<ControlRow>, Failure> {
    let filter = ControlFilter {
        kind: Some("pause_service".to_owned()),
        ..ControlFilter::default()
    };
    Ok(store.controls(&filter).await?)
}

async fn now(store: &dyn Store, service: &ServiceName) -> Result<Wanted, Failure> {
    let paused = paused(store).await?;
    let is_paused = paused.iter().any(|row| *row.subject == *service.as_str());
    Ok(match is_paused {
        true => Wanted::Paused,
        false => Wanted::Resumed,
    })
}

async fn change(
    store: &dyn Store,
    service: &ServiceName,
    wanted: Wanted,
    doer: &Doer,
) -> Result<bool, Failure> {
    let service = service.clone();
    let order = match wanted {
        Wanted::Paused => Order::PauseService { service },
        Wanted::Resumed => Order::ResumeService { service },
    };
    let mut batch = Batch::new();
    let id = batch.ask(order, doer.name(), store.clock().await?);
    ask(store, &batch).await?;
    passed_on(store, &[id]).await
}
