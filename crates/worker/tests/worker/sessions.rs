//! Sessions that tasks open, and open again when they are executed again.

use crate::tasks::{Act, act};
use crate::world::World;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::session::{Session, StartedSession};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};

fn raw(name: &str, kwargs: &Value) -> RawTask {
    RawTask {
        name: TaskName::new(name).expect("valid"),
        args: "[]".to_owned(),
        kwargs: kwargs.to_string(),
    }
}

/// A session of one subtask, which no worker here takes.
fn session(page: u32) -> Session {
    Session::raw("harvest", raw("demo.end", &json!({})), true).subtask_raw(
        raw("export.page", &json!({ "page": page })),
        SendOptions::new(),
    )
}

async fn open(cx: &Context, page: u32) -> Result<StartedSession, TaskError> {
    Ok(cx.start_session(session(page)).await?)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_opened_again_is_the_same_one_whichever_others_are_skipped() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        if cx.last_checkpoint::<bool>()?.is_none() {
            open(&cx, 1).await?;
            cx.checkpoint(&true)?;
            open(&cx, 2).await?;
            return Err(TaskError::retry("once more"));
        }
        open(&cx, 2).await?;
        Ok(json!(null))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    world.told_of(&opener, TaskState::Success).await;
    let openings = world.openings();
    let ids: Vec<_> = openings.iter().map(|it| &it.id).collect();
    assert!(
        ids.len() == 3 && ids[0] != ids[1] && ids[1] == ids[2],
        "{ids:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn equal_sessions_that_one_execution_opens_are_two_and_the_same_two_when_it_is_repeated() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        let both = tokio::join!(open(&cx, 1), open(&cx, 1));
        let (one, other) = (both.0?, both.1?);
        if cx.attempt() == 1 {
            return Err(TaskError::retry("once more"));
        }
        Ok(json!([one.subtasks, other.subtasks]))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let opener = world.send(act("")).await;
    world.told_of(&opener, TaskState::Success).await;
    let mut ids: Vec<_> = world.openings().into_iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 4);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "{ids:?}");
}
