use super::*;
use chrono::TimeDelta;

fn task(id: &str) -> TaskId {
    TaskId::new(id).expect("valid")
}

fn me() -> WorkerId {
    WorkerId::new("demo@h.1.aa").expect("valid")
}

fn second(n: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + n, 0).expect("a time")
}

/// Asked in the `n`th second, and written at once.
fn asked(n: i64, order: Order) -> Instruction {
    Instruction {
        id: Uuid::from_u128(u128::from(n.unsigned_abs())),
        at: second(n),
        sent_at: second(n),
        by: Some("ana".into()),
        order,
    }
}

fn revoke(n: i64, id: &str, run: i32) -> Instruction {
    let task_id = task(id);
    asked(n, Order::Revoke { task_id, run })
}

fn hold(n: i64, id: &str) -> Instruction {
    asked(n, Order::Hold { task_id: task(id) })
}

fn release(n: i64, id: &str) -> Instruction {
    asked(n, Order::Release { task_id: task(id) })
}

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("valid")
}

fn pause(n: i64, name: &str) -> Instruction {
    asked(
        n,
        Order::PauseService {
            service: service(name),
        },
    )
}

fn resume(n: i64, name: &str) -> Instruction {
    asked(
        n,
        Order::ResumeService {
            service: service(name),
        },
    )
}

fn after(instructions: impl IntoIterator<Item = Instruction>) -> ControlState {
    let mut state = ControlState::new(me());
    instructions.into_iter().for_each(|one| state.apply(one));
    state
}

