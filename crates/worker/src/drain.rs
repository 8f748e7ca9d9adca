//! Stopping, from top to bottom. A second signal at any time jumps to the end.

use crate::exit::Exit;
use crate::heartbeat::last_words;
use crate::worker::Running;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long handlers that were asked to leave may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a handler that is dropped may take.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long extensions may take to end.
const BESIDE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the last events may take to be confirmed.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends a worker. Nothing is acknowledged that was not reported.
pub(crate) async fn drain(running: Running, patience: Duration) -> Exit {
    let Running {
        shared,
        consumers,
        mut reporting,
        beating,
        watching,
        following,
        mut holders,
        mut beside,
        over,
        pulse,
    } = running;
    let stop = &shared.stop;
    // True: every execution has ended in time.
    let ended_within = async |time| timeout(time, shared.executions.wait()).await.is_ok();
    let at_once = stop.is_at_once();

    // 1 Consumers are cancelled; what was not started goes back to its queue.
    stop.drain();
    shared.executions.close();
    // 2 Running handlers may finish.
    let in_time = at_once.run_until_cancelled(ended_within(patience)).await;
    // 3 Then they are asked to leave.
    if in_time == Some(false) {
        stop.leave();
        at_once
            .run_until_cancelled(ended_within(LEAVE_TIMEOUT))
            .await;
    }
    //   Those that did not are dropped. What was taken over is sent to others then.
    stop.kill();
    let to_send = !shared.guard.taken_over().is_empty();
    let dropping = ended_within(if to_send { FLUSH_TIMEOUT } else { DROP_TIMEOUT });
    at_once.run_until_cancelled(dropping).await;
    // 4 Who reports stops last.
    shared.reporter.close();
    if timeout(FLUSH_TIMEOUT, &mut reporting).await.is_err() {
        tracing::warn!("the last events were not confirmed; their tasks will run again");
        reporting.abort();
    }
    let was_asked_twice = at_once.is_cancelled();
    over.cancel();
    let ended = at_once.run_until_cancelled(end_beside(&mut beside));
    ended.await;
    // 5 Acknowledgements leave, channels close; what is unacknowledged goes back.
    let all = consumers.into_iter().chain(shared.consumers.take_added());
    futures::future::join_all(all.map(|consumer| consumer.close())).await;
    //   Tokens go back too; by themselves if this takes too long.
    shared.tokens.end();
    let given_back = async { while holders.join_next().await.is_some() {} };
    if timeout(FLUSH_TIMEOUT, given_back).await.is_err() {
        tracing::warn!("the broker did not confirm the return of tokens");
    }
    beating.abort();
    drop(watching);
    following.abort();
    last_words(&shared, &pulse).await;

    let left = shared.left_behind();
    for task_id in &left {
        tracing::warn!(%task_id, "task did not finish and was given back");
    }
    match (was_asked_twice, left.is_empty()) {
        (true, _) => Exit::Killed { left },
        (false, true) => Exit::Drained,
        (false, false) => Exit::Stopped { left },
    }
}

/// Waits a moment for what extensions do beside the worker.
async fn end_beside(beside: &mut JoinSet<()>) {
    let gone = async { while beside.join_next().await.is_some() {} };
    if timeout(BESIDE_TIMEOUT, gone).await.is_err() {
        tracing::warn!("what an extension does did not end with the worker");
    }
}
