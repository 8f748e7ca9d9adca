//! A text is looked for where people know it from.

use super::lists::{LONG, found, id_at};
use super::samples::{copy_of, event, fault, lineage};
use super::site::StoreSite;
use anyhow::ensure;
use counterfoil_store::{Batch, Counted, Cursor, TaskFilter, TaskOrder};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::TaskFault;
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;

/// Six tasks, each with something else to be found by.
fn sought(ids: &[TaskId]) -> anyhow::Result<Batch> {
    let mut batch = Batch::new();
    for (n, name) in [
        "demo.add",
        "export.project",
        "demo.echo",
        "demo.echo",
        "demo.echo",
        "mail.send",
    ]
    .into_iter()
    .enumerate()
    {
        let mut envelope = Envelope::new(ids[n].clone(), TaskName::new(name)?);
        match n {
            1 => envelope.identifier = Some("nightly of 42".into()),
            2 => envelope.creator_id = Some("ana.maria".into()),
            3 => envelope.related = Some("projects.project:42".into()),
            _ => {}
        }
        batch.track(&copy_of(envelope));
    }
    for (n, message) in [(0, "disk is 100% full"), (5, r"no route to C:\data_1")] {
        let mut failed = event(&ids[n], lineage(0, 0, 0), TaskState::Failure);
        failed.error = Some(TaskFault {
            message: message.to_owned(),
            ..fault()
        });
        batch.event(&failed);
    }
    let mut started = event(&ids[4], lineage(0, 0, 0), TaskState::Started);
    started.worker = WorkerId::new("demo@Amsterdam.7.aa").ok();
    batch.event(&started);
    Ok(batch)
}

/// Each place where it may stand, and the signs that patterns are made of.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_text_is_found_where_people_look_for_it(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..6).map(id_at).collect();
    site.store().apply(&sought(&ids)?).await?;
    let public = site.store().public_id(&ids[2])?;
    let (short, random) = (&ids[3].as_str()[..8], ids[3].as_str());
    let twelve = &public[..12];
    // As some tools show them.
    let (short_upper, random_upper) = (short.to_uppercase(), random.to_uppercase());
    let cases: &[(&str, &[usize])] = &[
        // A part of an error, in either case.
        ("DISK is", &[0]),
        ("100% f", &[0]),
        ("100_ f", &[]),
        (r"c:\data_", &[5]),
        ("data?1", &[]),
        // Of an identifier, a type; the beginning of a creator's name.
        ("ghtly", &[1]),
        ("o.ECHO", &[4, 3, 2]),
        ("ana.m", &[2]),
        ("maria", &[]),
        // The worker that has it in hand.
        ("amsterdam", &[4]),
        // Of less than three characters: what is all of it, and types.
        ("42", &[3]),
        ("ex", &[1]),
        ("%", &[]),
        // A related object, an id, the beginning of one.
        ("projects.project:42", &[3]),
        ("maps.map:42", &[]),
        (random, &[3]),
        (short, &[5, 4, 3, 2, 1, 0]),
        (&short_upper, &[5, 4, 3, 2, 1, 0]),
        (&random_upper, &[3]),
        (&short[..7], &[]),
        (&public, &[2]),
        (twelve, &[2]),
        ("  ", &[5, 4, 3, 2, 1, 0]),
        ("'; --\0", &[]),
    ];
    for (text, wanted) in cases {
        let filter = TaskFilter {
            text: Some((*text).to_owned()),
            ..TaskFilter::default()
        };
        let tasks = found(site, &ids, &filter).await?;
        ensure!(tasks == *wanted, "{text:?}: {tasks:?}");
        let count = site.store().count_tasks(&filter).await?;
        let wanted = u64::try_from(wanted.len())?;
        ensure!(count == Counted::Exactly(wanted), "{text:?}: {count:?}");
    }
    Ok(())
}

/// A text and other filters hold together, in either order and from any page on.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_text_narrows_what_other_filters_choose(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..6).map(id_at).collect();
    site.store().apply(&sought(&ids)?).await?;
    let text = |text: &str| TaskFilter {
        text: Some(text.to_owned()),
        ..TaskFilter::default()
    };
    let demo = Some("demo".to_owned());
    let cases = [
        (
            TaskFilter {
                state: Some(TaskState::Failure),
                ..text("demo")
            },
            vec![0],
        ),
        (
            TaskFilter {
                state: Some(TaskState::Pending),
                ..text("echo")
            },
            vec![3, 2],
        ),
        (
            TaskFilter {
                service: demo.clone(),
                ..text("e")
            },
            vec![4, 3, 2, 0],
        ),
        (
            TaskFilter {
                name: Some("demo.echo".to_owned()),
                ..text("demo")
            },
            vec![4, 3, 2],
        ),
        (
            TaskFilter {
                name: Some("demo.echo".to_owned()),
                ..text("full")
            },
            vec![],
        ),
        (
            TaskFilter {
                creator: Some("ana.maria".to_owned()),
                ..text("echo")
            },
            vec![2],
        ),
        (
            TaskFilter {
                service: demo,
                ..text(ids[5].as_str())
            },
            vec![],
        ),
        (
            TaskFilter {
                order: TaskOrder::OldestFirst,
                limit: 2,
                ..text("echo")
            },
            vec![2, 3],
        ),
    ];
    for (filter, wanted) in cases {
        let tasks = found(site, &ids, &filter).await?;
        ensure!(tasks == wanted, "{filter:?}: {tasks:?}");
    }
    let first = TaskFilter {
        limit: 2,
        ..text("echo")
    };
    let page = site.store().page(&first, LONG).await?.tasks;
    let last = page.last().map(Cursor::after);
    let second = TaskFilter {
        after: last.clone(),
        ..first.clone()
    };
    ensure!(found(site, &ids, &second).await? == [2]);
    let back = TaskFilter {
        before: last,
        ..first
    };
    ensure!(found(site, &ids, &back).await? == [4]);
    Ok(())
}
