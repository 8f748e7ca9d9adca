//! The breaker against a model that keeps a list of what is under way, and against its promises.

use super::*;
use proptest::prelude::*;

const RESET: Duration = Duration::from_secs(5);
const PROBE: Duration = Duration::from_secs(11);

fn breaker(fail_max: u32) -> Breaker {
    let settings = BreakerSettings {
        fail_max,
        reset_timeout: RESET,
    };
    Breaker::new(settings, PROBE)
}

/// The same in other words: nothing is numbered, but everything that passed and still counts is kept.
#[derive(Debug)]
struct Model {
    fail_max: u32,
    failures: u32,
    /// `None`: closed.
    opened: Option<Instant>,
    away: bool,
    /// What passed, by its number, and when. While it is not closed: the probe.
    counts: Vec<(usize, Instant)>,
}

impl Model {
    fn new(fail_max: u32) -> Self {
        Self {
            fail_max,
            failures: 0,
            opened: None,
            away: false,
            counts: Vec::new(),
        }
    }

    fn admit(&mut self, number: usize, now: Instant) -> bool {
        if let Some(opened) = self.opened {
            let probed = self.counts.last().is_some_and(|(_, at)| now < *at + PROBE);
            if self.away || now < opened + RESET || probed {
                return false;
            }
            self.counts.clear();
        }
        self.counts.push((number, now));
        true
    }

    /// Whether the outcome of `number` still matters; asked once.
    fn take(&mut self, number: usize) -> bool {
        let before = self.counts.len();
        self.counts.retain(|(known, _)| *known != number);
        self.counts.len() < before
    }

    fn succeed(&mut self, number: usize) {
        if self.take(number) {
            if self.opened.take().is_some() {
                self.counts.clear();
            }
            self.failures = 0;
        }
    }

    fn fail(&mut self, now: Instant) {
        self.failures += 1;
        if self.opened.is_some() || self.failures >= self.fail_max {
            self.opened = Some(now);
            self.counts.clear();
        }
    }

    fn connect(&mut self) {
        if std::mem::take(&mut self.away) {
            *self = Self::new(self.fail_max);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(Duration),
    Admit,
    /// Of those that passed, the one that is picked.
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    Release(prop::sample::Index),
    Disconnect,
    Connect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = (0_u64..8).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds)));
    let step = prop_oneof![
        3 => wait,
        6 => Just(Step::Admit),
        3 => any::<prop::sample::Index>().prop_map(Step::Succeed),
        4 => any::<prop::sample::Index>().prop_map(Step::Fail),
        2 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Connect),
    ];
    prop::collection::vec(step, 0..120)
}

/// A breaker, its model, and what passed and was not told of yet.
struct Pair {
    breaker: Breaker,
    model: Model,
    now: Instant,
    tickets: Vec<(usize, Ticket)>,
    asked: usize,
}

impl Pair {
    fn new(fail_max: u32) -> Self {
        Self {
            breaker: breaker(fail_max),
            model: Model::new(fail_max),
            now: Instant::now(),
            tickets: Vec::new(),
            asked: 0,
        }
    }

    fn pick(&mut self, index: &prop::sample::Index) -> Option<(usize, Ticket)> {
        let some = !self.tickets.is_empty();
        some.then(|| self.tickets.swap_remove(index.index(self.tickets.len())))
    }

