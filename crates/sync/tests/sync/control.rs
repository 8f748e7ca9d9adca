//! What people ask of workers gets to the stream that they read.

use crate::sessions::{session, start, with_status};
use crate::support::{FaultyStore, SOON, World, id, on_both_pairs, task};
use anyhow::Context;
use counterfoil_store::{Batch, HeldBack, Store};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::control::{Instruction, Order, read};
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::session::{Inquiry, SessionStatus};
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use counterfoil_toolbox::{SessionId, TaskState, topology};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

on_both_pairs!(
    what_is_asked_is_published_once_and_in_order_whoever_leads,
    a_leader_begins_with_what_holds_in_case_the_stream_was_lost,
    nothing_is_lost_while_there_is_no_stream,
    neither_a_cancelled_nor_a_held_task_is_sent_again,
    questions_about_a_session_come_after_all_else_and_are_answered_together_and_forgotten,
    what_people_ask_does_not_wait_until_all_questions_are_answered,
);

fn pause(service: &str) -> Order {
    let service = ServiceName::new(service).expect("valid");
    Order::PauseService { service }
}

impl World {
    pub(crate) async fn ask(&self, orders: impl IntoIterator<Item = Order>) -> anyhow::Result<()> {
        let at = self.store.clock().await?;
        let mut batch = Batch::new();
        for order in orders {
            batch.ask(order, Some("ana"), at);
        }
        self.store.apply(&batch).await?;
        Ok(())
    }

    pub(crate) fn stream(&self) -> Subscription {
        let options = SubscribeOptions::stream(self.names.control_queue.clone(), 100);
        Subscription::open(Arc::clone(&self.transport), options)
    }
}

/// The next so many instructions.
pub(crate) async fn take(
    stream: &mut Subscription,
    count: usize,
) -> anyhow::Result<Vec<Instruction>> {
    let mut all = Vec::new();
    while all.len() < count {
        let delivery = tokio::time::timeout(SOON, stream.next()).await?;
        let delivery = delivery.context("a message")?;
        anyhow::ensure!(delivery.content.properties.timestamp.is_some());
        let (mut instructions, skipped) = read(&delivery.content.body);
        anyhow::ensure!(skipped.is_empty(), "{skipped:?}");
        all.append(&mut instructions);
        let _ = delivery.ack();
    }
    anyhow::ensure!(all.len() == count, "{all:?}");
    Ok(all)
}

fn orders(instructions: &[Instruction]) -> Vec<Order> {
    instructions.iter().map(|one| one.order.clone()).collect()
}

async fn what_is_asked_is_published_once_and_in_order_whoever_leads(
    world: World,
) -> anyhow::Result<()> {
    let revoke = |n: usize| Order::Revoke {
        task_id: id(&format!("t{n}")),
        run: 0,
    };
    let mut stream = world.stream();
    let (one, other) = (world.daemon(), world.daemon());
    let sent: Vec<_> = (0..1200).map(revoke).collect();
    world.ask(sent.clone()).await?;
    let read = take(&mut stream, 1200).await?;
    let mut published = orders(&read);
    published.sort_by_key(|order| order.subject().to_owned());
    let mut wanted = sent;
    wanted.sort_by_key(|order| order.subject().to_owned());
    assert_eq!(published, wanted);
    assert!(read.iter().all(|one| one.by.as_deref() == Some("ana")));
    for n in 0..5 {
        world.ask([pause(&format!("s{n}"))]).await?;
        assert_eq!(
            orders(&take(&mut stream, 1).await?),
            [pause(&format!("s{n}"))]
        );
    }
    one.stop().await?;
    world.ask([pause("late")]).await?;
    // If the other one leads only now, it begins with all that holds.
    let last = eventually("the last", SOON, async || {
        let delivery = tokio::time::timeout(SOON, stream.next()).await?;
        let (all, _) = delivery.map(read_and_ack).context("a message")?;
        Ok(all.into_iter().find(|one| one.order == pause("late")))
    });
    last.await?;
    other.stop().await?;
    Ok(())
}

fn read_and_ack(
    delivery: counterfoil_toolbox::transport::Delivery,
) -> (Vec<Instruction>, Vec<String>) {
    let all = read(&delivery.content.body);
    let _ = delivery.ack();
    all
}

async fn a_leader_begins_with_what_holds_in_case_the_stream_was_lost(
    world: World,
) -> anyhow::Result<()> {
    // More than a reader of the database gets at once, and all of them later.
    const HELD: usize = 10_100;
    let service = ServiceName::new("over")?;
    let daemon = world.daemon();
    world.ask([pause("demo"), pause("over")]).await?;
    world.ask([Order::ResumeService { service }]).await?;
    let mut stream = world.stream();
    let before = take(&mut stream, 3).await?;
    let held = (0..HELD).map(|n| Order::Hold {
        task_id: id(&format!("t{n}")),
    });
    world.ask(held).await?;
    take(&mut stream, HELD).await?;
    daemon.stop().await?;
    world
        .transport
        .delete_queue(&world.names.control_queue)
        .await?;
    let items = topology::platform(&world.names, Default::default());
    world.declare(items).await?;
    let daemon = world.daemon();
    let again = take(&mut world.stream(), HELD + 1).await?;
    let services = again.iter().filter(|one| one.order.kind() != "hold");
    let [again] = services.collect::<Vec<_>>()[..] else {
        anyhow::bail!("what does not hold is told again")
    };
    assert_eq!(again.order, pause("demo"));
    // The same, so that nobody takes it for a later one.
    let first = before.iter().find(|one| one.order == pause("demo"));
    let first = first.context("it was published")?;
    assert_eq!((again.id, again.at), (first.id, first.at));
    assert!(again.sent_at > first.sent_at);
    Ok(daemon.stop().await?)
}

