//! Handlers of a harvesting session.

use crate::parcels;
use crate::tasks::{FinalizeHarvest, HarvestReport, HarvestResource, Harvested};
use counterfoil_worker::{Context, TaskError};

pub(crate) async fn resource(
    task: HarvestResource,
    _: Context,
) -> Result<Option<Harvested>, TaskError> {
    let HarvestResource { resource } = task;
    if resource.starts_with("missing") {
        return Err(TaskError::fail(format!("{resource} is not there")));
    }
    if resource.starts_with("unchanged") {
        return Err(TaskError::skip(format!("{resource} has nothing new")));
    }
    let (org, project) = resource.split_once('/').unwrap_or((&resource, ""));
    let found: Vec<_> = parcels::of_project(org, project).collect();
    let area: f64 = found.iter().map(|parcel| parcel.properties.area_m2).sum();
    Ok(Some(Harvested {
        parcels: found.len(),
        // The survey is good to a tenth, and sums of tenths are not.
        area_m2: (area * 10.0).round() / 10.0,
        resource,
    }))
}

pub(crate) async fn finalize(
    task: FinalizeHarvest,
    _: Context,
) -> Result<HarvestReport, TaskError> {
    let counter = |(name, value): (&String, &serde_json::Value)| {
        let count = value.as_u64()?;
        Some(format!("{count} {name}"))
    };
    let counters: Vec<_> = task.summary.iter().filter_map(counter).collect();
    let report = if counters.is_empty() {
        "harvest ended".to_owned()
    } else {
        format!("harvest ended: {}", counters.join(", "))
    };
    Ok(HarvestReport { report })
}
