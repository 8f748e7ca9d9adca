//! Harvesting: a session of one task per resource of a source, and one that sums them up.

use counterfoil_toolbox::Task;
use counterfoil_toolbox::session::SessionSummary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Harvests one resource: a project, `acme/north`, whose parcels are counted and measured.
///
/// A resource whose name starts with `missing` is not there, and fails for good; one that starts
/// with `unchanged` has nothing new, and is skipped.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HarvestResource {
    /// Its name.
    pub resource: String,
}

impl Task for HarvestResource {
    const NAME: &'static str = "harvest.resource";
    /// `None`: there was nothing new.
    type Output = Option<Harvested>;
}

/// What was found in one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Harvested {
    /// Its name.
    pub resource: String,
    /// Its parcels.
    pub parcels: usize,
    /// Their area together, in square metres.
    pub area_m2: f64,
}

/// Harvests a source: a session of [`HarvestResource`] that ends with [`FinalizeHarvest`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HarvestSource {
    /// Names of its resources.
    pub resources: Vec<String>,
}

impl Task for HarvestSource {
    const NAME: &'static str = "harvest.source";
    /// Id of the session.
    type Output = String;
}

/// Ends a harvesting session, whatever became of its resources.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FinalizeHarvest {
    /// How the session ended; the platform fills it in.
    pub session: SessionSummary,
}

impl Task for FinalizeHarvest {
    const NAME: &'static str = "harvest.finalize";
    type Output = HarvestReport;
}

/// A harvesting session in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestReport {
    /// The sentence.
    pub report: String,
}
