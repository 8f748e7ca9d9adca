//! What people do about tasks that are over: run them again, or forget them.

use super::samples::{copy, event, lineage, same_message};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{Batch, DeadFilter, DeadLetter, Deed};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, LogLine};
use counterfoil_toolbox::ids::TaskId;
use std::collections::HashSet;

/// A line that the handler of a task wrote.
fn log_line(id: &TaskId) -> Event {
    let name = "demo.add".parse().expect("a task name");
    let mut event = Event::new(
        id.clone(),
        name,
        lineage(0, 0, 0),
        EventKind::Log,
        Utc::now(),
    );
    event.log = Some(LogLine {
        level: "info".into(),
        message: "half of it".to_owned(),
        fields: serde_json::Map::new(),
    });
    event
}

/// With result, history and log; living and immutable tasks stay, and so do all others.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn tasks_that_are_over_are_deleted_whole(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let [over, living, immutable, other] = std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    for id in [&over, &living, &immutable, &other] {
        batch.track(&copy(id));
        batch.event(&log_line(id));
        let state = match id == &living {
            true => TaskState::Started,
            false => TaskState::Success,
        };
        batch.event(&event(id, lineage(0, 0, 0), state));
    }
    store.apply(&batch).await?;
    site.execute(&format!(
        "UPDATE background_task SET immutable = true WHERE task_id = '{immutable}'"
    ))
    .await?;
    let asked = [
        over.clone(),
        living.clone(),
        immutable.clone(),
        TaskId::random(),
    ];
    let deleted = store.delete_tasks(&asked, Some("ana")).await?;
    ensure!(deleted == HashSet::from([over.clone()]), "{deleted:?}");
    ensure!(store.delete_tasks(&asked, None).await?.is_empty(), "once");
    let told = store
        .deleted_task(over.as_str())
        .await?
        .context("it is known")?;
    ensure!(told.deleted_by.as_deref() == Some("ana") && told.name == "demo.add");
    ensure!(
        store.deleted_task(&told.id).await? == Some(told),
        "by its public id"
    );
    ensure!(store.deleted_task(living.as_str()).await?.is_none());
    let all = [
        over.clone(),
        living.clone(),
        immutable.clone(),
        other.clone(),
    ];
    let left = store.tasks_with_ids(&all).await?;
    let left: HashSet<_> = left.into_iter().map(|row| row.task_id).collect();
    ensure!(left == HashSet::from([living.clone(), immutable.clone(), other.clone()]));
    for id in [&living, &immutable, &other] {
        ensure!(store.history(id).await?.len() == 2 && store.log(id).await?.len() == 1);
    }
    ensure!(store.result(&other, 0).await?.is_some());
    ensure!(store.history(&over).await?.is_empty() && store.log(&over).await?.is_empty());
    ensure!(store.result(&over, 0).await?.is_none());
    // What comes late makes a row again: nothing is refused.
    store.apply(&batch).await?;
    store.task(over.as_str()).await?.context("a row again")?;
    Ok(())
}

fn deed(action: &'static str) -> Deed<'static> {
    Deed {
        action,
        by: Some("alice"),
        at: DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
    }
}

/// From FAILURE to PENDING of the new run; its history and the outcome of the old run stay, and tell
/// who did it. Told twice it is one run.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_new_run_begins_where_the_last_one_ended(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    batch.event(&event(&id, lineage(0, 3, 1), TaskState::Failure));
    store.apply(&batch).await?;
    let mut anew = copy(&id);
    anew.envelope.lineage.run = 1;
    anew.message.routing_key = "demo.anew".into();
    for _ in 0..2 {
        let mut batch = Batch::new();
        batch.rerun(&anew, deed("rerun"));
        store.apply(&batch).await?;
    }
    let row = store.task(id.as_str()).await?.context("a row")?;
    ensure!(
        (row.state, row.run, row.executions) == (TaskState::Pending, 1, 0),
        "{row:#?}"
    );
    ensure!(row.error_kind.is_none() && row.routing_key.as_deref() == Some("demo.anew"));
    let stored = store.stored_tasks(&[id.clone(), TaskId::random()]).await?;
    ensure!(
        stored.len() == 1 && stored[0].run == 1 && same_message(&stored[0].message, &anew.message)
    );
    let history = store.history(&id).await?;
    let told: Vec<_> = history.iter().map(|line| (line.run, line.kind)).collect();
    ensure!(
        told == [
            (0, TaskState::Pending),
            (0, TaskState::Failure),
            (1, TaskState::Pending)
        ],
        "{told:?}"
    );
    let detail = history[2].detail.as_ref().context("who did it")?.to_value();
    ensure!(
        detail == serde_json::json!({"action": "rerun", "by": "alice"}),
        "{detail}"
    );
    ensure!(history[2].happened_at == deed("").at);
    ensure!(
        store
            .result(&id, 0)
            .await?
            .context("of the old run")?
            .status
            == TaskState::Failure
    );
    let mut batch = Batch::new();
    batch.event(&event(
        &id,
        counterfoil_toolbox::state::Lineage {
            run: 1,
            ..lineage(0, 0, 0)
        },
        TaskState::Success,
    ));
    batch.note(&id, lineage(0, 3, 1), TaskState::Failure, deed("discard"));
    store.apply(&batch).await?;
    let row = store.task(id.as_str()).await?.context("a row")?;
    ensure!(
        (row.state, row.run) == (TaskState::Success, 1),
        "a note changes no state"
    );
    ensure!(store.result(&id, 0).await?.is_some() && store.result(&id, 1).await?.is_some());
    ensure!(store.history(&id).await?.len() == 5);
    Ok(())
}

