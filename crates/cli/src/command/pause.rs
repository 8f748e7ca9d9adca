//! `pause`, `resume`: whether anything of a service starts.

use crate::args::Global;
use crate::asking::{DoerArgs, passed_on};
use crate::failure::Failure;
use crate::known::warn_if_unknown;
use crate::open;
use crate::output::Output;
use counterfoil_operations::services::{Wanted, set};
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::names::ServiceName;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    /// The service
    service: ServiceName,
    #[command(flatten)]
    doer: DoerArgs,
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
    let asked = set(&*store, service, wanted, &doer).await?;
    let changed = asked.is_some();
    let passed_on = match asked {
        Some(asked) => passed_on(&*store, &[asked]).await?,
        None => true,
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
