//! The handlers: nothing to install, and nothing to wait for. The clock stands still while somebody
//! works, and jumps when all wait (`start_paused`).

use anyhow::Result;
use counterfoil_testkit::{MemoryPlatform, Outcome, Perform, Seeds};
use counterfoil_toolbox::Task;
use counterfoil_worker::Exit;
use std::time::Duration;
use tempfile::TempDir;

use abacus_tasks::{CountAll, CountWords};
use abacus_worker::handlers::register;
use abacus_worker::settings::Settings;

/// A folder with one document.
fn folder() -> Result<(TempDir, Settings)> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("song.txt"), "To be or not to be")?;
    let documents = folder.path().to_owned();
    Ok((folder, Settings { documents }))
}

fn count(document: &str) -> CountWords {
    CountWords {
        document: document.to_owned(),
        at_least: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_document_are_counted() -> Result<()> {
    let (_folder, settings) = folder()?;
    let done = Perform::new(count("song.txt"));
    let done = done.by(|worker| register(worker, settings.clone())).await?;
    assert_eq!(done.output(), &6);

    let long_ones = CountWords {
        at_least: 3,
        ..count("song.txt")
    };
    let done = Perform::new(long_ones);
    let done = done.by(|worker| register(worker, settings)).await?;
    assert_eq!(done.output(), &1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_outside_of_the_folder_is_never_read_nor_tried_again() -> Result<()> {
    for document in ["", "/etc/passwd", "../secret.txt"] {
        let (_folder, settings) = folder()?;
        let failed = Perform::new(count(document));
        let failed = failed.by(|worker| register(worker, settings)).await?;
        let why = format!("{document:?} is no file of the folder");
        assert_eq!(failed.fault().message, why);
        assert!(matches!(failed.outcome(), Outcome::Failed(_)));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_missing_document_is_looked_for_again_and_given_up_after_five_retries() -> Result<()> {
    let attempt = async |number: u32| {
        let (_folder, settings) = folder()?;
        let missing = Perform::new(count("late.txt")).attempt(number);
        missing.by(|worker| register(worker, settings)).await
    };
    let first = attempt(1).await?;
    let Outcome::Retry { after, counted, .. } = first.outcome() else {
        panic!("{}", first.outcome());
    };
    assert_eq!((after.as_secs(), counted), (10, &true));
    assert!(matches!(attempt(6).await?.outcome(), Outcome::Dead(_)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_document_gets_a_task_of_its_own() -> Result<()> {
    let (_folder, settings) = folder()?;
    let documents = ["a.txt", "b.txt"].map(str::to_owned).to_vec();
    let done = Perform::new(CountAll { documents });
    let done = done.by(|worker| register(worker, settings)).await?;
    assert_eq!(done.output(), &2);
    assert_eq!(done.scheduled().len(), 2);
    let child = done.assert_scheduled(|task: &CountWords| task.document == "b.txt");
    assert_eq!(child.id().as_str(), format!("{}.0.2", done.id()));
    let told = done.progress().expect("it tells how far it is");
    assert_eq!((told.current, told.total), (2, Some(2)));
    Ok(())
}

/// The whole worker, with retries and children.
#[tokio::test(start_paused = true)]
async fn a_document_that_comes_late_is_counted_all_the_same() -> Result<()> {
    let (folder, settings) = folder()?;
    let platform = MemoryPlatform::new().await?;
    let worker = register(platform.worker(), settings);
    let worker = platform.start(worker).await?;

    let mut sent = platform.producer().send(count("late.txt")).await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    std::fs::write(folder.path().join("late.txt"), "Better late than never")?;
    assert_eq!(sent.result(Duration::from_secs(60)).await?, 4);
    assert_eq!(worker.drain().await?, Exit::Drained);
    Ok(())
}

/// Workers are killed and replaced, connections break, acknowledgements are lost: nothing of that may be seen in
/// the end. A seed that fails is told, and `COUNTERFOIL_SEED=<seed>` shows the same again. Twenty schedules of
/// failures are few: `COUNTERFOIL_SEEDS=1000` tries more.
#[test]
fn every_document_is_counted_whatever_fails_meanwhile() -> Result<()> {
    let (_folder, settings) = folder()?;
    Seeds::new(20).run(async |trial| {
        let settings = settings.clone();
        let worker = move |worker| register(worker, settings.clone());
        trial.worker(worker).await?;
        let documents = vec!["song.txt".to_owned(); 3];
        trial.send(CountAll { documents }).await?;
        // Every task is over, or this fails: one that is lost is named.
        let settled = trial.settle().await?;
        let is_count = |name: &str| name == CountWords::NAME;
        let counts = settled
            .tasks()
            .iter()
            .filter(|task| is_count(task.name().as_str()));
        let counts: Result<Vec<_>> = counts.map(|task| task.output::<CountWords>()).collect();
        assert_eq!(counts?, [6, 6, 6]);
        Ok(())
    });
    Ok(())
}
