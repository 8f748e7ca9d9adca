use super::super::balance::Unread;
use super::*;
use std::collections::BTreeSet;

/// A look at which these ids had no row, and reports waited or did not.
fn look(ids: &[&str], unread: u32) -> Found {
    let mut facts = Facts::default();
    for id in ids {
        let places = BTreeSet::from(["outbox".to_owned()]);
        facts.strays.insert((*id).to_owned(), places);
    }
    if unread > 0 {
        let unread = Unread::Waits(unread);
        facts.unread.insert("platform.fifo".to_owned(), unread);
    }
    Found::at(&facts)
}

/// Who is named after these looks, and whether it is certain: as many as are wanted are taken.
async fn after(looks: [(&[&str], u32); LOOKS]) -> (usize, Vec<(String, bool)>) {
    let mut looks = looks.into_iter().map(|(ids, unread)| look(ids, unread));
    let first = looks.next().expect("a look");
    let mut taken = 1;
    let named = settled(first, async || {
        taken += 1;
        looks.next().ok_or("no more looks are wanted")
    });
    let named = named.await.expect("enough looks").into_iter();
    let named = named.map(|it| (it.task_id.or(it.service).unwrap_or_default(), it.certain));
    (taken, named.collect())
}

fn certain(id: &str) -> (String, bool) {
    (id.to_owned(), true)
}

fn perhaps(id: &str) -> (String, bool) {
    (id.to_owned(), false)
}

#[tokio::test]
async fn only_what_two_looks_find_counts_and_one_that_finds_nothing_is_enough() {
    assert_eq!(
        after([(&[], 0), (&["x"], 0), (&["x"], 0)]).await,
        (1, vec![])
    );
    let twice = after([(&["a", "b"], 0), (&["b", "c"], 0), (&[], 0)]).await;
    assert_eq!(twice, (2, vec![certain("b")]));
}

#[tokio::test]
async fn while_reports_are_unread_nothing_is_certain_and_the_books_do_not_balance() {
    let unread = certain("platform.fifo");
    let always = after([(&["a"], 9), (&["a"], 8), (&[], 0)]).await;
    assert_eq!(always, (2, vec![unread.clone(), perhaps("a")]));
    let later = after([(&["a"], 0), (&["a"], 8), (&[], 0)]).await;
    assert_eq!(later, (2, vec![unread.clone(), perhaps("a")]));
    let new = after([(&["a"], 0), (&[], 501), (&[], 0)]).await;
    assert_eq!(new, (2, vec![]), "what was on its way came, and more is");
    let again = after([(&["a"], 9), (&["a", "b"], 0), (&["b"], 9)]).await;
    assert_eq!(again, (3, vec![unread, perhaps("b")]));
}

#[tokio::test]
async fn a_daemon_that_has_caught_up_meanwhile_costs_a_third_look_and_not_what_the_second_found() {
    let late = after([(&[], 9), (&["a"], 0), (&["a"], 0)]).await;
    assert_eq!(late, (3, vec![certain("a")]));
    assert_eq!(
        after([(&["a"], 9), (&[], 0), (&["a"], 0)]).await,
        (2, vec![])
    );
}

#[test]
fn nobody_is_told_to_send_a_task_again_while_reports_are_unread() {
    let found = look(&["a"], 9).alone();
    let stray = found.iter().find(|it| it.task_id.is_some());
    let stray = stray.expect("the id without a row");
    assert!(
        stray.remedy.starts_with("do not send it again yet"),
        "{stray:?}"
    );
    let found = look(&["a"], 0).alone();
    assert!(found[0].remedy.contains("send the task again"), "{found:?}");
}
