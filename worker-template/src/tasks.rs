//! The tasks, as structs: their fields are the arguments. Who sends them needs nothing else.

use counterfoil_toolbox::Task;
use counterfoil_toolbox::task::TaskOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What was delivered.
    pub text: String,
    /// How many.
    pub quantity: u32,
    /// Price of one, in cents.
    pub cents: u64,
}

/// Adds up an invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TotalInvoice {
    /// Its lines; at least one.
    pub lines: Vec<Line>,
}

impl Task for TotalInvoice {
    // The first segment names the service, and with it the queue. The name outlives a rename of
    // the struct.
    const NAME: &'static str = "invoice.total";
    /// The sum, in cents.
    type Output = u64;
}

/// Writes an invoice into the archive.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WriteInvoice {
    /// Its number: letters, digits and dashes.
    pub number: String,
    /// Its lines; at least one.
    pub lines: Vec<Line>,
    /// A remark at the end. May be left out.
    #[serde(default)]
    pub remark: Option<String>,
}

impl Task for WriteInvoice {
    const NAME: &'static str = "invoice.write";
    /// The file that was written.
    type Output = String;

    // How it is retried and limited. A sender may say otherwise.
    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 5,
            ..TaskOptions::default()
        }
    }
}
