use super::*;

fn content(pairs: &[(&'static str, HeaderValue)]) -> Content {
    let mut content = Content::json("[]");
    content.headers.push("task", "demo.add");
    content.headers.push("id", "t1");
    for (name, value) in pairs {
        content.headers.push(*name, value.clone());
    }
    content
}

fn read(pairs: &[(&'static str, HeaderValue)]) -> Result<Envelope, String> {
    Envelope::from_headers(&content(pairs)).map(|envelope| envelope.expect("a task header"))
}

#[test]
fn a_lone_task_is_its_own_root() {
    assert_eq!(read(&[]).expect("reads").root_id, "t1");
    assert_eq!(
        read(&[("root_id", HeaderValue::Null)])
            .expect("reads")
            .root_id,
        "t1"
    );
}

#[test]
fn executions_are_the_retries_unless_uncounted_ones_came_on_top() {
    assert_eq!(
        read(&[("retries", 2.into())])
            .expect("reads")
            .lineage
            .executions,
        2
    );
    let both = read(&[("retries", 2.into()), (names::EXECUTIONS, 7.into())]).expect("reads");
    assert_eq!((both.retries, both.lineage.executions), (2, 7));
}

#[test]
fn counts_that_would_outrank_everything_later_are_refused_by_name() {
    for value in [HeaderValue::Int(-1), HeaderValue::Int(i64::MAX), "7".into()] {
        let error = read(&[(names::RUN, value)]).expect_err("refused");
        assert_eq!(
            error,
            "header counterfoil-run is not a number from 0 to 1000000"
        );
    }
}

#[test]
fn time_limits_are_hard_first() {
    let limits = HeaderValue::List(vec![HeaderValue::Int(30), HeaderValue::Float(2.5)]);
    let read = read(&[("timelimit", limits)]).expect("reads").time_limits;
    assert_eq!(read.hard, Some(Duration::from_secs(30)));
    assert_eq!(read.soft, Some(Duration::from_millis(2500)));
}

#[test]
fn a_time_limit_of_zero_is_that_of_the_type_as_celery_has_it() {
    for zero in [
        HeaderValue::Int(0),
        HeaderValue::Float(0.0),
        HeaderValue::Null,
    ] {
        let limits = HeaderValue::List(vec![zero.clone(), zero]);
        let read = read(&[("timelimit", limits)]).expect("reads").time_limits;
        assert_eq!((read.hard, read.soft), (None, None));
    }
}

#[test]
fn foreign_headers_are_kept_and_those_of_the_broker_are_not() {
    let envelope = read(&[
        ("x-death", "…".into()),
        ("periodic_task_name", "beat".into()),
        ("shadow", HeaderValue::Null),
    ])
    .expect("reads");
    assert_eq!(
        envelope.extra.iter().map(|(n, _)| n).collect::<Vec<_>>(),
        ["periodic_task_name"]
    );
}

#[test]
fn what_is_null_empty_or_missing_is_not_said() {
    let nothing = read(&[]).expect("reads");
    let names = [
        "root_id",
        "parent_id",
        "group",
        "group_index",
        "shadow",
        "retries",
        "eta",
        "expires",
        "timelimit",
        "ignore_result",
        "origin",
        "argsrepr",
        "kwargsrepr",
        "stamped_headers",
        "stamps",
        "compression",
    ];
    let null: Vec<_> = names.map(|name| (name, HeaderValue::Null)).into();
    assert_eq!(read(&null).expect("reads"), nothing);
    let no_limits = HeaderValue::List(vec![HeaderValue::Null, HeaderValue::Null]);
    let empty = [
        ("eta", "".into()),
        ("expires", "".into()),
        ("parent_id", "".into()),
        ("origin", "".into()),
        ("timelimit", no_limits),
    ];
    assert_eq!(read(&empty).expect("reads"), nothing);
    for (name, value) in [("eta", HeaderValue::Float(1.5)), ("expires", "soon".into())] {
        let error = read(&[(name, value)]).expect_err("refused");
        assert_eq!(error, format!("header {name} is not an ISO 8601 time"));
    }
}
