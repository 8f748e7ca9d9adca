//! What lies in a dead queue is dealt with once, by one at a time.

use crate::forgetful::Forgetful;
use crate::site::{Site, demo, on_both_pairs};
use counterfoil_operations::dead::{Deal, Dealing, Fate, Which};
use counterfoil_operations::{
    Doer, ErrorClass, Instead, Mode, OperationError, Outcome, Platform, Subject, Told,
};
use counterfoil_store::DeadFilter;
use counterfoil_toolbox::TaskState;

on_both_pairs!(
    a_dead_message_runs_again_while_others_are_kept_from_the_queue,
    a_record_without_a_message_is_told_with_what_can_be_done_instead,
    a_queue_that_seems_empty_for_a_moment_is_looked_at_again,
);

fn deal(fate: Fate, mode: Mode, ids: &[&str]) -> Deal {
    Deal {
        fate,
        mode,
        service: demo(),
        which: Which {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Which::default()
        },
        limit: usize::MAX,
        doer: Doer::new(Some("ann".to_owned())),
    }
}

async fn dealt(site: &Platform, deal: Deal) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    let mut dealing = Dealing::begin(site, deal).await?;
    dealing.run(|one| told.push(one)).await?;
    Ok(told)
}

async fn a_dead_message_runs_again_while_others_are_kept_from_the_queue(
    site: Site,
) -> anyhow::Result<()> {
    site.die("t1").await?;
    site.die("t2").await?;
    site.holds(0, 2).await?;
    let mut dealing =
        Dealing::begin(&site.platform, deal(Fate::Redrive, Mode::Do, &["t1"])).await?;
    assert_eq!(dealing.expected(), 1);
    let other = Dealing::begin(&site.platform, deal(Fate::Discard, Mode::Do, &[])).await;
    let refused = other.expect_err("the first one is at work");
    assert!(
        matches!(refused, OperationError::AtWork { .. }),
        "{refused}"
    );
    assert_eq!(refused.class(), ErrorClass::Conflict);

    let mut told = Vec::new();
    dealing.run(|one| told.push(one)).await?;
    let subject = Subject {
        id: "t1".to_owned(),
        task_id: Some("t1".to_owned()),
        name: Some("demo.add".to_owned()),
    };
    let outcome = Outcome::Done(Some("run 1".to_owned()));
    assert_eq!(told, [Told { subject, outcome }]);
    assert_eq!(dealing.unread(), 0);
    drop(dealing);
    site.holds(1, 1).await?;
    let row = site.row("t1").await?;
    assert_eq!((row.run, row.state), (1, TaskState::Pending));

    let would = dealt(&site, deal(Fate::Discard, Mode::DryRun, &[])).await?;
    assert_eq!(would.len(), 1);
    site.holds(1, 1).await?;
    let told = dealt(&site, deal(Fate::Discard, Mode::Do, &[])).await?;
    assert_eq!(told, would);
    site.holds(1, 0).await?;
    let listed = site.store.dead(&DeadFilter::default()).await?;
    assert!(listed.is_empty(), "{listed:?}");
    Ok(())
}

async fn a_record_without_a_message_is_told_with_what_can_be_done_instead(
    site: Site,
) -> anyhow::Result<()> {
    site.task("t1", TaskState::Failure).await?;
    site.record(site.letter("t1")).await?;
    let told = dealt(&site, deal(Fate::Redrive, Mode::Do, &["t1", "nobody's"])).await?;
    let failed = |told: &Told| match &told.outcome {
        Outcome::Failed(objection) => Some((objection.why.clone(), objection.instead)),
        Outcome::Done(_) | Outcome::Asked(_) => None,
    };
    let wanted = [
        (
            "its message is not in demo.dead any more".to_owned(),
            Some(Instead::RerunOrForget),
        ),
        (
            "no message that was chosen has this id or is of this task in demo.dead".to_owned(),
            None,
        ),
    ];
    assert_eq!(told.iter().filter_map(failed).collect::<Vec<_>>(), wanted);

    let told = dealt(&site, deal(Fate::Discard, Mode::Do, &["t1"])).await?;
    assert!(
        matches!(told[0].outcome, Outcome::Done(Some(_))),
        "{told:?}"
    );
    assert!(site.store.dead(&DeadFilter::default()).await?.is_empty());
    Ok(())
}

async fn a_queue_that_seems_empty_for_a_moment_is_looked_at_again(
    site: Site,
) -> anyhow::Result<()> {
    site.die("t1").await?;
    site.holds(0, 1).await?;
    let forgetful = Platform {
        transport: Forgetful::new(&site.transport, 2),
        ..site.platform.clone()
    };
    let told = dealt(&forgetful, deal(Fate::Discard, Mode::Do, &[])).await?;
    let [Told { subject, outcome }] = &told[..] else {
        anyhow::bail!("one message is there: {told:?}");
    };
    assert_eq!((&*subject.id, outcome), ("t1", &Outcome::Done(None)));
    site.holds(0, 0).await
}
