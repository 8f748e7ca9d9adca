//! Shares, bounds, and that no place is ever lost.

use super::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;
use std::time::Duration;

use Priority::{High, Low, Normal};

/// The classes that get the next `n` places while those of `waits` wait.
fn next(turns: &mut Turns, n: usize, waits: &[Priority]) -> Vec<Priority> {
    let next = || turns.next(|class| waits.contains(&class));
    std::iter::repeat_with(next).take(n).flatten().collect()
}

fn shares(places: &[Priority]) -> [usize; 3] {
    Priority::ALL.map(|class| places.iter().filter(|got| **got == class).count())
}

#[test]
fn of_ten_places_the_classes_get_six_three_and_one_in_turns() {
    let mut turns = Turns::default();
    let places = next(&mut turns, 1000, &Priority::ALL);
    for ten in places.chunks(10) {
        assert_eq!(shares(ten), [6, 3, 1], "{ten:?}");
    }
    assert!(!places.windows(4).any(|four| four == [High; 4]), "in turns");
}

#[test]
fn classes_that_nobody_waits_in_are_passed_over_and_owed_nothing_for_it() {
    let mut turns = Turns::default();
    assert!(next(&mut turns, 1, &[]).is_empty());
    for (waits, wanted) in [
        (&[Low][..], [0, 0, 1000]),
        (&[High, Normal], [667, 333, 0]),
        (&[High, Low], [857, 0, 143]),
        (&[Normal], [0, 1000, 0]),
        (&Priority::ALL, [600, 300, 100]),
    ] {
        waits.iter().for_each(|class| turns.join(*class));
        let got = shares(&next(&mut turns, 1000, waits));
        let is_as_wanted = |class: usize| got[class].abs_diff(wanted[class]) <= 2;
        assert!((0..3).all(is_as_wanted), "{waits:?}: {got:?}");
    }
}

/// A place may be waited for over so many that others get: the low class stands back by six, in which
/// the others get six and three, and one each because they may be at the same step.
const LONGEST: [u32; 3] = [2, 5, 11];

proptest! {
    #[test]
    fn nobody_waits_for_longer_than_a_few_places_of_others(
        comings in prop::collection::vec(prop::array::uniform3(any::<bool>()), 1..400),
    ) {
        let mut turns = Turns::default();
        let (mut waits, mut since) = ([false; 3], [0; 3]);
        for comes in comings {
            for class in Priority::ALL.into_iter().filter(|class| comes[*class as usize]) {
                if !std::mem::replace(&mut waits[class as usize], true) {
                    turns.join(class);
                    since[class as usize] = 0;
                }
            }
            let Some(got) = turns.next(|class| waits[class as usize]) else { continue };
            for class in Priority::ALL.into_iter().filter(|class| waits[*class as usize]) {
                prop_assert!(since[class as usize] <= LONGEST[class as usize], "{class}: {since:?}");
                since[class as usize] += 1;
            }
            waits[got as usize] = false;
        }
    }

    #[test]
    fn no_place_is_lost_or_made_whoever_comes_goes_or_changes_his_mind(
        count in 1..4u16,
        steps in prop::collection::vec((0..5u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let slots = Slots::new(count);
        let mut waiting: Vec<BoxFuture<'_, Permit>> = Vec::new();
        let mut taken = Vec::new();
        for (what, which) in steps {
            match what {
                0 | 1 => {
                    let class = Priority::ALL[which.index(3)];
                    let mut future = slots.take(class).boxed();
                    match (&mut future).now_or_never() {
                        Some(permit) => taken.push(permit),
                        None => waiting.push(future),
                    }
                }
                2 if !taken.is_empty() => drop(taken.swap_remove(which.index(taken.len()))),
                // Whether it has been given a place by now or not.
                3 if !waiting.is_empty() => drop(waiting.swap_remove(which.index(waiting.len()))),
                4 if !waiting.is_empty() => {
                    let which = which.index(waiting.len());
                    if let Some(permit) = (&mut waiting[which]).now_or_never() {
                        drop(waiting.swap_remove(which));
                        taken.push(permit);
                    }
                }
                _ => {}
            }
            let line = slots.line();
            let in_line: usize = line.waiting.iter().map(BTreeMap::len).sum();
            let given = waiting.len() - in_line;
            prop_assert_eq!(usize::from(line.free) + given + taken.len(), usize::from(count));
            prop_assert!(line.free == 0 || in_line == 0, "a place is free while somebody waits");
        }
        drop((waiting, taken));
        prop_assert_eq!(slots.line().free, count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_survive_those_who_give_up_just_as_they_get_one() {
    let slots = Slots::new(2);
    let one = |n: u32| {
        let slots = slots.clone();
        async move {
            let class = Priority::ALL[n as usize % 3];
            for turn in 0..200 {
                let patience = Duration::from_micros(u64::from((n * 7 + turn) % 40));
                let permit = tokio::time::timeout(patience, slots.take(class)).await;
                tokio::task::yield_now().await;
                drop(permit);
            }
        }
    };
    let all: Vec<_> = (0..30).map(|n| tokio::spawn(one(n))).collect();
    for one in all {
        one.await.expect("it does not panic");
    }
    let _both = (
        slots.try_take().expect("free"),
        slots.try_take().expect("free"),
    );
    assert!(slots.try_take().is_none());
}

#[tokio::test]
async fn those_of_one_class_get_their_places_in_the_order_in_which_they_came() {
    let slots = Slots::new(1);
    let first = slots.try_take().expect("free");
    let mut line: Vec<_> = (0..3).map(|_| slots.take(Normal).boxed()).collect();
    for one in &mut line {
        assert!(one.now_or_never().is_none());
    }
    drop(first);
    for mut one in line {
        drop((&mut one).now_or_never().expect("its turn"));
    }
}

#[tokio::test]
async fn places_that_are_added_go_to_those_who_wait_and_those_taken_away_go_with_their_holders() {
    let slots = Slots::new(2);
    let mut held: Vec<_> = std::iter::from_fn(|| slots.try_take()).collect();
    assert_eq!(held.len(), 2);
    let mut waiting: Vec<_> = (0..2).map(|_| slots.take(Normal).boxed()).collect();
    for one in &mut waiting {
        assert!(one.now_or_never().is_none());
    }
    assert_eq!(slots.grow(3), 5);
    for one in waiting {
        held.push(one.now_or_never().expect("there is a place"));
    }
    held.push(slots.try_take().expect("one is left"));
    assert!(slots.try_take().is_none());

    // Of five that are taken, three go with their holders.
    assert_eq!(slots.shrink(3), 2);
    held.truncate(2);
    assert!(slots.try_take().is_none());
    held.pop();
    held.push(slots.try_take().expect("it is free"));
    // Those that were to go stay where others are added.
    assert_eq!(slots.shrink(1), 1);
    assert_eq!(slots.grow(1), 2);
    held.clear();
    let free: Vec<_> = std::iter::from_fn(|| slots.try_take()).collect();
    assert_eq!(free.len(), 2);
    drop(free);
    assert_eq!(slots.shrink(100), 1, "one stays");
    assert_eq!(slots.grow(u16::MAX), u16::MAX);
}