#[test]
fn what_is_asked_reads_back_as_it_was_written() {
    let worker = me();
    let root_id = task("r");
    let all = [
        revoke(1, "a", 2),
        asked(2, Order::RevokeFamily { root_id, run: 0 }),
        hold(3, "a"),
        release(4, "a"),
        pause(5, "demo"),
        resume(6, "demo"),
        asked(
            7,
            Order::Quiet {
                worker: worker.clone(),
            },
        ),
        Instruction {
            by: None,
            ..asked(8, Order::Stop { worker })
        },
    ];
    let (read, skipped) = read(&write(&all));
    assert_eq!((read.as_slice(), skipped.len()), (&all[..], 0));
    for one in &all {
        let (kind, subject) = (one.order.kind(), one.order.subject());
        let again = Order::from_parts(kind, subject, one.order.run());
        assert_eq!(again.as_ref(), Some(&one.order));
    }
    assert_eq!(Order::from_parts("sing", "a", None), None);
    assert_eq!(Order::from_parts("pause_service", "no.name", None), None);
    let kinds: Vec<_> = all
        .iter()
        .map(|one| {
            serde_json::to_value(one).expect("writes")["kind"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    let names: Vec<_> = all
        .iter()
        .map(|one| Some(one.order.kind().to_owned()))
        .collect();
    assert_eq!(kinds, names);
}

#[test]
fn what_a_newer_platform_asks_is_skipped_and_the_rest_understood() {
    let mut items: Vec<serde_json::Value> =
        serde_json::from_slice(&write(&[hold(1, "a"), hold(2, "b")])).expect("a list");
    items[0]["kind"] = "sing".into();
    items[1]["added_later"] = 7.into();
    let (understood, skipped) = read(&serde_json::to_vec(&items).expect("writes"));
    assert_eq!(understood, [hold(2, "b")]);
    assert_eq!(skipped.len(), 1);
    assert!(skipped[0].contains("sing"), "{skipped:?}");
}

#[test]
fn a_message_that_is_no_list_is_told_and_harmless() {
    for body in [
        "",
        "{}",
        "[1, null, [], {}]",
        "\u{0}",
        "[{\"kind\": \"revoke\", \"task_id\": \"\"}]",
    ] {
        let (understood, skipped) = read(body.as_bytes());
        assert!(understood.is_empty() && !skipped.is_empty(), "{body}");
    }
}

#[test]
fn a_revoked_task_is_revoked_in_this_run_and_not_in_the_next() {
    let state = after([revoke(1, "a", 1)]);
    let revoked = |id, run| state.revocation(&task(id), &task(id), run).is_some();
    assert!(revoked("a", 0) && revoked("a", 1));
    assert!(!revoked("a", 2) && !revoked("b", 0));
}

#[test]
fn a_revoked_family_covers_members_that_nobody_has_heard_of_yet() {
    let root_id = task("r");
    let state = after([asked(
        1,
        Order::RevokeFamily {
            root_id: root_id.clone(),
            run: 0,
        },
    )]);
    for member in ["r", "child", "sent later"] {
        assert!(
            state.revocation(&task(member), &root_id, 0).is_some(),
            "{member}"
        );
    }
    assert!(
        state
            .revocation(&task("stranger"), &task("stranger"), 0)
            .is_none()
    );
    assert!(
        state.revocation(&task("child"), &root_id, 1).is_none(),
        "a run of its own"
    );
}

#[test]
fn a_revoked_session_covers_its_subtasks_and_spares_tasks_of_its_id() {
    let session_id = SessionId::new("s1").expect("an id");
    let state = after([asked(1, Order::RevokeSession { session_id })]);
    assert!(!state.spares_all_tasks());
    assert!(state.session_revocation("s1").is_some());
    assert!(state.session_revocation("s2").is_none());
    assert!(state.revocation(&task("s1"), &task("s1"), 0).is_none());
}

#[test]
fn the_end_is_the_same_in_whatever_order_and_however_often_it_is_read() {
    let all = [
        hold(1, "a"),
        release(2, "a"),
        hold(3, "a"),
        pause(4, "demo"),
        resume(5, "demo"),
    ];
    for order in permutations(all.len()) {
        let once = order.iter().map(|n| all[*n].clone());
        let again = order.iter().rev().map(|n| all[*n].clone());
        let state = after(once.chain(again));
        assert_eq!(
            state.hold(&task("a")).map(|mark| mark.at),
            Some(second(3)),
            "{order:?}"
        );
        assert!(!state.is_paused("demo"), "{order:?}");
    }
}

#[test]
fn of_two_of_the_same_moment_the_greater_id_counts() {
    let mut hold = hold(1, "a");
    hold.id = Uuid::from_u128(9);
    let release = release(1, "a");
    for both in [[hold.clone(), release.clone()], [release, hold]] {
        assert!(after(both).hold(&task("a")).is_some());
    }
}

#[test]
fn a_worker_that_was_told_to_stop_is_not_merely_quiet_whatever_it_reads_first() {
    let quiet = || asked(1, Order::Quiet { worker: me() });
    let stop = || asked(2, Order::Stop { worker: me() });
    let other = || {
        asked(
            3,
            Order::Stop {
                worker: WorkerId::new("other").expect("valid"),
            },
        )
    };
    assert_eq!(after([other()]).standing(), Standing::AtWork);
    assert_eq!(after([other(), quiet()]).standing(), Standing::Quiet);
    for both in [[quiet(), stop()], [stop(), quiet()]] {
        assert_eq!(after(both).standing(), Standing::Stopped);
    }
}

#[test]
fn what_was_not_written_for_a_week_is_forgotten_and_what_was_written_again_is_not() {
    let week = i64::try_from(KEPT.as_secs()).expect("a week");
    let again = Instruction {
        sent_at: second(week / 2),
        ..revoke(2, "b", 0)
    };
    let mut state = after([
        revoke(1, "a", 0),
        again.clone(),
        revoke(2, "b", 0),
        hold(1, "c"),
    ]);
    state.forget(second(week));
    assert!(
        state.revocation(&task("a"), &task("a"), 0).is_some(),
        "not a week yet"
    );
    state.forget(second(week) + TimeDelta::seconds(3));
    assert!(state.revocation(&task("a"), &task("a"), 0).is_none());
    assert!(state.hold(&task("c")).is_none());
    assert!(state.revocation(&task("b"), &task("b"), 0).is_some());
    assert!(!state.spares_all_tasks());
    state.forget(second(week * 2));
    assert!(state.spares_all_tasks());
}

#[test]
fn no_more_are_remembered_than_there_is_room_for_and_those_written_last_stay() {
    let mut state = ControlState::with_room_for(me(), 3);
    for n in [5, 1, 4, 2, 3, 5] {
        state.apply(revoke(n, &n.to_string(), 0));
    }
    let known = |n: i64| {
        state
            .revocation(&task(&n.to_string()), &task("-"), 0)
            .is_some()
    };
    assert_eq!((1..=5).filter(|n| known(*n)).collect::<Vec<_>>(), [3, 4, 5]);
}

/// All orders of `n` things.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else {
        return vec![vec![]];
    };
    let shorter = permutations(last).into_iter();
    let longer = shorter.flat_map(|order| {
        (0..n).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    });
    longer.collect()
}
