//! The task that all scenarios send: the same as that of the peers.

use counterfoil_toolbox::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExportProject {
    org_slug: String,
    project_slug: String,
    api_key: String,
    output_type: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Exported {
    pub(crate) url: String,
}

impl Task for ExportProject {
    const NAME: &'static str = "export.project";
    type Output = Exported;
}

impl ExportProject {
    pub(crate) fn example() -> Self {
        let text = str::to_owned;
        Self {
            org_slug: text("acme"),
            project_slug: text("land"),
            api_key: text("0123456789abcdef"),
            output_type: text("xls"),
        }
    }
}
