//! Every form in which Celery 5.7 writes a signature down, as a callback of a task.

use super::{after, captured, embed_of};
use counterfoil_toolbox::message::{Content, TaskMessage};
use serde_json::{Value, json};

/// The forms by name.
fn forms() -> serde_json::Map<String, Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../toolbox/tests/samples/signature-forms.json"
    );
    let text = std::fs::read_to_string(path).expect("a capture");
    let mut capture: Value = serde_json::from_str(&text).expect("JSON");
    let Value::Object(forms) = capture["sample"].take() else {
        panic!("an object of forms");
    };
    forms
}

/// What is sent after a task that returned 7 and has this callback.
fn called(form: &Value) -> Vec<Content> {
    let mut task = captured("task-plain").remove(0);
    task["body_raw"] = json!([[1, 2], {}, {"callbacks": [form]}])
        .to_string()
        .into();
    after(&task, Some(json!(7)))
}

/// Name and arguments of a message.
fn call(content: &Content) -> (String, Value, Value) {
    let task = TaskMessage::decode(content).expect("a task");
    let json = |text: &str| serde_json::from_str(text).expect("JSON");
    let (args, kwargs) = (json(task.payload.args()), json(task.payload.kwargs()));
    (task.envelope.name.to_string(), args, kwargs)
}

#[test]
fn each_form_calls_what_celery_calls() {
    let add = |args| ("tasks.add".to_owned(), args, json!({}));
    let forms = forms();
    for (name, form) in &forms {
        let calls: Vec<_> = called(form).iter().map(call).collect();
        let wanted = match name.as_str() {
            "simple" => vec![add(json!([7, 1, 2]))],
            "immutable" => vec![add(json!([1, 2]))],
            "kwargs_options" => vec![("tasks.add".to_owned(), json!([7]), json!({"x": 1, "y": 2}))],
            "link" | "chain" | "chain_with_group_last" | "chain_frozen" => {
                vec![add(json!([7, 1, 1]))]
            }
            "group" | "group_frozen" => vec![add(json!([7, 1, 1])), add(json!([7, 2, 2]))],
            // The result goes to the members of the header; who waits for them comes with them.
            "chord" => {
                let names: Vec<_> = calls.iter().map(|(name, ..)| name.as_str()).collect();
                assert_eq!(names, ["celery.chord_unlock", "tasks.add", "tasks.add"]);
                continue;
            }
            "xmap" | "xstarmap" | "chunks" => {
                let task = form["task"].as_str().expect("a name").to_owned();
                vec![(task, json!([]), form["kwargs"].clone())]
            }
            other => panic!("a new form: {other}"),
        };
        assert_eq!(calls, wanted, "{name}");
    }
    assert_eq!(forms.len(), 13);
}

#[test]
fn options_links_and_ids_of_a_form_are_those_of_the_message() {
    let forms = forms();
    let with_options = called(&forms["kwargs_options"]).remove(0);
    let envelope = TaskMessage::decode(&with_options).expect("a task").envelope;
    assert_eq!(envelope.priority, Some(3));
    let wait = envelope.expires.expect("60 s") - envelope.eta.expect("5 s");
    assert_eq!(wait.num_seconds(), 55);

    let linked = embed_of(&called(&forms["link"])[0]);
    assert_eq!(linked["callbacks"][0]["args"], json!([5]));
    assert_eq!(linked["errbacks"][0]["task"], "tasks.errback");

    let chained = called(&forms["chain_with_group_last"]).remove(0);
    assert_eq!(embed_of(&chained)["chain"][0]["subtask_type"], "group");

    let frozen = called(&forms["chain_frozen"]).remove(0);
    let envelope = TaskMessage::decode(&frozen).expect("a task").envelope;
    assert_eq!(envelope.id, "3d8b10d3-022e-4a69-85d7-00c9bd5854a3");
    assert_eq!(
        envelope.reply_to.as_deref(),
        Some("95dc27af-6375-3d99-842f-75a44cc3093c")
    );
    let next = &embed_of(&frozen)["chain"][0]["options"]["task_id"];
    assert_eq!(next, "aaaa9242-d741-468d-8663-be816bc4a941");

    let group = called(&forms["group_frozen"]);
    let group = group
        .iter()
        .map(|member| TaskMessage::decode(member).expect("a task").envelope);
    let group: Vec<_> = group
        .map(|e| {
            (
                e.id.to_string(),
                e.extra.int("group_index"),
                e.extra.text("group").map(str::to_owned),
            )
        })
        .collect();
    let id = Some("d49f4388-99ab-4e77-baea-6a9898c735d8".to_owned());
    assert_eq!(
        group,
        [
            (
                "987ca046-ceb1-4410-aad6-b0632477c997".to_owned(),
                Some(0),
                id.clone()
            ),
            (
                "eb0592fd-9227-4ca3-bc1c-75fcfea65849".to_owned(),
                Some(1),
                id
            ),
        ]
    );
}