async fn nothing_is_lost_while_there_is_no_stream(world: World) -> anyhow::Result<()> {
    world
        .transport
        .delete_queue(&world.names.control_queue)
        .await?;
    let daemon = world.daemon();
    daemon.ready().await?;
    world.ask([pause("demo")]).await?;
    // Some rounds of the leader's; nothing tells of what does not happen.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.store.unpublished_controls(0).await?.len(), 1);
    let items = topology::platform(&world.names, Default::default());
    world.declare(items).await?;
    assert_eq!(
        orders(&take(&mut world.stream(), 1).await?),
        [pause("demo")]
    );
    eventually("it to be noted", SOON, async || {
        Ok(world
            .store
            .unpublished_controls(0)
            .await?
            .is_empty()
            .then_some(()))
    })
    .await?;
    Ok(daemon.stop().await?)
}

async fn neither_a_cancelled_nor_a_held_task_is_sent_again(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    for name in ["free", "cancelled", "held"] {
        let message = task(name, "nobody.task");
        world
            .publish(&world.names.tasks, "nobody.task", message)
            .await?;
        world.row_in(name, TaskState::Unroutable).await?;
    }
    let cancelled = world.row_in("cancelled", TaskState::Unroutable).await?;
    let mut batch = Batch::new();
    batch.revoke(&cancelled, Some("ana"), world.store.clock().await?);
    batch.hold_back(&id("held"), HeldBack::Yes);
    world.store.apply(&batch).await?;
    let queue = world.serve("nobody").await?;
    world.row_in("free", TaskState::Pending).await?;
    // Two more rounds of the leader's, in which nothing must happen.
    tokio::time::sleep(world.settings.unroutable_interval * 3).await;
    world.ready(&queue, 1).await?;
    assert_eq!(
        world.row_in("cancelled", TaskState::Revoked).await?.rescue,
        0
    );
    let mut batch = Batch::new();
    batch.hold_back(&id("held"), HeldBack::No);
    world.store.apply(&batch).await?;
    world.ready(&queue, 2).await?;
    assert_eq!(world.row_in("held", TaskState::Pending).await?.rescue, 1);
    Ok(daemon.stop().await?)
}

/// Asks after each of these sessions.
async fn inquire(world: &World, sessions: &[SessionId]) -> anyhow::Result<Vec<Inquiry>> {
    let inquiry = |session_id: &SessionId| Inquiry {
        id: Uuid::now_v7(),
        session_id: session_id.clone(),
    };
    let inquiries: Vec<_> = sessions.iter().map(inquiry).collect();
    ask_all(world, &inquiries).await?;
    Ok(inquiries)
}

async fn ask_all(world: &World, inquiries: &[Inquiry]) -> anyhow::Result<()> {
    let (mut batch, now) = (Batch::new(), world.store.clock().await?);
    for inquiry in inquiries {
        batch.inquire(inquiry, now);
    }
    world.store.apply(&batch).await?;
    Ok(())
}

async fn questions_about_a_session_come_after_all_else_and_are_answered_together_and_forgotten(
    world: World,
) -> anyhow::Result<()> {
    // Two messages full.
    const QUESTIONS: usize = 600;
    let daemon = world.daemon();
    let started = start(&world, session(1)).await?;
    with_status(&world, &started.id, SessionStatus::Ongoing).await?;
    daemon.stop().await?;
    let inquiries = inquire(&world, &vec![started.id.clone(); QUESTIONS]).await?;
    world.ask([pause("demo")]).await?;
    let mut stream = world.stream();
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    assert_eq!(orders(&take(&mut stream, 1).await?), [pause("demo")]);
    let answers = take(&mut stream, QUESTIONS).await?;
    let status = Some(SessionStatus::Ongoing);
    for (answer, inquiry) in answers.iter().zip(&inquiries) {
        assert_eq!(answer.id, inquiry.id);
        assert!(
            matches!(&answer.order, Order::SessionIs { session_id, status: told, .. }
                if *session_id == started.id && *told == status),
            "{answer:?}"
        );
    }
    assert_eq!(store.counts(), 2);
    eventually("the questions to be forgotten", SOON, async || {
        Ok(world.store.unanswered(1).await?.is_empty().then_some(()))
    })
    .await?;
    // Nobody remembers it: it is answered as if it were new.
    ask_all(&world, &inquiries[..1]).await?;
    assert_eq!(take(&mut stream, 1).await?[0].id, inquiries[0].id);
    Ok(daemon.stop().await?)
}

async fn what_people_ask_does_not_wait_until_all_questions_are_answered(
    world: World,
) -> anyhow::Result<()> {
    const QUESTIONS: usize = 6;
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let mut sessions = Vec::new();
    for _ in 0..QUESTIONS {
        let started = start(&world, session(1)).await?;
        with_status(&world, &started.id, SessionStatus::Ongoing).await?;
        sessions.push(started.id);
    }
    // No two of them are answered before something else is looked for.
    store.count_slowly(Duration::from_millis(1200));
    let mut stream = world.stream();
    inquire(&world, &sessions).await?;
    take(&mut stream, 1).await?;
    world.ask([pause("demo")]).await?;
    let mut before = 1;
    while orders(&take(&mut stream, 1).await?) != [pause("demo")] {
        before += 1;
    }
    assert!(before < QUESTIONS);
    Ok(daemon.stop().await?)
}
