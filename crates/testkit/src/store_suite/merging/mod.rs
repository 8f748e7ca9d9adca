//! Any order and any repetition of inputs ends in one row: the one that Rust computes.

mod check;
mod inputs;

use super::samples::{event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use check::{check, row_of};
use counterfoil_store::Store;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::{TaskState, state::Lineage};
use inputs::{Input, batch_of, histories, orders, refused, sent, told, told_otherwise, tracked};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// An attempt, and the state that an event tells of it in one of several ways; without one: its
/// tracking copy.
type Known = (Lineage, Option<(TaskState, u8)>);
/// Which input comes next, and whether its batch ends there.
type Place = (prop::sample::Index, bool);

/// All 120 orders of a history of five.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn every_order_of_a_history_ends_in_the_same_row(site: &StoreSite) -> anyhow::Result<()> {
    for kind in 0..histories(&TaskId::random()).len() {
        for order in orders(5) {
            let id = TaskId::random();
            let history = histories(&id).swap_remove(kind);
            for &place in &order {
                site.store().apply(&batch_of([&history[place]])).await?;
            }
            check(site.store(), &id, &history)
                .await
                .with_context(|| format!("history {kind} in the order {order:?}"))?;
        }
    }
    Ok(())
}

/// A task that is sent again under its id after its queue refused it goes on like any other, whatever is heard
/// of first or twice; one that is not stays as it was.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_was_refused_waits_once_a_later_sending_is_known(
    site: &StoreSite,
) -> anyhow::Result<()> {
    use TaskState::{Pending, Received, Rejected, Started, Success};
    let state = async |id: &TaskId| anyhow::Ok(row_of(site.store(), id).await?.state);
    let never_again = TaskId::random();
    for input in [refused, sent, refused, sent] {
        let batch = batch_of([&input(&never_again, 1)]);
        site.store().apply(&batch).await?;
    }
    ensure!(state(&never_again).await? == Rejected);
    let row = row_of(site.store(), &never_again).await?;
    ensure!(row.error_message.as_deref() == Some("no such project"));
    for order in orders(3) {
        let id = TaskId::random();
        let inputs = [sent(&id, 1), refused(&id, 1), sent(&id, 2)];
        for place in order.iter().chain(&[0, 1, 1, 0]) {
            site.store().apply(&batch_of([&inputs[*place]])).await?;
        }
        let row = row_of(site.store(), &id).await?;
        ensure!(row.state == Pending, "{order:?}: {row:#?}");
        ensure!(row.error_kind.is_none() && row.error_message.is_none());
        let lines = site.store().history(&id).await?;
        let kinds: Vec<_> = lines.iter().map(|line| line.kind).collect();
        ensure!(kinds.iter().filter(|kind| **kind == Pending).count() == 2);
        for next in [Received, Started, Success] {
            let told = told(&id, lineage(0, 0, 0), next);
            site.store().apply(&batch_of([&told])).await?;
            site.store().apply(&batch_of([&inputs[1]])).await?;
            ensure!(state(&id).await? == next, "{order:?}");
        }
    }
    Ok(())
}

/// Until another worker has it, or the same once more.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_its_worker_put_off_waits_and_is_nobodys(
    site: &StoreSite,
) -> anyhow::Result<()> {
    use TaskState::{Pending, Received, Started};
    for order in orders(3) {
        let id = TaskId::random();
        let first = lineage(0, 0, 0);
        let inputs = [
            tracked(&id, 0, 0),
            told(&id, first, Received),
            told(&id, first, Pending),
        ];
        for place in order.iter().chain(&order) {
            site.store().apply(&batch_of([&inputs[*place]])).await?;
        }
        let row = row_of(site.store(), &id).await?;
        ensure!((row.state, &row.worker) == (Pending, &None), "{row:#?}");
        let lines = site.store().history(&id).await?;
        let kinds: Vec<_> = lines.iter().map(|line| line.kind).collect();
        ensure!(kinds == [Pending, Received, Pending], "{kinds:?}");
        for next in [Received, Started] {
            let again = told(&id, first, next);
            site.store().apply(&batch_of([&again])).await?;
            site.store().apply(&batch_of([&inputs[2]])).await?;
            let row = row_of(site.store(), &id).await?;
            ensure!(row.state == next && row.worker.is_some(), "{row:#?}");
        }
    }
    Ok(())
}

