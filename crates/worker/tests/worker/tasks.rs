//! Tasks that the tests send.

use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::task::{Ack, Task, TaskOptions};
use serde_json::Value;
use std::time::Duration;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Add {
    pub(crate) x: i64,
    pub(crate) y: i64,
}

impl Task for Add {
    const NAME: &'static str = "demo.add";
    type Output = i64;
}

/// A task of any behaviour: tests give it a handler of their own.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Act {
    #[serde(default)]
    pub(crate) what: String,
}

impl Task for Act {
    const NAME: &'static str = "demo.act";
    type Output = Value;

    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 2,
            backoff: Backoff::fixed(Duration::from_millis(100)),
            ..TaskOptions::default()
        }
    }
}

/// Like [`Act`], but its retries wait at the broker.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Patient {
    #[serde(default)]
    pub(crate) what: String,
}

impl Task for Patient {
    const NAME: &'static str = "demo.patient";
    type Output = Value;

    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 2,
            backoff: Backoff::fixed(Duration::from_secs(5)),
            ..TaskOptions::default()
        }
    }
}

/// A task of which [`Limited::LIMIT`] may run at the same time, over all workers.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Limited {
    #[serde(default)]
    pub(crate) what: String,
}

impl Limited {
    pub(crate) const LIMIT: u32 = 3;
}

impl Task for Limited {
    const NAME: &'static str = "demo.limited";
    type Output = Value;

    fn options() -> TaskOptions {
        TaskOptions {
            max_concurrency_global: Some(Self::LIMIT),
            ..TaskOptions::default()
        }
    }
}

/// A task that is acknowledged early.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Long {}

impl Task for Long {
    const NAME: &'static str = "demo.long";
    type Output = Value;

    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 1,
            backoff: Backoff::fixed(Duration::from_millis(100)),
            ack: Ack::Early,
            max_restarts: 1,
            ..TaskOptions::default()
        }
    }
}

/// A task of another service.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Export {}

impl Task for Export {
    const NAME: &'static str = "export.project";
    type Output = ();
}

pub(crate) fn act(what: &str) -> Act {
    let what = what.to_owned();
    Act { what }
}

pub(crate) fn patient(what: &str) -> Patient {
    let what = what.to_owned();
    Patient { what }
}

pub(crate) fn long() -> Long {
    Long {}
}