fn letter(id: &TaskId, reason: &str, second: i64) -> DeadLetter {
    DeadLetter {
        service: "demo".into(),
        reason: reason.into(),
        reason_text: None,
        task_id: Some(id.clone()),
        name: Some(
            if reason == "exhausted" {
                "demo.add"
            } else {
                "demo.echo"
            }
            .into(),
        ),
        lineage: lineage(0, 0, 0),
        died_at: DateTime::from_timestamp(1_800_000_000 + second, 0),
        message: copy(id).message,
    }
}

/// By every filter, without their messages, in full number.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn dead_letters_are_found_by_why_what_and_when(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<_> = (0..4).map(|_| TaskId::random()).collect();
    let mut batch = Batch::new();
    for (n, id) in (0..).zip(&ids) {
        let reason = if n % 2 == 0 {
            "exhausted"
        } else {
            "bad_arguments"
        };
        batch.dead(letter(id, reason, n));
    }
    site.store().apply(&batch).await?;
    let since = DateTime::from_timestamp(1_800_000_002, 0).context("a time")?;
    let of = DeadFilter::default;
    for (filter, wanted) in [
        (of(), vec![0, 1, 2, 3]),
        (
            DeadFilter {
                reason: Some("exhausted".into()),
                ..of()
            },
            vec![0, 2],
        ),
        (
            DeadFilter {
                name: Some("demo.echo".into()),
                ..of()
            },
            vec![1, 3],
        ),
        (
            DeadFilter {
                since: Some(since),
                ..of()
            },
            vec![2, 3],
        ),
        (
            DeadFilter {
                service: Some("export".into()),
                ..of()
            },
            vec![],
        ),
        (
            DeadFilter {
                since: Some(since),
                reason: Some("exhausted".into()),
                limit: 1,
                ..of()
            },
            vec![2],
        ),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|n: usize| ids[n].as_str()).collect();
        let found = site.store().dead_records(&filter).await?;
        let found: Vec<_> = found
            .iter()
            .filter_map(|row| row.task_id.as_deref())
            .collect();
        ensure!(found == wanted, "{filter:?}: {found:?}");
        let mut listed = site.store().dead(&filter).await?;
        listed.reverse();
        let listed: Vec<_> = listed
            .iter()
            .filter_map(|row| row.task_id.as_deref())
            .collect();
        ensure!(listed == wanted, "{filter:?}: {listed:?}");
    }
    Ok(())
}

/// However many equal ones there are, and if the daemon learns of one only when it is gone.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_dead_letter_is_listed_until_all_such_messages_were_taken_out(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [twice, unheard, forgotten] = std::array::from_fn(|_| TaskId::random());
    let told = async |id: &TaskId| -> anyhow::Result<()> {
        let mut batch = Batch::new();
        batch.dead(letter(id, "exhausted", 1));
        store.apply(&batch).await?;
        Ok(())
    };
    let taken = async |id: &TaskId| -> anyhow::Result<()> {
        let mut batch = Batch::new();
        batch.handle_dead(letter(id, "exhausted", 1));
        store.apply(&batch).await?;
        Ok(())
    };
    let listed = async |id: &TaskId| -> anyhow::Result<usize> {
        let services = store.dead_services(std::slice::from_ref(id)).await?;
        let filter = DeadFilter {
            id: Some(id.as_str().to_owned()),
            ..DeadFilter::default()
        };
        let rows = store.dead(&filter).await?.len();
        ensure!(services.len() == rows && store.dead_records(&filter).await?.len() == rows);
        Ok(rows)
    };
    told(&twice).await?;
    told(&twice).await?;
    taken(&twice).await?;
    ensure!(listed(&twice).await? == 1, "one is left");
    taken(&twice).await?;
    ensure!(listed(&twice).await? == 0);
    let all = site.text("SELECT CAST(count(*) AS text) FROM dead").await?;
    ensure!(all.as_deref() == Some("0"), "nothing is kept of it");

    taken(&unheard).await?;
    ensure!(listed(&unheard).await? == 0);
    told(&unheard).await?;
    ensure!(
        listed(&unheard).await? == 0,
        "it was taken out before the daemon heard of it"
    );
    told(&unheard).await?;
    ensure!(listed(&unheard).await? == 1, "another one died");

    told(&forgotten).await?;
    let mut batch = Batch::new();
    batch.forget_dead(letter(&forgotten, "exhausted", 1).id());
    store.apply(&batch).await?;
    ensure!(listed(&forgotten).await? == 0);
    ensure!(listed(&unheard).await? == 1, "the others stay");
    let later = DeadFilter {
        since: Some(Utc::now() + TimeDelta::days(365_000)),
        ..DeadFilter::default()
    };
    ensure!(store.dead_records(&later).await?.is_empty());
    Ok(())
}
