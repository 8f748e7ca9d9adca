//! The tasks of the service `abacus`: a struct each, whose fields are the arguments.
//!
//! This is all that a program needs to send them, beside a producer: no handlers, and none of what
//! those depend on.

use counterfoil_toolbox::task::{Task, TaskOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Counts the words of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountWords {
    /// Its file, within the folder of documents.
    pub document: String,
    /// Only words of so many letters or more. May be left out: all of them.
    #[serde(default)]
    pub at_least: usize,
}

impl Task for CountWords {
    // The first segment names the service, and with it the queue. The name is for ever, the
    // struct may be renamed.
    const NAME: &'static str = "abacus.count_words";
    /// How many there are.
    type Output = usize;

    // How it is retried and limited. A sender may say otherwise.
    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 5,
            time_limit: Some(Duration::from_secs(60)),
            ..TaskOptions::default()
        }
    }
}

/// Counts the words of many documents, each by a [`CountWords`] of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountAll {
    /// Their files, within the folder of documents.
    pub documents: Vec<String>,
}

impl Task for CountAll {
    const NAME: &'static str = "abacus.count_all";
    /// How many tasks it has scheduled.
    type Output = usize;
}
