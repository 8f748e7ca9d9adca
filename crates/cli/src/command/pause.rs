//! `pause`, `resume`: whether anything of a service starts.

use crate::args::Global;
use crate::asking::{ask, passed_on, who};
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_store::record::ControlRow;
use counterfoil_store::{Batch, ControlFilter, Store};
use counterfoil_toolbox::config::{Config, Needs};
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::names::ServiceName;
use serde::Serialize;

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Paused,
    Resumed,
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
    service: &ServiceName,
    wanted: Wanted,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    warn_if_unknown(&*store, &config, service).await?;
    let changed = wanted != now(&*store, service).await?;
    let passed_on = match changed {
        true => change(&*store, service, wanted).await?,
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

async fn change(store: &dyn Store, service: &ServiceName, wanted: Wanted) -> Result<bool, Failure> {
    let service = service.clone();
    let order = match wanted {
        Wanted::Paused => Order::PauseService { service },
        Wanted::Resumed => Order::ResumeService { service },
    };
    let mut batch = Batch::new();
    let id = batch.ask(order, who().as_deref(), store.clock().await?);
    ask(store, &batch).await?;
    passed_on(store, &[id]).await
}

async fn warn_if_unknown(
    store: &dyn Store,
    config: &Config,
    service: &ServiceName,
) -> Result<(), Failure> {
    let mut known = store.services().await?;
    known.extend(
        store
            .workers()
            .await?
            .into_iter()
            .map(|worker| worker.service),
    );
    known.extend(config.broker.services.iter().map(ServiceName::to_string));
    known.sort();
    known.dedup();
    if !known.iter().any(|known| *known == *service.as_str()) {
        let known = known.join(", ");
        eprintln!("warning: nobody has heard of a service {service}; those known are {known}");
    }
    Ok(())
}
