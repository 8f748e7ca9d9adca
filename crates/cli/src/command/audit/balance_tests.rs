use super::super::finding::Kind;
use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
}

fn open(task_id: &str, place: Place, second: i64) -> Open {
    Open {
        id: format!("public-{task_id}"),
        task_id: task_id.to_owned(),
        service: "demo".to_owned(),
        place,
        due: at(second),
    }
}

fn facts(open: Vec<Open>, queue: Queue) -> Facts {
    Facts {
        open,
        queues: BTreeMap::from([("demo".to_owned(), queue)]),
        ..Facts::default()
    }
}

fn named(facts: &Facts) -> Vec<String> {
    let findings = balance(facts).into_iter();
    findings.filter_map(|finding| finding.task_id).collect()
}

const READY: Queue = Queue {
    ready: 2,
    consumers: 0,
    told: 0,
    untold: 0,
};

#[test]
fn as_many_messages_as_tasks_that_wait_balance() {
    let open = vec![
        open("a", Place::Waiting, 1),
        open("b", Place::Returned, 2),
        open("c", Place::Running, 3),
        open("d", Place::Unroutable, 4),
    ];
    assert_eq!(named(&facts(open, READY)), [""; 0]);
}

#[test]
fn of_too_few_messages_those_of_the_oldest_tasks_are_gone_and_what_came_back_stood_in_front() {
    let tasks = vec![
        open("young", Place::Waiting, 9),
        open("old", Place::Waiting, 1),
        open("back", Place::Returned, 5),
        open("middle", Place::Waiting, 4),
    ];
    assert_eq!(named(&facts(tasks.clone(), READY)), ["back", "old"]);
    let empty = Queue { ready: 0, ..READY };
    assert_eq!(named(&facts(tasks, empty)).len(), 4);
}

#[test]
fn what_was_given_back_to_a_queue_with_consumers_may_be_in_their_hands() {
    let queue = Queue {
        ready: 1,
        consumers: 2,
        told: 2,
        untold: 0,
    };
    let tasks = vec![
        open("back", Place::Returned, 1),
        open("a", Place::Waiting, 2),
    ];
    assert_eq!(named(&facts(tasks, queue)), [""; 0]);
}

#[test]
fn nothing_is_said_of_queues_that_somebody_consumes_who_tells_nothing() {
    let queue = Queue {
        ready: 0,
        consumers: 3,
        told: 2,
        untold: 0,
    };
    let tasks = vec![open("a", Place::Waiting, 1)];
    assert_eq!(named(&facts(tasks.clone(), queue)), [""; 0]);
    let known = Queue { told: 4, ..queue };
    assert_eq!(named(&facts(tasks, known)), ["a"]);
}

#[test]
fn tasks_that_may_have_been_put_off_are_not_taken_for_gone() {
    let tasks = vec![
        open("a", Place::Waiting, 1),
        open("b", Place::Waiting, 2),
        open("later", Place::Delayed, 99),
    ];
    let mut facts = facts(tasks, Queue { ready: 0, ..READY });
    facts.in_levels = 3;
    assert_eq!(named(&facts), [""; 0]);
    facts.in_levels = 2;
    assert_eq!(named(&facts), ["a", "b"], "one of them is gone");
}

#[test]
fn tasks_that_workers_may_have_without_having_said_so_are_not_taken_for_gone() {
    let tasks = vec![
        open("young", Place::Waiting, 2),
        open("old", Place::Waiting, 1),
    ];
    let queue = |untold| Queue {
        ready: 0,
        consumers: 2,
        told: 2,
        untold,
    };
    assert_eq!(named(&facts(tasks.clone(), queue(2))), [""; 0]);
    let findings = balance(&facts(tasks, queue(1)));
    let [finding] = &findings[..] else {
        panic!("one of them is gone: {findings:?}");
    };
    assert_eq!(finding.task_id.as_deref(), Some("old"));
    assert!(
        finding.what.contains("workers can have at most 1 of those"),
        "{finding:?}"
    );
}

#[test]
fn delayed_tasks_need_as_many_messages_in_the_levels() {
    let tasks = vec![
        open("a", Place::Delayed, 99),
        open("b", Place::Delayed, 98),
        open("held", Place::Held, 1),
    ];
    let mut facts = facts(tasks, Queue::default());
    assert_eq!(named(&facts), ["a", "b"]);
    facts.in_levels = 2;
    assert_eq!(named(&facts), [""; 0]);
}

#[test]
fn ids_without_a_row_lost_dead_letters_and_what_is_not_read_yet_are_named() {
    let mut facts = Facts::default();
    let places = BTreeSet::from(["dead".to_owned(), "outbox".to_owned()]);
    facts.strays.insert("gone".to_owned(), places);
    let unread = Unread::Waits(7);
    facts.unread.insert("platform.fifo".to_owned(), unread);
    let letter = |id: &str| Dead {
        record: Uuid::nil(),
        task_id: Some(id.to_owned()),
    };
    let letters = vec![letter("first"), letter("second")];
    facts.dead.insert("demo".to_owned(), (letters, 1));
    let findings = balance(&facts);
    let kinds: Vec<_> = findings.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Unread, Kind::NoRow, Kind::DeadLetterGone]);
    assert_eq!(named(&facts), ["gone", "first"]);
    assert!(findings[1].what.contains("dead, outbox"), "{findings:?}");
    let strike_out = "counterfoil dead discard demo --id first";
    assert!(findings[2].remedy.contains(strike_out), "{findings:?}");
}
