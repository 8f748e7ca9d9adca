//! What a signature ends with has its ids before it is called.

use super::{after, captured, embed_of, following, with_embed};
use crate::canvas::call::Calls;
use crate::canvas::{Embed, Signature, after_success, chord_failed, skipped};
use crate::chain;
use counterfoil_worker::extension::Message;
use serde_json::{Value, json};

fn add() -> Signature {
    Signature::task("tasks.add").arg(1)
}

fn pair() -> Signature {
    Signature::group([add(), add()])
}

/// Ids of the tasks in the last step of a chain.
fn ids_of_last(chain: &Value) -> Vec<&str> {
    let tasks = chain[0]["kwargs"]["tasks"].as_array().expect("a group");
    let ids = tasks.iter().map(|task| task["options"]["task_id"].as_str());
    ids.map(|id| id.expect("an id")).collect()
}

#[test]
fn who_waits_for_a_chain_that_ends_in_a_group_waits_for_the_tasks_of_that_group() {
    let chord = Signature::chord(
        [add(), chain![add(), pair()]],
        Signature::task("tasks.xsum"),
    );
    let chord = serde_json::to_value(&chord).expect("JSON");
    let sent = after(&with_embed(&json!({"chain": [chord]})), Some(json!(4)));
    let unlock: Value = serde_json::from_slice(&sent[0].body).expect("JSON");
    let embed = embed_of(&sent[2]);
    let (group, ids) = (
        &embed["chain"][0]["options"]["task_id"],
        ids_of_last(&embed["chain"]),
    );
    assert_eq!(
        unlock[1]["result"][1],
        json!([
            [group, null],
            [[[ids[0], null], null], [[ids[1], null], null]]
        ])
    );
    assert_ne!(ids[0], ids[1]);
    // It is the group whose results the body of the chord gets.
    assert_eq!(embed["chain"][0]["options"]["chord"]["task"], "tasks.xsum");
}

#[test]
fn the_result_of_a_chord_whose_body_is_a_group_is_that_of_the_group() {
    let chord = Signature::chord([add()], pair());
    for callback in [chord.clone(), chain![add(), chord]] {
        let callback = serde_json::to_value(&callback).expect("JSON");
        let embed = json!({"callbacks": [callback]}).to_string();
        let embed = Embed::read(&embed).expect("what follows");
        let plain = &captured("task-plain")[0];
        let follows = following(plain, |parent, _| after_success(parent, &embed, None));
        let result = follows.expect("called").children[0].to_json();
        assert_eq!(result[1].as_array().map(Vec::len), Some(2), "{result}");
    }
}

#[test]
fn where_a_step_fails_the_tasks_of_a_group_behind_it_fail_too() {
    let [one, other] = ["t1", "t2"].map(|id| add().id(&id.parse().expect("valid")));
    let group = Signature::group([one, chain![add(), other.option("reply_to", "caller")]]);
    let group = group.id(&"g1".parse().expect("valid"));
    let embed = Embed::read(&json!({ "chain": [group] }).to_string()).expect("what follows");
    let never = skipped(&embed).expect("steps");
    let mut never: Vec<_> = never
        .iter()
        .map(|it| (it.step.id.as_str(), it.reply_to.as_deref()))
        .collect();
    never.sort_unstable();
    assert_eq!(never, [("g1", None), ("t1", None), ("t2", Some("caller"))]);
}

#[test]
fn of_a_group_that_is_never_called_each_task_is_told_of_and_named_to_errbacks() {
    let errback = |name| Signature::task("mail.alarm").arg(name);
    let [one, other] = ["t1", "t2"].map(|id| add().id(&id.parse().expect("valid")));
    let other = chain![add(), other].link_error(errback("both"));
    let group = Signature::group([one.link_error(errback("own")), other]);
    let group = group.id(&"g1".parse().expect("valid"));
    let plain = &captured("task-plain")[0];
    let told = following(plain, |parent, _| {
        let mut calls = Calls::by(parent);
        let (group, _) = calls
            .with_ends(group.link_error(errback("both")), "body")
            .expect("a group");
        chord_failed(parent, group)
    });
    let (messages, never) = told.expect("errbacks can be called");
    let named = messages.iter().map(|message| {
        let Message::Task { publication, .. } = message else {
            panic!("{message:?}");
        };
        let body: Value = serde_json::from_slice(&publication.content.body).expect("JSON");
        (body[0][0].clone(), body[0][1].clone())
    });
    let named: Vec<_> = named.collect();
    let wanted = [("t1", "own"), ("t1", "both"), ("t2", "both")];
    assert_eq!(named, wanted.map(|(id, name)| (json!(id), json!(name))));
    let mut never: Vec<_> = never.iter().map(|it| it.step.id.as_str()).collect();
    never.sort_unstable();
    assert_eq!(never, ["g1", "t1", "t2"]);
}
