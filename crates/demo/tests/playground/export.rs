//! Exports through the worker.

use crate::stage::Stage;
use anyhow::Result;
use counterfoil_demo::parcels;
use counterfoil_demo::tasks::{ApiKey, ExportProject, OutputType};
use counterfoil_toolbox::Task;
use counterfoil_toolbox::event::FaultKind;
use std::path::Path;

fn export(output_type: OutputType) -> ExportProject {
    ExportProject {
        org_slug: "acme".to_owned(),
        project_slug: "north".to_owned(),
        api_key: ApiKey::new("canary"),
        output_type,
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_leaves_a_file_with_the_projects_parcels_in_the_export_folder() -> Result<()> {
    let stage = Stage::start().await?;
    let wanted = parcels::of_project("acme", "north").count();
    let exported = stage.run(export(OutputType::Csv)).await?;
    assert_eq!(exported.rows, wanted);
    let path = Path::new(&exported.path);
    assert_eq!(path.parent(), Some(&*stage.folder.path().join("exports")));
    assert_eq!(std::fs::read_to_string(path)?.lines().count(), wanted + 1);
    let exported = stage.run(export(OutputType::GeoJson)).await?;
    let text = std::fs::read_to_string(&exported.path)?;
    let read: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(read["type"], "FeatureCollection");
    assert_eq!(read["features"].as_array().map(Vec::len), Some(wanted));
    stage.drain().await
}

/// A task as a producer in another language could send it.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Loose {
    org_slug: String,
    project_slug: String,
    api_key: String,
    output_type: String,
}

impl Task for Loose {
    const NAME: &'static str = ExportProject::NAME;
    type Output = ();
}

#[tokio::test(start_paused = true)]
async fn a_format_that_nobody_writes_fails_the_export_and_names_those_that_there_are() -> Result<()>
{
    let stage = Stage::start().await?;
    let fault = stage
        .failure_of(Loose {
            org_slug: "acme".to_owned(),
            project_slug: "north".to_owned(),
            api_key: "canary".to_owned(),
            output_type: "pdf".to_owned(),
        })
        .await?;
    assert_eq!(fault.kind, FaultKind::BadArguments);
    assert_eq!(
        fault.message,
        "`export.project` got a bad value for argument `output_type`: unknown variant `pdf`, \
         expected `csv` or `geojson`"
    );
    stage.drain().await
}
