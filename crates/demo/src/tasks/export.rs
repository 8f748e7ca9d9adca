//! Exporting a project's parcels.

use counterfoil_toolbox::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Writes the parcels of a project into a file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ExportProject {
    /// The organization that the project belongs to.
    pub org_slug: String,
    /// The project.
    pub project_slug: String,
    /// Key under which the export is made. The playground has nobody who would check it.
    pub api_key: ApiKey,
    /// What the file looks like.
    pub output_type: OutputType,
}

impl Task for ExportProject {
    const NAME: &'static str = "export.project";
    type Output = Exported;
}

/// What an export made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The file, on the worker's machine.
    pub path: String,
    /// Parcels in it.
    pub rows: usize,
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// One line per parcel, its outline as well-known text.
    Csv,
    /// A feature collection.
    GeoJson,
}

impl OutputType {
    /// The name on the wire, and the ending of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::GeoJson => "geojson",
        }
    }
}

/// A key that travels with a task, and is shown neither by `Debug` nor by error messages.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("format" = "password", "writeOnly" = true))]
pub struct ApiKey(String);

impl ApiKey {
    /// `key`, hidden from now on.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What serde says of a wrong type quotes the value, and this one must not be quoted.
        String::deserialize(deserializer)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("text was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::call::Signature;

    #[test]
    fn a_key_is_sent_but_never_shown() {
        let task = ExportProject {
            org_slug: "acme".to_owned(),
            project_slug: "north".to_owned(),
            api_key: ApiKey::new("canary"),
            output_type: OutputType::Csv,
        };
        assert!(!format!("{task:?}").contains("canary"));
        let json = serde_json::to_value(&task).expect("writes");
        assert_eq!(json["api_key"], "canary");
    }

    #[test]
    fn errors_name_what_is_wrong_without_quoting_a_key() {
        let signature = Signature::of::<ExportProject>();
        let refused = |args: &str| {
            let bound = signature.bind::<ExportProject>(args, "{}");
            bound.expect_err("refused").to_string()
        };
        assert_eq!(
            refused(r#"["acme", "north", 31337, "csv"]"#),
            "`export.project` got a bad value for argument `api_key`: text was expected"
        );
        assert_eq!(
            refused(r#"["acme", "north", "k", "pdf"]"#),
            "`export.project` got a bad value for argument `output_type`: unknown variant `pdf`, \
             expected `csv` or `geojson`"
        );
    }

    #[test]
    fn names_of_formats_are_those_on_the_wire() {
        for format in [OutputType::Csv, OutputType::GeoJson] {
            assert_eq!(
                serde_json::to_value(format).expect("writes"),
                format.as_str()
            );
        }
    }
}
