//! Tasks that are sent in transactions of an application.

use super::site::StoreSite;
use crate::{Application, patience};
use anyhow::{Context, ensure};
use counterfoil_store::{
    Batch, OutboxMessage, Seen, SendInError, StoreError, StoredMessage, TrackingCopy,
};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::TaskMessage;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{Priority, TaskState};
use std::time::Duration;

const PLENTY: u32 = 1_000_000;

fn task(name: &str) -> anyhow::Result<RawTask> {
    Ok(RawTask {
        name: TaskName::new(name)?,
        args: "[1]".to_owned(),
        kwargs: "{}".to_owned(),
    })
}

/// Sends tasks of these names in one transaction that commits.
async fn send(
    site: &StoreSite,
    names: &[&str],
    options: SendOptions,
) -> anyhow::Result<Vec<TaskId>> {
    let application = Application::connect(site.url()).await?;
    let mut transaction = application.begin().await?;
    let mut sent = Vec::new();
    for name in names {
        let connection = transaction.connection();
        let id = site
            .store()
            .send_raw_in(connection, task(name)?, options.clone());
        sent.push(id.await?);
    }
    transaction.commit().await?;
    Ok(sent)
}

async fn due(site: &StoreSite, held: &[&str]) -> anyhow::Result<Vec<OutboxMessage>> {
    let held: Vec<_> = held.iter().map(|queue| (*queue).to_owned()).collect();
    Ok(site.store().due_messages(&held, 100, PLENTY).await?)
}

fn ids(messages: &[OutboxMessage]) -> Vec<String> {
    let ids = messages.iter().map(|it| &it.message.content);
    ids.filter_map(|content| content.headers.text("id").map(str::to_owned))
        .collect()
}

/// The copy that the broker will give to the platform says nothing new, but its exchange.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_is_in_the_outbox_and_in_its_row_if_and_only_if_its_transaction_commits(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (store, application) = (site.store(), Application::connect(site.url()).await?);
    let mut transaction = application.begin().await?;
    let options = SendOptions::new().creator("ann");
    let sent = store.send_raw_in(transaction.connection(), task("demo.add")?, options.clone());
    let gone = sent.await?;
    transaction.rollback().await?;
    let id = send(site, &["demo.add"], options).await?.remove(0);

    ensure!(store.task(gone.as_str()).await?.is_none());
    let message = due(site, &[]).await?.pop().context("a message")?;
    ensure!(ids(&due(site, &[]).await?) == [id.as_str()]);
    ensure!(message.key == format!("task:{id}"), "{message:?}");
    let row = store.task(id.as_str()).await?.context("a row")?;
    ensure!(row.state == TaskState::Pending && row.creator_id.as_deref() == Some("ann"));
    let history = store.history(&id).await?;
    ensure!(history.len() == 1, "{history:?}");

    let task =
        TaskMessage::decode(&message.message.content).map_err(|it| anyhow::anyhow!(it.reason))?;
    let copy = TrackingCopy {
        input: Some(task.payload.to_input()),
        envelope: task.envelope,
        message: StoredMessage {
            exchange: "task_exchange".into(),
            ..message.message.clone()
        },
        seen: Seen::Scheduled,
    };
    let mut batch = Batch::new();
    batch.track(&copy);
    for changed in [1, 0] {
        let applied = store.apply(&batch).await?;
        ensure!(
            (applied.tasks, applied.lines) == (changed, 0),
            "{applied:?}"
        );
    }
    let stored = store.stored_tasks(std::slice::from_ref(&id)).await?;
    ensure!(&*stored[0].message.exchange == "task_exchange");
    let before = (row.input, row.options, row.created_date);
    let row = store.task(id.as_str()).await?.context("a row")?;
    ensure!(before == (row.input, row.options, row.created_date));
    Ok(())
}

