//! Those who speak of tasks, too: what they have to send, and when.

use crate::tasks::{Act, act};
use crate::world::World;
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::{Envelope, Headers, encode};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
use counterfoil_toolbox::transport::{Declare, Publication};
use counterfoil_worker::extension::{Extension, Message, Step, Subject};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

on_both_transports!(
    what_follows_is_with_the_broker_before_the_end_is_told,
    an_answer_that_the_broker_refuses_holds_up_nothing,
    an_answer_that_its_queue_does_not_take_is_given_up,
    a_task_whose_followers_cannot_be_named_fails_and_its_message_is_kept,
    every_step_is_heard_in_its_order,
);

/// Sends the same messages whenever a task has succeeded.
#[derive(Debug)]
pub(crate) struct Sends(pub(crate) Result<Vec<Message>, String>);

impl Extension for Sends {
    fn messages(&self, _: &Subject<'_>, step: &Step<'_>) -> Result<Vec<Message>, String> {
        match matches!(step, Step::Succeeded(_)) {
            true => self.0.clone(),
            false => Ok(Vec::new()),
        }
    }
}

/// A task of a service that nobody serves here.
pub(crate) fn follower(world: &World, id: &str) -> Publication {
    let name = "export.later".parse().expect("valid");
    let envelope = Envelope::new(id.parse().expect("valid"), name);
    Publication {
        exchange: world.names.tasks.clone(),
        routing_key: RoutingKey::new("export.later").expect("valid"),
        content: encode(&envelope, "[]", "{}"),
    }
}

async fn nothing(_: Act, _: Context) -> Result<Value, TaskError> {
    Ok(Value::Null)
}

async fn what_follows_is_with_the_broker_before_the_end_is_told(world: World) {
    let at_once = Message::Task {
        publication: follower(&world, "now"),
        due: None,
    };
    let later = Message::Task {
        publication: follower(&world, "later"),
        due: Some(Utc::now() + Duration::from_secs(2)),
    };
    let sends = Sends(Ok(vec![at_once, later]));
    let _worker = world.start(|builder| builder.handle(nothing).extension(sends));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(
        world.waiting_in("export").await,
        1,
        "the other waits for its time"
    );
    world.until_waiting("export", 2).await;
}

async fn an_answer_that_the_broker_refuses_holds_up_nothing(world: World) {
    let answer = Publication {
        exchange: ExchangeName::new("nobody.has_it").expect("valid"),
        ..follower(&world, "answer")
    };
    let sends = Sends(Ok(vec![Message::Answer {
        publication: answer,
        instead: None,
    }]));
    let _worker = world.start(|builder| builder.handle(nothing).extension(sends));
    for _ in 0..2 {
        let id = world.send(act("")).await;
        world.told_of(&id, TaskState::Success).await;
    }
}

async fn an_answer_that_its_queue_does_not_take_is_given_up(world: World) {
    let mut full = Headers::new();
    full.push("x-max-length", 0);
    full.push("x-overflow", "reject-publish");
    let queue = Item::Queue(Queue {
        name: QueueName::new("full").expect("valid"),
        kind: QueueKind::Classic,
        arguments: full,
    });
    let declared = world.transport().declare(&queue, Declare::Active).await;
    declared.expect("it is new");
    let answer = Publication {
        exchange: ExchangeName::default_exchange(),
        routing_key: RoutingKey::new("full").expect("valid"),
        ..follower(&world, "answer")
    };
    let sends = Sends(Ok(vec![Message::Answer {
        publication: answer,
        instead: None,
    }]));
    let _worker = world.start(|builder| builder.handle(nothing).extension(sends));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
}

async fn a_task_whose_followers_cannot_be_named_fails_and_its_message_is_kept(world: World) {
    let sends = Sends(Err("no task has such a name".to_owned()));
    let _worker = world.start(|builder| builder.handle(nothing).extension(sends));
    let id = world.send(act("")).await;
    let failed = world.told_of(&id, TaskState::Failure).await;
    let fault = failed.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::Undecodable);
    assert_eq!(
        fault.message,
        "it succeeded, and what is to follow cannot be sent: no task has such a name"
    );
    assert_eq!(world.waiting_in("demo.dead").await, 1);
}

/// Notes every step by its name.
#[derive(Debug, Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Extension for Notes {
    fn messages(&self, _: &Subject<'_>, _: &Step<'_>) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }

    fn heard(&self, task: &Subject<'_>, step: &Step<'_>) {
        let text = format!("{step:?}");
        let end = text
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(text.len());
        let step = format!("{} {}", &text[..end], task.lineage.retries());
        self.0.lock().expect("nothing panics").push(step);
    }
}

async fn every_step_is_heard_in_its_order(world: World) {
    let handler = async |_: Act, cx: Context| match cx.attempt() {
        1 => {
            cx.progress(1, 2, "half");
            Err(TaskError::retry_after("not yet", Duration::ZERO))
        }
        n => Ok(json!(n)),
    };
    let notes = Notes::default();
    let heard = notes.clone();
    let _worker = world.start(|builder| builder.handle(handler).extension(notes));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    let wanted = [
        "Received 0",
        "Started 0",
        "Progress 0",
        "Retried 0",
        "Started 1",
        "Succeeded 1",
    ];
    assert_eq!(*heard.0.lock().expect("nothing panics"), wanted);
}