/// Whatever a worker told of its own tries before it was lost.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_delivery_that_fails_beats_what_a_lost_worker_had_retried_by_itself(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    let tried = Lineage {
        tries: 2,
        ..lineage(0, 0, 0)
    };
    let lost = told(&id, tried, TaskState::Started);
    site.store().apply(&batch_of([&lost])).await?;
    let row = row_of(site.store(), &id).await?;
    ensure!(row.attempt().to_string() == "0.2.0" && row.state == TaskState::Started);
    let failed = told(&id, lineage(0, 0, 1), TaskState::Failure);
    site.store().apply(&batch_of([&failed])).await?;
    site.store().apply(&batch_of([&lost])).await?;
    let row = row_of(site.store(), &id).await?;
    ensure!(row.state == TaskState::Failure && row.attempt() == lineage(0, 0, 1));
    Ok(())
}

/// Random histories, in random batches, with random repetition.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn any_order_and_repetition_ends_in_the_row_that_rust_computes(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let attempt = (0..2, 0..2, 0..2, 0..2);
    let known = prop_oneof![
        1 => attempt.clone().prop_map(|(rescue, executions, ..)| (lineage(rescue, executions, 0), None)),
        3 => (attempt, prop::sample::select(TaskState::ALL.to_vec()), 0_u8..3).prop_map(
            |((rescue, executions, deliveries, tries), state, way)| {
                let at = Lineage { tries, ..lineage(rescue, executions, deliveries) };
                (at, Some((state, way)))
            }
        ),
    ];
    let places = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..20);
    let config = Config {
        cases: 60,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let case = (prop::collection::vec(known, 1..8), places);
    let here = tokio::runtime::Handle::current();
    let run = |(known, places): (Vec<Known>, Vec<Place>)| {
        let id = TaskId::random();
        let inputs: Vec<Input> = known
            .iter()
            .map(|(at, state)| match state {
                Some((state, way)) => told_otherwise(&id, *at, *state, *way),
                None => tracked(&id, at.rescue, at.executions),
            })
            .collect();
        let played = here.block_on(play(site.store(), &id, &inputs, &places));
        played.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    };
    tokio::task::block_in_place(|| runner.run(&case, run))?;
    Ok(())
}

/// Applies inputs at random places, a flag telling where a batch ends, then those that no place
/// named. Nothing that was applied comes again at the end: that would repair what went wrong.
async fn play(
    store: &dyn Store,
    id: &TaskId,
    inputs: &[Input],
    places: &[Place],
) -> anyhow::Result<()> {
    let mut missing: Vec<usize> = (0..inputs.len()).rev().collect();
    let mut waiting = Vec::new();
    for (place, ends) in places {
        let place = place.index(inputs.len());
        missing.retain(|other| *other != place);
        waiting.push(&inputs[place]);
        if *ends {
            store.apply(&batch_of(waiting.drain(..))).await?;
        }
    }
    waiting.extend(missing.into_iter().map(|place| &inputs[place]));
    store.apply(&batch_of(waiting)).await?;
    check(store, id, inputs).await
}