/// By when they are due, then as they were sent; what a queue does not take holds up no other.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn messages_are_due_in_the_order_of_sending_whatever_queues_are_left_out(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let names = ["demo.a", "export.a", "demo.b", "harvest.a", "export.b"];
    let sent = send(site, &names, SendOptions::new()).await?;
    let high = SendOptions::new().priority(Priority::High);
    let urgent = send(site, &["export.c"], high).await?;
    let all: Vec<_> = sent
        .iter()
        .chain(&urgent)
        .map(|id| id.to_string())
        .collect();
    ensure!(ids(&due(site, &[]).await?) == all);
    let left = ids(&due(site, &["export", "nobody"]).await?);
    ensure!(left == [&*all[0], &*all[2], &*all[3], &*all[5]], "{left:?}");
    let two = site.store().due_messages(&[], 2, PLENTY).await?;
    ensure!(ids(&two) == all[..2]);
    let one = site.store().due_messages(&[], 100, 1).await?;
    ensure!(ids(&one) == all[..1], "one is always read");

    let later = SendOptions::new().countdown(Duration::from_secs(3600));
    send(site, &["demo.c"], later).await?;
    ensure!(ids(&due(site, &[]).await?) == all);
    let next = site.store().next_due().await?.context("one is due later")?;
    ensure!(
        next > Duration::from_secs(3000) && next <= Duration::from_secs(3600),
        "{next:?}"
    );
    let state = site.store().outbox_state().await?;
    ensure!(
        (state.waiting, state.later, state.refused) == (6, 1, 0),
        "{state:?}"
    );
    ensure!(
        state
            .oldest_s
            .is_some_and(|age| (0.0..3600.0).contains(&age)),
        "{state:?}"
    );
    Ok(())
}

/// And under one key nothing is sent twice, as long as it is remembered.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_was_sent_or_can_never_be_is_not_due_any_more(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (store, id) = (site.store(), TaskId::random());
    let same = SendOptions::new().id(id);
    send(site, &["demo.a"], same.clone()).await?;
    send(site, &["demo.b"], SendOptions::new()).await?;
    send(site, &["demo.a"], same.clone()).await?;
    let two = due(site, &[]).await?;
    ensure!(two.len() == 2, "{two:?}");
    for _ in 0..2 {
        store.mark_sent(&[two[0].position]).await?;
    }
    store.refuse_message(two[1].position, "no\0key").await?;
    send(site, &["demo.a"], same).await?;
    ensure!(due(site, &[]).await?.is_empty());
    ensure!(store.next_due().await?.is_none());
    let refused = store.refused_messages(None, 10).await?;
    ensure!(
        refused.len() == 1 && refused[0].key == two[1].key,
        "{refused:?}"
    );
    ensure!(refused[0].refusal.contains("no"), "{refused:?}");
    ensure!(store.outbox_state().await?.refused == 1);
    ensure!(store.forget_sent(Duration::from_secs(60), 10).await? == 0);
    site.execute(
        "UPDATE outbox SET sent_at = '2020-01-01T00:00:00.000000Z' WHERE sent_at IS NOT NULL",
    )
    .await?;
    ensure!(store.forget_sent(Duration::from_secs(60), 10).await? == 1);
    ensure!(store.outbox_state().await?.refused == 1, "it is kept");
    Ok(())
}

