use super::*;
use crate::producer::Draft;
use crate::task::TaskOptions;

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Kept;

impl Task for Kept {
    const NAME: &'static str = "demo.kept";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            retention: Some(Duration::from_secs(86_400)),
            priority: Priority::Low,
            ..TaskOptions::default()
        }
    }
}

#[test]
fn what_a_type_says_travels_with_its_tasks_unless_the_sender_says_otherwise() {
    let said = |options: SendOptions| {
        let mut envelope = Envelope::new(TaskId::random(), Kept::NAME.parse().expect("valid"));
        let options = options.of_type::<Kept>();
        let class = options.priority;
        options.fill(&mut envelope, Utc::now());
        (envelope.retention, class)
    };
    let day = Duration::from_secs(86_400);
    assert_eq!(said(SendOptions::new()), (Some(day), Some(Priority::Low)));
    let otherwise = SendOptions::new()
        .retention(day * 9)
        .priority(Priority::High);
    assert_eq!(said(otherwise), (Some(day * 9), Some(Priority::High)));
}

#[test]
fn a_time_limit_of_nothing_is_refused_with_what_to_do_instead() {
    let task = || RawTask {
        name: Kept::NAME.parse().expect("valid"),
        args: "[]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    let options = SendOptions::new;
    for (options, limit) in [
        (options().time_limit(Duration::ZERO), "its time limit is 0s"),
        (
            options().soft_time_limit(Duration::ZERO),
            "its soft time limit is 0s",
        ),
    ] {
        let error = Draft::new(task(), options, Utc::now()).expect_err(limit);
        let text = error.to_string();
        assert!(text.contains("demo.kept") && text.contains(limit), "{text}");
        assert!(text.contains("leave it out"), "{text}");
    }
}

#[test]
fn sends_of_one_window_are_one_task_unless_type_identifier_arguments_or_window_differ() {
    let task = |name: &str, kwargs: &str| RawTask {
        name: name.parse().expect("valid"),
        args: "[]".to_owned(),
        kwargs: kwargs.to_owned(),
    };
    let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
    let minute = SendOptions::new().unique_for(Duration::from_secs(60));
    let named = minute.clone().identifier("i");
    let (one, other) = (
        task("demo.add", r#"{"x":1}"#),
        task("demo.add", r#"{"x":2}"#),
    );
    assert_eq!(minute.id_of(&one, at(60)), minute.id_of(&one, at(119)));
    assert_eq!(named.id_of(&one, at(60)), named.id_of(&other, at(119)));
    let ids = [
        minute.id_of(&one, at(60)),
        minute.id_of(&one, at(120)),
        minute.id_of(&other, at(60)),
        minute.id_of(&task("demo.sub", r#"{"x":1}"#), at(60)),
        named.id_of(&one, at(60)),
        named.clone().identifier("j").id_of(&one, at(60)),
        SendOptions::new().id_of(&one, at(60)),
        SendOptions::new().id_of(&one, at(60)),
    ];
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    let own = TaskId::new("mine").expect("valid");
    assert_eq!(minute.id(own.clone()).id_of(&one, at(60)), own);
}
