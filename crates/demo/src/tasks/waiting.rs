//! Tasks that take their time.

use super::no_retry;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Sleeps without holding a thread.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Sleep {
    /// How long; at least 0.
    pub seconds: f64,
}

impl Task for Sleep {
    const NAME: &'static str = "demo.sleep";
    type Output = f64;
}

/// Sleeps, and at most [`Self::LIMIT`] do so at the same time, over all workers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Limited {
    /// How long; at least 0.
    pub seconds: f64,
}

impl Limited {
    /// How many may run at the same time.
    pub const LIMIT: u32 = 3;
}

impl Task for Limited {
    const NAME: &'static str = "demo.limited";
    type Output = f64;

    fn options() -> TaskOptions {
        TaskOptions {
            max_concurrency_global: Some(Self::LIMIT),
            ..TaskOptions::default()
        }
    }
}

/// Sleeps for as long as it likes: the broker forgets it before it begins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Long {
    /// How long; at least 0.
    pub seconds: f64,
}

impl Task for Long {
    const NAME: &'static str = "demo.long";
    type Output = f64;

    fn options() -> TaskOptions {
        TaskOptions {
            ack: Ack::Early,
            ..TaskOptions::default()
        }
    }
}

/// Blocks a thread, as code does that was not written for async.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// How long; at least 0.
    pub seconds: f64,
}

impl Task for Block {
    const NAME: &'static str = "demo.block";
    type Output = f64;
}

/// Never ends by itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Hang {}

impl Hang {
    /// After this, the worker ends it.
    pub const TIME_LIMIT: Duration = Duration::from_secs(2);
}

impl Task for Hang {
    const NAME: &'static str = "demo.hang";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            time_limit: Some(Self::TIME_LIMIT),
            ..no_retry()
        }
    }
}

/// Does a number of steps, and reports how far it is and a log line after each.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// How many.
    pub steps: u32,
    /// How long they take together; at least 0.
    pub seconds: f64,
}

impl Task for Progress {
    const NAME: &'static str = "demo.progress";
    /// The steps done.
    type Output = u32;
}
