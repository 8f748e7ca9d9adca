//! Which messages of a dead queue a command is about.

use crate::failure::Failure;
use crate::text::short;
use crate::when::ago;
use chrono::{DateTime, Utc};
use counterfoil_operations::dead::Which;
use counterfoil_store::{DeadFilter, Store};
use counterfoil_toolbox::names::ServiceName;
use std::collections::BTreeSet;

/// So many dead letters, the newest, are looked through for reasons that there are.
const REASONS_OF: u32 = 100;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Service whose dead queue it is
    pub(super) service: ServiceName,
    #[command(flatten)]
    pub(super) which: WhichArgs,
}

/// Which ones of those that lie there.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WhichArgs {
    /// Of this task, or the record with this id; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Died for this reason, for example exhausted, bad_arguments, unknown_task or delivery_limit
    #[arg(long)]
    reason: Option<String>,
    /// Of this type, for example export.project
    #[arg(long)]
    name: Option<String>,
    /// Died since this time (or so long ago: 1h)
    #[arg(long, value_name = "T", value_parser = ago)]
    since: Option<DateTime<Utc>>,
}

impl WhichArgs {
    /// The same in terms of operations.
    pub(super) fn which(&self) -> Which {
        Which {
            ids: self.id.clone(),
            reason: self.reason.clone(),
            name: self.name.clone(),
            since: self.since,
            until: None,
        }
    }

    /// Says so where nothing lies there for the reason that is asked for: it may be mistyped.
    pub(super) async fn tell_if_no_reason(
        &self,
        service: Option<&ServiceName>,
        store: &dyn Store,
    ) -> Result<(), Failure> {
        let Some(reason) = &self.reason else {
            return Ok(());
        };
        let filter = |reason, limit| DeadFilter {
            service: service.map(ServiceName::to_string),
            reason,
            limit,
            ..DeadFilter::default()
        };
        let of_it = store.dead(&filter(Some(reason.clone()), 1)).await?;
        if of_it.is_empty() {
            let others = store.dead(&filter(None, REASONS_OF)).await?;
            let others: BTreeSet<_> = others.iter().map(|row| short(&row.reason)).collect();
            let others: Vec<_> = others.into_iter().collect();
            let others = match others.is_empty() {
                true => String::new(),
                false => format!("; reasons there are: {}", others.join(", ")),
            };
            let whose = service.map_or(String::new(), |service| format!(" of {service}"));
            let reason = short(reason);
            eprintln!("no dead letter{whose} has the reason {reason}{others}");
        }
        Ok(())
    }
}