    /// Does the same to both; whether they agreed.
    fn step(&mut self, step: &Step) -> bool {
        let (now, breaker, model) = (self.now, &mut self.breaker, &mut self.model);
        match step {
            Step::Wait(time) => self.now += *time,
            Step::Admit => {
                self.asked += 1;
                let (ticket, passes) = (breaker.admit(now), model.admit(self.asked, now));
                self.tickets
                    .extend(ticket.map(|ticket| (self.asked, ticket)));
                return ticket.is_some() == passes;
            }
            Step::Succeed(index) => {
                if let Some((number, ticket)) = self.pick(index) {
                    self.breaker.succeeded(ticket);
                    self.model.succeed(number);
                }
            }
            Step::Fail(index) => {
                if let Some((number, ticket)) = self.pick(index) {
                    self.breaker.failed(ticket, now);
                    if self.model.take(number) {
                        self.model.fail(now);
                    }
                }
            }
            Step::Release(index) => {
                if let Some((number, ticket)) = self.pick(index) {
                    self.breaker.release(ticket);
                    self.model.take(number);
                }
            }
            Step::Disconnect => {
                breaker.disconnected(now, now + Duration::from_secs(1));
                model.away = true;
                model.fail(now);
            }
            Step::Connect => {
                breaker.connected();
                model.connect();
            }
        }
        self.breaker.is_closed() == self.model.opened.is_none()
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(fail_max in 1_u32..4, steps in steps()) {
        let mut pair = Pair::new(fail_max);
        for step in &steps {
            prop_assert!(pair.step(step), "{:?} and {:?} at {:?}", pair.breaker, pair.model, step);
        }
    }

    #[test]
    fn whatever_happened_a_sender_passes_in_time_once_there_is_a_connection(fail_max in 1_u32..4, steps in steps()) {
        let mut pair = Pair::new(fail_max);
        for step in &steps {
            pair.step(step);
        }
        pair.breaker.connected();
        // Nobody ever tells what became of the others.
        let passes = pair.breaker.admit(pair.now + RESET.max(PROBE));
        prop_assert!(passes.is_some(), "{:?}", pair.breaker);
    }

    #[test]
    fn it_never_says_that_the_broker_is_tried_again_later_than_it_lets_somebody_try(steps in steps()) {
        let mut pair = Pair::new(1);
        for step in &steps {
            pair.step(step);
        }
        let now = pair.now + pair.breaker.tried_again_in(pair.now);
        let half_open = matches!(pair.breaker.state, State::HalfOpen { .. });
        let passes = pair.breaker.admit(now).is_some();
        prop_assert!(passes || half_open || pair.breaker.away.is_some(), "{:?}", pair.breaker);
    }
}

#[test]
fn so_many_failures_in_a_row_open_it_and_a_success_between_them_counts_from_the_start() {
    let (mut breaker, now) = (breaker(3), Instant::now());
    let ticket = breaker.admit(now).expect("closed");
    for _ in 0..2 {
        breaker.failed(ticket, now);
        breaker.failed(ticket, now);
        breaker.succeeded(ticket);
        assert!(breaker.is_closed());
    }
    (0..3).for_each(|_| breaker.failed(ticket, now));
    assert!(!breaker.is_closed());
    assert_eq!(breaker.admit(now + RESET - Duration::from_millis(1)), None);
    assert_eq!(breaker.tried_again_in(now), RESET);
}

#[test]
fn one_probe_passes_and_decides() {
    let (mut breaker, mut now) = (breaker(1), Instant::now());
    let ticket = breaker.admit(now).expect("closed");
    breaker.failed(ticket, now);
    now += RESET;
    let probe = breaker.admit(now).expect("due");
    assert_eq!(breaker.admit(now), None);
    breaker.failed(probe, now);
    assert_eq!(breaker.admit(now), None);
    now += RESET;
    let probe = breaker.admit(now).expect("due again");
    // One that passed before the breaker opened knows an older broker.
    breaker.succeeded(ticket);
    assert!(!breaker.is_closed());
    breaker.succeeded(probe);
    assert!(breaker.is_closed() && breaker.admit(now).is_some());
}

#[test]
fn a_probe_that_was_dropped_makes_room_for_the_next() {
    let (mut breaker, mut now) = (breaker(1), Instant::now());
    let ticket = breaker.admit(now).expect("closed");
    breaker.failed(ticket, now);
    now += RESET;
    let probe = breaker.admit(now).expect("due");
    breaker.release(ticket);
    assert_eq!(breaker.admit(now), None, "only the probe makes room");
    breaker.release(probe);
    assert!(breaker.admit(now).is_some());
    // And one that is kept and never awaited holds up the others for so long only.
    assert_eq!(breaker.admit(now), None);
    assert!(breaker.admit(now + PROBE).is_some());
}

#[test]
fn nobody_probes_while_the_connection_is_away_and_its_return_closes_at_once() {
    let (mut breaker, now) = (breaker(1), Instant::now());
    let again = now + Duration::from_secs(2);
    breaker.disconnected(now, again);
    assert_eq!(breaker.admit(now + RESET * 10), None);
    assert_eq!(breaker.tried_again_in(now), Duration::from_secs(2));
    breaker.connected();
    assert!(breaker.is_closed() && breaker.admit(now).is_some());
}

#[test]
fn a_connection_that_was_never_away_closes_nothing() {
    let (mut breaker, now) = (breaker(1), Instant::now());
    let ticket = breaker.admit(now).expect("closed");
    breaker.failed(ticket, now);
    breaker.connected();
    assert_eq!(breaker.admit(now), None);
}
