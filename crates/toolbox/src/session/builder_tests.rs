use super::*;

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
