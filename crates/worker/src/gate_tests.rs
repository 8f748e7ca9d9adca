use super::*;
use counterfoil_toolbox::rate::Rate;

fn gate(rate: Option<Rate>, places: Option<u16>, now: Instant) -> Gate {
    let options = TaskOptions {
        rate_limit: rate,
        max_concurrency: places,
        ..TaskOptions::default()
    };
    Gate::of(&options, now).expect("it has limits")
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_task_without_limits_has_no_gate() {
    assert!(Gate::of(&TaskOptions::default(), Instant::now()).is_none());
}

#[test]
fn beginnings_are_evenly_spread_and_none_is_owed_after_a_quiet_time() {
    let now = Instant::now();
    let gate = gate(Some(Rate::per_second(10)), None, now);
    assert!(matches!(gate.begin(now), Turn::Now));
    let Turn::Next(next) = gate.begin(now) else {
        panic!("nobody else keeps a slot");
    };
    assert_eq!(next.begin(now + ms(40)), Some(ms(60)));
    // Those behind it come one after the other, and without a slot.
    assert!(matches!(gate.begin(now), Turn::Soon(wait) if wait == ms(200)));
    assert!(matches!(gate.begin(now), Turn::Soon(wait) if wait == ms(300)));
    // A little late is not late for the next.
    assert_eq!(next.begin(now + ms(104)), None);
    assert_eq!(next.begin(now + ms(150)), Some(ms(50)));
    drop(next);
    let later = now + ms(10_000);
    assert!(matches!(gate.begin(later), Turn::Now));
    assert!(matches!(gate.begin(later + ms(60)), Turn::Next(_)));
    assert!(matches!(gate.begin(later + ms(100)), Turn::Now));
}

#[test]
fn those_that_were_let_in_while_the_broker_was_away_begin_one_after_the_other() {
    let now = Instant::now();
    let gate = gate(Some(Rate::per_second(10)), None, now);
    let let_in = (0..30_u32).filter(|n| matches!(gate.begin(now + ms(100) * *n), Turn::Now));
    assert_eq!(let_in.count(), 30);
    // All of them are taken over at once.
    let back = now + ms(3000);
    let waits: Vec<_> = (0..30).map(|_| gate.begin_taken_over(back)).collect();
    assert!(
        waits.windows(2).all(|two| two[1] - two[0] == ms(90)),
        "{waits:?}"
    );
    assert_eq!(waits[0], ms(0));
    // Nobody else is let in before those have begun, but for the last second before its turn.
    assert!(matches!(gate.begin(back), Turn::Later(_)));
    assert!(gate.is_far(back).is_some());
    assert!(matches!(gate.begin(back + ms(30 * 90 - 1000)), Turn::Now));
    // Round trips that differ a little hold nobody up for long.
    let later = back + ms(60_000);
    assert_eq!(gate.begin_taken_over(later), ms(0));
    assert_eq!(gate.begin_taken_over(later + ms(95)), ms(0));
    assert_eq!(gate.begin_taken_over(later + ms(180)), ms(5));
}

#[test]
fn of_a_rate_of_few_in_a_minute_nobody_is_let_in_long_before_it_may_begin_after_an_outage() {
    let now = Instant::now();
    let gate = gate(Some(Rate::per_minute(6)), None, now);
    let let_in = (0..3_u32).filter(|n| matches!(gate.begin(now + ms(10_000) * *n), Turn::Now));
    assert_eq!(let_in.count(), 3);
    let back = now + ms(30_000);
    let waits: Vec<_> = (0..3).map(|_| gate.begin_taken_over(back)).collect();
    assert_eq!(waits, [ms(0), ms(9_000), ms(18_000)]);
    // It keeps a slot from then on.
    let in_time = (0..40_000).step_by(10).map(|after| back + ms(after));
    let mut in_time = in_time.skip_while(|at| !matches!(gate.begin(*at), Turn::Now));
    let wait = gate.begin_taken_over(in_time.next().expect("it is let in"));
    assert!((ms(900)..=SHORT).contains(&wait), "{wait:?}");
}

#[test]
fn what_has_to_wait_for_long_comes_back_one_after_the_other() {
    let now = Instant::now();
    let gate = gate(Some(Rate::per_second(10)), None, now);
    assert!(matches!(gate.begin(now), Turn::Now));
    let _next = gate.begin(now);
    let soon = (0..8).filter(|_| matches!(gate.begin(now), Turn::Soon(_)));
    assert_eq!(soon.count(), 8, "within this second");
    let wait = || match gate.begin(now) {
        Turn::Later(wait) => Some(wait),
        Turn::Now | Turn::Next(_) | Turn::Soon(_) => None,
    };
    let waits: Vec<_> = (0..10_000).map_while(|_| wait()).collect();
    assert_eq!(waits.len(), 10_000);
    assert!(waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
    // Nobody comes back after an hour: the line may be shorter by then.
    assert_eq!(waits.last(), Some(&LONG));
}

#[test]
fn a_rate_of_few_in_a_minute_lets_one_begin_and_sends_the_others_away() {
    let now = Instant::now();
    let gate = gate(Some(Rate::per_minute(30)), None, now);
    assert!(matches!(gate.begin(now), Turn::Now));
    assert!(gate.is_far(now).is_some() && gate.is_far(now + ms(1500)).is_none());
    assert!(matches!(gate.begin(now), Turn::Later(_)));
    // Whoever is sent away has taken nothing.
    assert!(matches!(gate.begin(now + ms(2000)), Turn::Now));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_will_be_free_soon_is_waited_for_here() {
    let gate = gate(None, Some(1), Instant::now());
    (0..100).for_each(|_| gate.ran_for(ms(300)));
    let first = gate.place().await.expect("free");
    let frees = async {
        tokio::time::sleep(ms(300)).await;
        drop(first);
    };
    let (second, ()) = tokio::join!(gate.place(), frees);
    let _second = second.expect("waited for");
    // Of those that stand behind it, three have to wait for less than a second.
    let waits = (0..6).map(|_| gate.stand_here(1, Instant::now()));
    let here: Vec<_> = waits.filter_map(Result::ok).collect();
    assert_eq!(here.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn those_without_a_place_are_spread_by_how_long_tasks_run() {
    let gate = gate(None, Some(2), Instant::now());
    let _taken = [gate.place().await, gate.place().await];
    (0..100).for_each(|_| gate.ran_for(ms(10_000)));
    // Two places, ten seconds each: one every five.
    for wait in [ms(5_000), ms(10_000)] {
        let told = gate.place().await.expect_err("full");
        assert!(
            (wait..wait + ms(100)).contains(&(told + ms(50))),
            "{told:?}"
        );
    }
}