/// By people: it is due again, or gone. What was sent, and what still waits, is not touched by that.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_was_refused_is_tried_once_more_or_thrown_away(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let names = ["demo.a", "demo.b", "demo.c", "demo.d"];
    let sent = send(site, &names, SendOptions::new()).await?;
    let all: Vec<i64> = due(site, &[]).await?.iter().map(|it| it.position).collect();
    store.mark_sent(&all[..1]).await?;
    for position in &all[2..] {
        store.refuse_message(*position, "too large").await?;
    }
    let (third, fourth) = (sent[2].as_str(), sent[3].as_str());
    let found = store.refused_messages(Some(third), 0).await?;
    ensure!(found.len() == 1 && found[0].task_id.as_deref() == Some(third));
    ensure!(
        found[0].bytes > 0 && found[0].routing_key == "demo.c",
        "{found:?}"
    );
    let by_key = store.refused_messages(Some(&found[0].key), 0).await?;
    ensure!(by_key == found, "{by_key:?}");
    ensure!(
        store
            .refused_messages(Some(sent[1].as_str()), 0)
            .await?
            .is_empty()
    );
    ensure!(
        store.refused_messages(None, 1).await? == found,
        "oldest first"
    );

    let mut wake = store.outbox_wake().await?;
    ensure!(store.retry_refused(&all[..3]).await? == all[2..3]);
    if wake.hears() {
        let news = tokio::time::timeout(patience(Duration::from_secs(30)), wake.news());
        news.await.context("nobody was woken")??;
    }
    ensure!(ids(&due(site, &[]).await?) == [sent[1].as_str(), third]);
    // With one of which somebody has dealt meanwhile, nothing is written.
    let last = store.refused_messages(Some(fourth), 0).await?.remove(0);
    let now = store.clock().await?;
    let mut batch = Batch::new();
    for message in found.iter().chain([&last]) {
        let task = store
            .task(message.task_id.as_deref().context("a task")?)
            .await?;
        batch.discard(message, task.as_ref(), Some("eve"), now);
    }
    let applied = store.apply(&batch).await?;
    ensure!(applied.not_discarded == all[2..3], "{applied:?}");
    let states = async |ids: &[&str]| {
        let mut states = Vec::new();
        for id in ids {
            states.push(store.task(id).await?.context("a row")?.state);
        }
        anyhow::Ok(states)
    };
    ensure!(states(&[third, fourth]).await? == [TaskState::Pending; 2]);
    ensure!(store.refused_messages(Some(fourth), 0).await?.len() == 1);
    let mut batch = Batch::new();
    batch.discard(&last, store.task(fourth).await?.as_ref(), Some("eve"), now);
    let applied = store.apply(&batch).await?;
    ensure!(
        applied.not_discarded.is_empty() && applied.tasks == 1,
        "{applied:?}"
    );
    ensure!(states(&[third, fourth]).await? == [TaskState::Pending, TaskState::Revoked]);
    ensure!(store.refused_messages(Some(fourth), 0).await?.is_empty());
    ensure!(ids(&due(site, &[]).await?) == [sent[1].as_str(), third]);
    Ok(())
}

/// Where the database can.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn whoever_listens_is_woken_by_a_commit(site: &StoreSite) -> anyhow::Result<()> {
    let mut wake = site.store().outbox_wake().await?;
    wake.check().await?;
    if !wake.hears() {
        return Ok(());
    }
    send(site, &["demo.a", "demo.b"], SendOptions::new()).await?;
    let news = tokio::time::timeout(patience(Duration::from_secs(30)), wake.news());
    news.await.context("nobody was woken")??;
    wake.check().await?;
    Ok(())
}

/// It says so, and nothing is sent.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_transaction_of_another_database_and_an_endless_delay_are_refused(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let other = match site.url().starts_with("sqlite:") {
        true => StoreSite::postgres().await?,
        false => StoreSite::sqlite().await?,
    };
    let mut theirs = Application::connect(other.url()).await?.begin().await?;
    let sent = site
        .store()
        .send_raw_in(theirs.connection(), task("demo.a")?, SendOptions::new());
    let error = sent.await.err().context("refused")?;
    let is_told = matches!(&error, SendInError::Store(StoreError::OtherDatabase { .. }));
    ensure!(is_told, "{error}");
    let mut ours = Application::connect(site.url()).await?.begin().await?;
    let endless = SendOptions::new().countdown(Duration::MAX);
    let sent = site
        .store()
        .send_raw_in(ours.connection(), task("demo.a")?, endless);
    let error = sent.await.err().context("refused")?;
    ensure!(error.to_string().contains("8.5 years"), "{error}");
    ours.commit().await?;
    ensure!(due(site, &[]).await?.is_empty());
    Ok(())
}