/// Two processes write the same thousands of inputs at the same time, shuffled and in part twice.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn two_writers_at_once_end_in_the_rows_of_one(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..60).map(|_| TaskId::random()).collect();
    let inputs: Vec<Vec<Input>> = ids.iter().map(|id| histories(id).swap_remove(0)).collect();
    let all: Vec<&Input> = inputs.iter().flatten().collect();
    let write = async |store: &dyn Store, step: usize| -> anyhow::Result<()> {
        // A step that shares no factor with the number of inputs visits each of them once; half of
        // them come again.
        let places = (0..all.len() * 3 / 2).map(|n| (n * step + step) % all.len());
        let shuffled: Vec<&Input> = places.map(|place| all[place]).collect();
        for some in shuffled.chunks(20) {
            store.apply(&batch_of(some.iter().copied())).await?;
        }
        Ok(())
    };
    let other = site.another().await?;
    let both = futures::join!(write(site.store(), 7), write(&*other, 11));
    both.0?;
    both.1?;
    for (id, history) in ids.iter().zip(&inputs) {
        check(site.store(), id, history).await?;
    }
    Ok(())
}

/// The events queue may be faster than the tracking queue.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_result_may_come_before_its_task(site: &StoreSite) -> anyhow::Result<()> {
    let id = TaskId::random();
    let success = told(&id, lineage(0, 0, 0), TaskState::Success);
    site.store().apply(&batch_of([&success])).await?;
    let row = row_of(site.store(), &id).await?;
    ensure!(row.name == "demo.add" && row.service == "demo" && row.input.is_none());
    let result = site.store().result(&id, 0).await?.context("a result")?;
    ensure!(result.result.context("a value")?.get() == "3");
    site.store().apply(&batch_of([&tracked(&id, 0, 0)])).await?;
    check(site.store(), &id, &[success, tracked(&id, 0, 0)]).await
}

/// What the copy says replaces what events guessed, even where it says nothing.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_tracking_copy_describes_a_task_that_events_made_known(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    let mut started = event(&id, lineage(0, 0, 0), TaskState::Started);
    started.session_id = Some("guessed".into());
    started.parent_id = TaskId::new("guessed").ok();
    let started = Input::Event(Box::new(started));
    site.store().apply(&batch_of([&started])).await?;
    ensure!(row_of(site.store(), &id).await?.session_id.as_deref() == Some("guessed"));
    site.store().apply(&batch_of([&tracked(&id, 0, 0)])).await?;
    site.store().apply(&batch_of([&started])).await?;
    let row = row_of(site.store(), &id).await?;
    ensure!(row.session_id.is_none() && row.parent_id.is_none());
    ensure!(row.creator_id.as_deref() == Some("creator 0.0"));
    ensure!(row.state == TaskState::Started);
    Ok(())
}

/// One result per task and run, and it is that of the highest event.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn of_two_outcomes_of_a_run_the_higher_stays_and_runs_keep_their_own(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    let again = Lineage {
        run: 1,
        ..lineage(0, 0, 0)
    };
    let inputs = [
        told(&id, again, TaskState::Failure),
        told(&id, lineage(0, 0, 0), TaskState::Success),
        told(&id, lineage(0, 1, 0), TaskState::Failure),
    ];
    for input in &inputs {
        site.store().apply(&batch_of([input])).await?;
    }
    let status = async |run| -> anyhow::Result<_> {
        Ok(site
            .store()
            .result(&id, run)
            .await?
            .map(|result| result.status))
    };
    ensure!(status(0).await? == Some(TaskState::Success));
    ensure!(status(1).await? == Some(TaskState::Failure));
    ensure!(status(2).await?.is_none());
    check(site.store(), &id, &inputs).await
}

/// What was committed but not acknowledged comes again.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn applying_a_batch_again_changes_nothing(site: &StoreSite) -> anyhow::Result<()> {
    let id = TaskId::random();
    let history = histories(&id).swap_remove(0);
    let first = site.store().apply(&batch_of(&history)).await?;
    ensure!(
        (first.tasks, first.lines, first.results) == (1, 5, 1),
        "{first:?}"
    );
    let row = row_of(site.store(), &id).await?;
    let again = site.store().apply(&batch_of(&history)).await?;
    ensure!(again == counterfoil_store::Applied::default(), "{again:?}");
    ensure!(
        row_of(site.store(), &id).await? == row,
        "even last_updated is as it was"
    );
    Ok(())
}
