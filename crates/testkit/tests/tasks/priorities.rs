//! Tasks of all classes, tested without settings for them.

use anyhow::Result;
use counterfoil_testkit::{MemoryPlatform, Perform};
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::task::TaskOptions;
use counterfoil_toolbox::{Priority, Task};
use counterfoil_worker::{Context, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One for which somebody waits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Urgent {}

impl Task for Urgent {
    const NAME: &'static str = "stage.urgent";
    type Output = u32;

    fn options() -> TaskOptions {
        TaskOptions {
            priority: Priority::High,
            ..TaskOptions::default()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_another_priority_needs_no_settings() -> Result<()> {
    let urgent = async |_: Urgent, cx: Context| Ok::<_, TaskError>(cx.attempt());
    for attempt in [1, 2] {
        let task = Perform::new(Urgent {}).attempt(attempt);
        let done = task.by(|worker| worker.handle(urgent)).await?;
        assert_eq!(done.output(), &attempt);
    }
    let platform = MemoryPlatform::new().await?;
    let worker = platform.start(platform.worker().handle(urgent)).await?;
    let producer = platform.producer();
    for options in [
        SendOptions::new(),
        SendOptions::new().priority(Priority::Low),
        SendOptions::new().countdown(Duration::from_secs(60)),
    ] {
        let mut sent = producer.send_with(Urgent {}, options).await?;
        assert_eq!(sent.result(Duration::from_secs(90)).await?, 1);
    }
    drop(worker);
    Ok(())
}
