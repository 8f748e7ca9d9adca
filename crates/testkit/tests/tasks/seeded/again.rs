//! The same seed, the same trial.

use super::{Tell, TellAll, TellSlowly, right, start_right};
use counterfoil_testkit::{Seeds, Trial};
use std::cell::RefCell;

/// A bit of everything: two workers, retries, children, early acknowledgement.
async fn busy(trial: &Trial) -> anyhow::Result<()> {
    let database = start_right(trial).await?;
    trial.worker(move |worker| right(worker, &database)).await?;
    trial
        .send(TellAll {
            users: vec![1, 2, 3],
        })
        .await?;
    for user in 4..8 {
        let fails = u32::try_from(trial.chance(3))?;
        trial.send(Tell { user, fails }).await?;
    }
    trial.send(TellSlowly { user: 8 }).await?;
    trial.settle().await?;
    Ok(())
}

fn diaries(seeds: &Seeds) -> Vec<Vec<String>> {
    let diaries = RefCell::<Vec<Vec<String>>>::default();
    seeds.clone().run(async |trial| {
        busy(&trial).await?;
        diaries.borrow_mut().push(trial.diary());
        Ok(())
    });
    diaries.into_inner()
}

#[test]
fn two_runs_of_a_seed_have_the_same_faults_and_deliveries_at_the_same_times() {
    let seeds = Seeds::new(60);
    let (first, second) = (diaries(&seeds), diaries(&seeds));
    assert_eq!(first.len(), 60);
    for (seed, (first, second)) in first.iter().zip(&second).enumerate() {
        assert_eq!(first, second, "seed {seed}");
    }
    let faults = first.iter().flatten().filter(|line| line.contains("ms ! "));
    assert!(faults.count() > 60);
    let begun = first
        .iter()
        .flatten()
        .filter(|line| line.contains(" begins "));
    assert!(begun.count() > 60 * 9);
}

#[test]
fn another_seed_is_another_trial() {
    let diaries = diaries(&Seeds::new(2).starting_at(100));
    assert_ne!(diaries[0], diaries[1]);
}
