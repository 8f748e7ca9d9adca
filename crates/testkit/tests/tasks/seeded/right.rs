//! The right worker loses nothing.

use super::{Database, Tell, TellAll, TellSlowly, start_right};
use counterfoil_testkit::{Seeds, Trouble};
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::{Task, TaskState};
use counterfoil_worker::{Context, TaskError};
use std::time::Duration;

/// All users are told by a thousand workers that are killed, replaced and cut off.
#[test]
fn a_worker_that_acknowledges_after_the_effect_lives_through_a_thousand_seeds() {
    Seeds::new(1000).run(async |trial| {
        let database = start_right(&trial).await?;
        for user in 0..4 {
            let fails = u32::from(trial.chance(4) == 0);
            trial.send(Tell { user, fails }).await?;
        }
        let settled = trial.settle().await?;
        database.assert_told(0..4);
        assert_eq!(settled.count(TaskState::Success), 4);
        for task in settled.tasks() {
            assert!(task.output::<Tell>()? < 4);
        }
        Ok(())
    });
}

#[test]
fn children_are_sent_and_run_whatever_happens_to_their_parent() {
    Seeds::new(100).run(async |trial| {
        let database = start_right(&trial).await?;
        let users = (0..5).collect();
        trial.send(TellAll { users }).await?;
        let settled = trial.settle().await?;
        database.assert_told(0..5);
        // A parent that runs twice has sent twice.
        assert!(settled.tasks().len() >= 6);
        assert_eq!(settled.count(TaskState::Success), settled.tasks().len());
        Ok(())
    });
}

#[test]
fn what_a_lost_worker_had_taken_over_is_sent_again_as_the_daemon_does() {
    let seeds = Seeds::new(100).gaps_up_to(Duration::from_millis(400));
    let seeds = seeds.only_faults([Trouble::Kill, Trouble::Redeliver, Trouble::Block]);
    seeds.run(async |trial| {
        let database = start_right(&trial).await?;
        for user in 0..3 {
            trial.send(TellSlowly { user }).await?;
        }
        trial.settle().await?;
        database.assert_told(0..3);
        Ok(())
    });
}

#[test]
fn two_workers_share_the_queue_and_lose_nothing() {
    Seeds::new(100).run(async |trial| {
        let database = start_right(&trial).await?;
        let clone = database.clone();
        trial
            .worker(move |worker| super::right(worker, &clone))
            .await?;
        for user in 0..6 {
            trial.send(Tell { user, fails: 0 }).await?;
        }
        trial.settle().await?;
        database.assert_told(0..6);
        Ok(())
    });
}

#[test]
fn twenty_faults_in_a_row_lose_nothing_either() {
    // In seed 354 a worker that was told to stop ends before the end of a task that it had taken over is confirmed.
    let seeds = Seeds::new(60).starting_at(300).faults(20);
    seeds
        .gaps_up_to(Duration::from_millis(500))
        .run(async |trial| {
            let database = start_right(&trial).await?;
            let clone = database.clone();
            trial
                .worker(move |worker| super::right(worker, &clone))
                .await?;
            let users = (0..3).collect();
            trial.send(TellAll { users }).await?;
            for user in 3..6 {
                let fails = u32::try_from(trial.chance(3))?;
                trial.send(Tell { user, fails }).await?;
                trial.send(TellSlowly { user: user + 3 }).await?;
            }
            trial.settle().await?;
            database.assert_told(0..9);
            Ok(())
        });
}

/// It ends in every way but well.
async fn give_up(task: Tell, _: Context) -> Result<u64, TaskError> {
    match task.user {
        0 => Err(TaskError::fail("nobody lives there")),
        1 => Err(TaskError::reject("keep it")),
        2 => Err(TaskError::retry("try again")),
        _ => panic!("as planned"),
    }
}

#[test]
fn tasks_that_fail_are_over_too_each_with_its_reason() {
    Seeds::new(100).run(async |trial| {
        trial.worker(|worker| worker.handle(give_up)).await?;
        for user in 0..4 {
            trial.send(Tell { user, fails: 0 }).await?;
        }
        let settled = trial.settle().await?;
        assert_eq!(settled.count(TaskState::Failure), 4);
        let mut kinds = Vec::new();
        for task in settled.tasks() {
            assert!(task.output::<Tell>().is_err());
            kinds.push(task.fault().expect("it has a reason").kind);
        }
        let expected = [
            FaultKind::Exception,
            FaultKind::Rejected,
            FaultKind::Exhausted,
            FaultKind::Exhausted,
        ];
        assert_eq!(kinds, expected);
        Ok(())
    });
}

#[test]
fn without_faults_everything_happens_once() {
    Seeds::new(20).faults(0).run(async |trial| {
        let database: Database = start_right(&trial).await?;
        let id = trial.send(Tell { user: 7, fails: 0 }).await?;
        let settled = trial.settle().await?;
        let told = settled.task(&id).expect("it was sent");
        assert_eq!(
            (told.name().as_str(), told.output::<Tell>()?),
            (Tell::NAME, 7)
        );
        assert_eq!(database.told(7), 1);
        Ok(())
    });
}
