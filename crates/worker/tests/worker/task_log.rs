//! What handlers log is kept with their tasks.

use crate::tasks::{Act, act};
use crate::world::World;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, LogLine};
use counterfoil_worker::{Context, Level, task_log};
use serde_json::{Value, json};
use tracing::Instrument;

use tracing_subscriber::layer::SubscriberExt;

on_both_transports!(what_is_logged_inside_a_task_is_kept_with_that_task);

async fn what_is_logged_inside_a_task_is_kept_with_that_task(world: World) {
    let subscriber = tracing_subscriber::registry().with(task_log(Level::INFO));
    // Another test of this process cannot be there: each has one of its own.
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    let handler = async |task: Act, _: Context| {
        let Act { what } = task;
        tracing::info!(rows = 3, ratio = 0.5, done = true, what, "read");
        tracing::debug!("too fine");
        let inner = async { tracing::warn!(error = ?"none", "spawned") };
        tokio::spawn(inner.in_current_span()).await?;
        Ok(Value::Null)
    };
    let _worker = world.start(|builder| builder.handle(handler));
    for what in ["one", "two"] {
        let id = world.send(act(what)).await;
        world.told_of(&id, TaskState::Success).await;
        tracing::info!("of no task");
        let lines: Vec<LogLine> = world
            .until(|events| {
                let of_it = events.iter().filter(|event| event.task_id == id);
                let logs = of_it.filter(|event| event.kind == EventKind::Log);
                let lines: Vec<_> = logs.filter_map(|event| event.log.clone()).collect();
                (lines.len() == 2).then_some(lines)
            })
            .await;
        let target = module_path!();
        let told = lines
            .iter()
            .map(|it| (&*it.level, &*it.message, Value::Object(it.fields.clone())));
        let expected = [
            (
                "info",
                "read",
                json!({ "rows": 3, "ratio": 0.5, "done": true, "what": what, "target": target }),
            ),
            (
                "warn",
                "spawned",
                json!({ "error": "\"none\"", "target": target }),
            ),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
