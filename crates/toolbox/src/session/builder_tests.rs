use super::*;
use crate::priority::Priority;

fn raw(name: &str, kwargs: &str) -> RawTask {
    RawTask {
        name: TaskName::new(name).expect("valid"),
        args: "[]".to_owned(),
        kwargs: kwargs.to_owned(),
    }
}

fn ids(session: Session) -> Vec<String> {
    let opening = session.opening().expect("valid");
    let subtasks = opening.subtasks.iter().map(|it| it.id.to_string());
    let own = [opening.id.to_string(), opening.finalizer.id.to_string()];
    own.into_iter().chain(subtasks).collect()
}

fn session(pages: &[u32]) -> Session {
    let session = Session::raw("harvest", raw("harvest.end", "{}"), true);
    pages.iter().fold(session, |session, page| {
        let task = raw("harvest.page", &format!(r#"{{"page": {page}}}"#));
        session.subtask_raw(task, SendOptions::new())
    })
}

#[test]
fn what_a_task_opens_again_is_the_same_session_with_the_same_subtasks() {
    let opener = TaskId::new("opener").expect("valid");
    let opened = |pages: &[u32]| session(pages).opened_by(&opener, 0, 0);
    let first = ids(opened(&[1, 1, 2]));
    assert_eq!(ids(opened(&[1, 1, 2])), first);
    // Whatever it was called before.
    let again = opened(&[1, 1, 2]).opened_by(&opener, 0, 7);
    assert_eq!(ids(again.opened_by(&opener, 0, 0)), first);
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 5, "{first:?}");
    // Each of these is another.
    let other = TaskId::new("other").expect("valid");
    for other in [
        opened(&[1, 2]),
        opened(&[1, 2, 1]),
        session(&[1, 1, 2]).opened_by(&opener, 1, 0),
        session(&[1, 1, 2]).opened_by(&opener, 0, 1),
        session(&[1, 1, 2]).opened_by(&other, 0, 0),
        session(&[1, 1, 2]),
    ] {
        let other = ids(other);
        assert!(other.iter().all(|id| !first.contains(id)), "{other:?}");
    }
}

#[test]
fn ids_that_the_sender_chose_stay_and_every_subtask_calls_itself_part_of_the_session() {
    let opener = TaskId::new("opener").expect("valid");
    let own = TaskId::new("mine").expect("valid");
    let session = session(&[1])
        .subtask_raw(
            raw("harvest.page", "{}"),
            SendOptions::new().id(own.clone()),
        )
        .finalizer_options(SendOptions::new().id(own.clone()))
        .opened_by(&opener, 0, 0);
    let id = session.id().clone();
    let (opening, parts) = session.into_parts().expect("valid");
    assert_eq!(
        (&opening.subtasks[1].id, &opening.finalizer.id),
        (&own, &own)
    );
    assert_eq!(opening.id, id);
    assert!(
        parts
            .iter()
            .all(|part| part.options.session_id.as_ref() == Some(&id))
    );
}

#[test]
fn whatever_a_sender_chooses_makes_it_another_session_but_a_time_of_day() {
    let with = |options: SendOptions| {
        Session::raw("harvest", raw("harvest.end", "{}"), true)
            .subtask_raw(raw("harvest.page", "{}"), options)
    };
    let (plain, second) = (|| with(SendOptions::new()), Duration::from_secs(1));
    let options = SendOptions::new;
    let others = [
        plain().key("a"),
        plain().key("b"),
        plain().estimated(second),
        plain().buffer(second),
        plain().policy(ErrorPolicy::Fail),
        plain().finalizer_options(options().creator("ana")),
        plain().finalizer_options(options().related("project", "17")),
        Session::raw("harvest", raw("harvest.end", "{}"), false)
            .subtask_raw(raw("harvest.page", "{}"), options()),
        with(options().creator("ana")),
        with(options().related("project", "17")),
        with(options().related("project:1", "7")),
        with(options().identifier("i")),
        with(options().countdown(second)),
        with(options().time_limit(second)),
        with(options().soft_time_limit(second)),
        with(options().max_retries(0)),
        with(options().priority(Priority::High)),
        with(options().retention(second)),
        with(options().family_result()),
        with(options().id(TaskId::new("mine").expect("valid"))),
        plain(),
    ];
    let contents: std::collections::BTreeSet<_> = others.iter().map(Session::content_id).collect();
    assert_eq!(contents.len(), others.len(), "{others:#?}");
    // Reckoned anew by each execution; and who opens it counts beside it.
    let (now, opener) = (chrono::Utc::now(), TaskId::new("opener").expect("valid"));
    for same in [
        plain(),
        with(options().eta(now)),
        with(options().expires(now)),
        plain().child_of(&opener, &opener),
    ] {
        assert_eq!(same.content_id(), plain().content_id(), "{same:#?}");
    }
}
