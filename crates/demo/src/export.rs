//! Writing a project's parcels into a file.

use crate::parcels::{self, Parcel};
use crate::tasks::{ExportProject, Exported, OutputType};
use counterfoil_toolbox::TaskId;
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Characters of a slug or an id that a file name holds; three of them stay below 255 bytes.
const MAX_PART: usize = 70;

/// Where exports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFolder(PathBuf);

impl ExportFolder {
    /// The variable that names the folder.
    pub const VARIABLE: &str = "COUNTERFOIL_EXPORT_DIR";

    /// Exports go to `folder`, which is made when it is needed.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for ExportFolder {
    /// The system's folder for temporary files.
    fn default() -> Self {
        Self(std::env::temp_dir())
    }
}

/// An export that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write {}", path.display())]
pub struct ExportError {
    /// The folder or file.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// Writes what `task` asks for into `folder`, which is made when it is missing, in a folder that is
/// there.
///
/// The file appears whole or not at all. The same task writes the same file again, so an execution
/// that is repeated does no harm.
///
/// # Errors
/// [`ExportError`] when the folder or the file cannot be written.
pub fn write(task: &ExportProject, id: &TaskId, folder: &Path) -> Result<Exported, ExportError> {
    let path = folder.join(file_name(task, id));
    let parcels: Vec<_> = parcels::of_project(&task.org_slug, &task.project_slug).collect();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ExportError { path, source }
    };
    // One level: what was cleared away with everything above it must not come back.
    if let Err(error) = std::fs::create_dir(folder)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(failed(folder)(error));
    }
    let file = NamedTempFile::new_in(folder).map_err(failed(folder))?;
    let mut out = BufWriter::new(&file);
    match task.output_type {
        OutputType::Csv => write_csv(&parcels, &mut out),
        OutputType::GeoJson => write_geojson(&parcels, &mut out),
    }
    .and_then(|()| out.flush())
    .and_then(|()| file.as_file().sync_all())
    .map_err(failed(&path))?;
    drop(out);
    file.persist(&path)
        .map_err(|error| failed(&path)(error.error))?;
    Ok(Exported {
        path: path.to_string_lossy().into_owned(),
        rows: parcels.len(),
    })
}

fn file_name(task: &ExportProject, id: &TaskId) -> String {
    format!(
        "{}-{}-{}.{}",
        plain(&task.org_slug),
        plain(&task.project_slug),
        plain(id.as_str()),
        task.output_type.as_str()
    )
}

/// Slugs and ids come from outside, and must not name another folder.
fn plain(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    text.chars().take(MAX_PART).map(letter).collect()
}

fn write_csv(parcels: &[&Parcel], out: impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        parcel_id: &'a str,
        section: &'a str,
        land_use: &'a str,
        tenure: &'a str,
        area_m2: f64,
        households: u32,
        surveyed: &'a str,
        outline: String,
    }
    let mut table = csv::Writer::from_writer(out);
    for Parcel {
        properties,
        geometry,
        ..
    } in parcels
    {
        table.serialize(Row {
            parcel_id: &properties.parcel_id,
            section: &properties.section,
            land_use: &properties.land_use,
            tenure: &properties.tenure,
            area_m2: properties.area_m2,
            households: properties.households,
            surveyed: &properties.surveyed,
            outline: geometry.to_wkt(),
        })?;
    }
    table.flush()
}

fn write_geojson(parcels: &[&Parcel], out: impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Collection<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        features: &'a [&'a Parcel],
    }
    let kind = "FeatureCollection";
    let features = parcels;
    Ok(serde_json::to_writer(out, &Collection { kind, features })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::ApiKey;

    fn task(org: &str, output_type: OutputType) -> ExportProject {
        ExportProject {
            org_slug: org.to_owned(),
            project_slug: "north".to_owned(),
            api_key: ApiKey::new("canary"),
            output_type,
        }
    }

    fn id() -> TaskId {
        TaskId::new("t/1").expect("an id")
    }

    #[test]
    fn a_table_has_one_line_for_each_parcel_of_the_project() {
        let folder = tempfile::tempdir().expect("a folder");
        let exported = write(&task("acme", OutputType::Csv), &id(), folder.path()).expect("writes");
        let text = std::fs::read_to_string(&exported.path).expect("it is there");
        let mut lines = csv::Reader::from_reader(text.as_bytes());
        let ids: Vec<_> = lines
            .records()
            .map(|line| line.expect("well-formed")[0].to_owned())
            .collect();
        let wanted: Vec<_> = parcels::of_project("acme", "north")
            .map(|parcel| parcel.properties.parcel_id.clone())
            .collect();
        assert_eq!(ids, wanted);
        assert_eq!(exported.rows, wanted.len());
        assert!(!text.contains("canary"));
    }

    #[test]
    fn a_feature_collection_reads_back_as_the_parcels_of_the_project() {
        let folder = tempfile::tempdir().expect("a folder");
        let exported =
            write(&task("acme", OutputType::GeoJson), &id(), folder.path()).expect("writes");
        let text = std::fs::read_to_string(&exported.path).expect("it is there");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let features: Vec<Parcel> =
            serde_json::from_value(read["features"].clone()).expect("features");
        assert!(features.iter().eq(parcels::of_project("acme", "north")));
        assert_eq!(exported.rows, features.len());
    }

    #[test]
    fn the_same_task_writes_the_same_file_and_leaves_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("exports");
        let task = task("acme", OutputType::Csv);
        let first = write(&task, &id(), &missing).expect("writes");
        assert_eq!(write(&task, &id(), &missing).expect("writes"), first);
        assert_eq!(std::fs::read_dir(&missing).expect("a folder").count(), 1);
    }

    #[test]
    fn what_was_cleared_away_does_not_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = folder.path().join("gone");
        let task = task("acme", OutputType::Csv);
        assert!(write(&task, &id(), &gone.join("exports")).is_err());
        assert!(!gone.exists());
    }

    #[test]
    fn a_slug_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = format!("../../{}", "é/".repeat(300));
        for org in ["..", "../../etc", "/etc", "a\0b", &long] {
            let exported = write(&task(org, OutputType::Csv), &id(), folder.path());
            let path = PathBuf::from(exported.expect(org).path);
            assert_eq!(path.parent(), Some(folder.path()), "{org}");
        }
    }
}
