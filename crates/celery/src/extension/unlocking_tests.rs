//! Bodies of chords that cannot be called.

use super::*;
use counterfoil_toolbox::chord::MOST_MEMBERS;

/// What is said when a chord is unlocked: the tasks that are called with their arguments, ids that will never run, and why.
fn unlocked(body: &Value, kwargs: &Value) -> (Vec<(String, Value)>, Vec<String>, String) {
    let envelope = Envelope::new("u1".parse().expect("valid"), UNLOCK.parse().expect("valid"));
    let payload = Payload::new(&json!(["g1", body]).to_string(), &kwargs.to_string());
    let payload = payload.expect("arguments");
    let said = of_message((&envelope, Some(&payload)), None, |celery, subject| {
        celery.messages(subject, &Step::Succeeded(None))
    });
    let (mut called, mut skipped, mut why) = (Vec::new(), Vec::new(), String::new());
    for message in said.expect("said") {
        match message {
            Message::Task { publication, .. } => {
                let task = TaskMessage::decode(&publication.content).expect("a task");
                let args = serde_json::from_str(task.payload.args()).expect("JSON");
                called.push((task.envelope.name.to_string(), args));
            }
            Message::After(after) => {
                skipped.extend(after.skipped.into_iter().map(|it| it.id.to_string()));
                why = after.because.expect("a reason").to_string();
            }
            Message::Answer { publication, .. } => {
                let body: Value = serde_json::from_slice(&publication.content.body).expect("JSON");
                assert_eq!(body["status"], "FAILURE", "{body}");
                assert_eq!(body["result"]["exc_type"], "ChordError", "{body}");
            }
            Message::Platform(_) => panic!("there is nothing to wait for"),
        }
    }
    (called, skipped, why)
}

fn task(name: &str, options: Value) -> Value {
    json!({"task": name, "args": [], "kwargs": {}, "options": options})
}

/// A body with an errback, and a step after it.
fn body(mut options: Value) -> Value {
    options["task_id"] = "b1".into();
    options["reply_to"] = CALLER.into();
    options["link_error"] = json!([task("a.sorry", json!({}))]);
    options["chain"] = json!([task("a.next", json!({"task_id": "n1"}))]);
    task("a.sum", options)
}

#[test]
fn who_waits_for_a_body_that_cannot_be_called_learns_why() {
    let header = || json!([[["t1", null], null]]);
    let done = || json!({"result": header(), "counterfoil": {"results": [1]}});
    let never: Vec<_> = (0..=MOST_MEMBERS).map(|_| header()[0].clone()).collect();
    let elsewhere = json!({"exchange": "amq.topic", "routing_key": "a"});
    for (body, kwargs, why) in [
        (body(elsewhere), done(), "amq.topic"),
        (
            body(json!({})),
            json!({"result": header(), "max_retries": "x"}),
            "max_retries is no number",
        ),
        (body(json!({})), json!({"result": never}), "100000"),
        (
            body(json!({})),
            json!({"result": header(), "counterfoil": {"results": []}}),
            "0 results came for 1 tasks",
        ),
    ] {
        let (called, skipped, told) = unlocked(&body, &kwargs);
        assert_eq!(called, [("a.sorry".to_owned(), json!(["b1"]))], "{why}");
        assert_eq!(skipped, ["b1", "n1"], "{why}");
        assert!(told.starts_with("ChordError: Callback error: "), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn who_waits_for_tasks_of_a_group_that_cannot_all_have_the_results_learns_it() {
    let member = |n: u32| task("a.take", json!({"task_id": format!("m{n}")}));
    let members: Vec<_> = (0..300).map(member).collect();
    let mut group = task("celery.group", json!({"task_id": "b1"}));
    group["kwargs"] = json!({"tasks": members});
    group["subtask_type"] = "group".into();
    let results = json!(["x".repeat(1 << 20)]);
    let header = json!([[["t1", null], null]]);
    let kwargs = json!({"result": header, "counterfoil": {"results": results}});
    let (called, skipped, told) = unlocked(&group, &kwargs);
    assert!(called.is_empty(), "{called:?}");
    assert!(skipped.contains(&"m299".to_owned()), "{skipped:?}");
    assert!(told.contains("256 MiB"), "{told}");
}
