//! Tasks that go wrong, each in its own way.

use super::no_retry;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::task::TaskOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Fails for good.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Fail {
    /// What it says.
    pub message: String,
}

impl Task for Fail {
    const NAME: &'static str = "demo.fail";
    type Output = ();
}

/// Fails a number of times, then succeeds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Flaky {
    /// What tells this one from others, in its error messages.
    pub key: String,
    /// How often it fails.
    pub failures: u32,
}

impl Flaky {
    /// The wait before each retry.
    pub const BACKOFF: Duration = Duration::from_millis(100);
}

impl Task for Flaky {
    const NAME: &'static str = "demo.flaky";
    /// The attempts it took.
    type Output = u32;

    fn options() -> TaskOptions {
        TaskOptions {
            // The sender says how often it fails, so the usual limit would be in the way.
            max_retries: 1000,
            backoff: Backoff::fixed(Self::BACKOFF),
            ..TaskOptions::default()
        }
    }
}

/// Asks to be called again later, as one does who is throttled, then succeeds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Throttled {
    /// How often it asks.
    pub times: u32,
}

impl Throttled {
    /// How much later.
    pub const WAIT: Duration = Duration::from_millis(100);
}

impl Task for Throttled {
    const NAME: &'static str = "demo.throttled";
    /// How often it was put off.
    type Output = u32;

    fn options() -> TaskOptions {
        // None of its retries is counted.
        no_retry()
    }
}

/// Panics.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Panic {
    /// What it says.
    pub message: String,
}

impl Task for Panic {
    const NAME: &'static str = "demo.panic";
    type Output = ();

    fn options() -> TaskOptions {
        no_retry()
    }
}

/// Takes the whole worker process down with it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Abort {}

impl Task for Abort {
    const NAME: &'static str = "demo.abort";
    type Output = ();
}
