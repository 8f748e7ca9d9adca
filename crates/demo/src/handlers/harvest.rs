//! Handlers of a harvesting session.

use crate::parcels;
use crate::tasks::{FinalizeHarvest, HarvestReport, HarvestResource, HarvestSource, Harvested};
use counterfoil_toolbox::session::{Session, SessionSummary};
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

pub(crate) async fn source(task: HarvestSource, cx: Context) -> Result<String, TaskError> {
    let session = SessionSummary::default();
    let resources = task.resources.into_iter();
    let session = Session::new("harvest", FinalizeHarvest { session })?
        .subtasks(resources.map(|resource| HarvestResource { resource }))?;
    Ok(cx.start_session(session).await?.id.to_string())
}

pub(crate) async fn finalize(
    task: FinalizeHarvest,
    _: Context,
) -> Result<HarvestReport, TaskError> {
    let SessionSummary {
        status,
        total,
        succeeded,
        skipped,
        failed,
        ..
    } = task.session;
    let report = format!(
        "harvest ended as {status}: {total} resources, {succeeded} succeeded ({skipped} skipped), {failed} failed"
    );
    Ok(HarvestReport { report })
}
