//! Limits of one type of task on this worker: how often it may begin, how many run at a time.
//!
//! What may not begin yet waits here only if its time is near: it holds a place of the prefetch, and
//! tasks of other types stand behind it. Everything else waits at the broker, spread out in time as
//! it will be let in, so that a long line does not come back all at once.

use counterfoil_toolbox::task::TaskOptions;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Longest wait here; what is longer than this the broker counts in whole seconds.
pub(crate) const SHORT: Duration = Duration::from_secs(1);

/// Longest wait at the broker: by then the line may be shorter than was thought.
const LONG: Duration = Duration::from_secs(300);

/// Which part of the time between two beginnings may be missing, where the first of them was late.
const LATENESS: u32 = 10;

/// How long a task is thought to run as long as none has.
const FIRST_GUESS: Duration = Duration::from_secs(1);

/// The limits of one type of task.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Between two beginnings; zero: none.
    interval: Duration,
    /// Somebody keeps a slot to be the next that begins.
    has_next: AtomicBool,
    /// How many may run at a time. `None`: no limit.
    places: Option<Places>,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    count: u16,
}

#[derive(Debug)]
struct Line {
    /// When the next may begin.
    next: Instant,
    /// When the last began of those that had to be taken over first, or will.
    taken_over: Option<Instant>,
    /// When the last of those comes again that wait here without a slot.
    comes: Instant,
    /// When the last of those that wait at the broker will be let in.
    last: Instant,
    /// How long one runs, on average.
    runtime: Duration,
    /// How many wait here for a place.
    here: u32,
}

/// Whether a task may begin, for which there is a slot.
#[derive(Debug)]
pub(crate) enum Turn<'a> {
    /// It may, and does.
    Now,
    /// It is the next, and keeps the slot until then.
    Next(Next<'a>),
    /// After this short time it asks again; others may have the slot meanwhile.
    Soon(Duration),
    /// Not soon; it asks again after this.
    Later(Duration),
}

/// One that is the next of its type.
#[derive(Debug)]
pub(crate) struct Next<'a>(&'a Gate);

impl Next<'_> {
    /// Begins, if it is time. Else: how long it is until then.
    pub(crate) fn begin(&self, now: Instant) -> Option<Duration> {
        self.0.line().begin(now, self.0.interval)
    }
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        self.0.has_next.store(false, Ordering::Release);
    }
}

/// A place among those of its type.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    /// `None`: the task has no such limits.
    pub(crate) fn of(options: &TaskOptions, now: Instant) -> Option<Self> {
        let interval = options.rate_limit.map(|rate| rate.interval());
        let places = options.max_concurrency.map(|count| Places {
            free: Arc::new(Semaphore::new(count.into())),
            count,
        });
        (interval.is_some() || places.is_some()).then(|| Self {
            interval: interval.unwrap_or_default(),
            has_next: AtomicBool::new(false),
            places,
            line: Mutex::new(Line {
                next: now,
                taken_over: None,
                comes: now,
                last: now,
                runtime: FIRST_GUESS,
                here: 0,
            }),
        })
    }

    /// Whether a turn is too far away to wait for a slot; it asks again after this.
    pub(crate) fn is_far(&self, now: Instant) -> Option<Duration> {
        let mut line = self.line();
        let wait = line.next().saturating_duration_since(now);
        (wait >= SHORT).then(|| line.join(now, self.interval))
    }

    /// How long a task waits at the broker that has waited here in vain: behind all others.
    pub(crate) fn stand_behind(&self, now: Instant) -> Duration {
        self.line().join(now, self.interval)
    }

    /// Begins, if the rate allows it now.
    pub(crate) fn begin(&self, now: Instant) -> Turn<'_> {
        if self.interval.is_zero() {
            return Turn::Now;
        }
        let mut line = self.line();
        let Some(wait) = line.begin(now, self.interval) else {
            return Turn::Now;
        };
        if wait >= SHORT {
            return Turn::Later(line.join(now, self.interval));
        }
        if !self.has_next.swap(true, Ordering::Acquire) {
            return Turn::Next(Next(self));
        }
        let comes = line.comes.max(line.next()) + self.interval;
        let wait = comes - now;
        if wait >= SHORT {
            return Turn::Later(line.join(now, self.interval));
        }
        line.comes = comes;
        Turn::Soon(wait)
    }

    /// How long one still has to wait that was let in and had to be taken over from the broker before it could
    /// begin. That takes a round trip, or as long as the broker is away, and then all would begin together that
    /// were let in meanwhile.
    pub(crate) fn begin_taken_over(&self, now: Instant) -> Duration {
        let mut line = self.line();
        // The rate decided who is let in when; here it is about how far they are apart.
        let apart = self.interval - self.interval / LATENESS;
        let at = line.taken_over.map_or(now, |last| now.max(last + apart));
        line.taken_over = Some(at);
        at - now
    }

    /// A place, if there is one or will be soon. `Err`: not soon; it asks again after this.
    ///
    /// # Cancel safety
    /// Cancelled, nothing is taken.
    pub(crate) async fn place(&self) -> Result<Option<Place>, Duration> {
        let Some(places) = &self.places else {
            return Ok(None);
        };
        if let Ok(permit) = places.free.clone().try_acquire_owned() {
            return Ok(Some(Place { _permit: permit }));
        }
        let _here = self.stand_here(places.count, Instant::now())?;
        // What runs may take longer than was thought.
        match timeout(2 * SHORT, places.free.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(Place { _permit: permit })),
            Ok(Err(_)) | Err(_) => Err(SHORT),
        }
    }

    /// Stands in line here, if the line is short. `Err`: it is long; it asks again after this.
    fn stand_here(&self, places: u16, now: Instant) -> Result<Here<'_>, Duration> {
        let mut line = self.line();
        let each = (line.runtime / u32::from(places)).max(self.interval);
        if each * (line.here + 1) > SHORT {
            return Err(line.join(now, each));
        }
        line.here += 1;
        Ok(Here(self))
    }

    /// One has run for so long.
    pub(crate) fn ran_for(&self, runtime: Duration) {
        if self.places.is_some() {
            let mut line = self.line();
            line.runtime = (line.runtime * 7 + runtime) / 8;
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

/// One that stands in line here.
#[derive(Debug)]
struct Here<'a>(&'a Gate);

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.line().here -= 1;
    }
}

impl Line {
    /// When the next may be let in: not while others wait to begin that were let in long before their time.
    fn next(&self) -> Instant {
        let waits = self.taken_over.and_then(|last| last.checked_sub(SHORT));
        waits.map_or(self.next, |waits| waits.max(self.next))
    }

    /// Begins one, if it is time. Else: how long it is until then.
    fn begin(&mut self, now: Instant, interval: Duration) -> Option<Duration> {
        let next = self.next();
        let wait = next.saturating_duration_since(now);
        if !wait.is_zero() {
            return Some(wait);
        }
        // Who begins a little late does not delay those behind it.
        let late = now.saturating_duration_since(next);
        self.next = now - late.min(interval / LATENESS) + interval;
        None
    }

    /// One more waits at the broker, where one is let in per `each`: how long it has to wait.
    fn join(&mut self, now: Instant, each: Duration) -> Duration {
        let here = self.next().max(self.comes).max(now);
        self.last = self.last.max(here) + each;
        // A line that is longer than this is not counted any further.
        self.last = self.last.min(now + LONG);
        (self.last - now).max(SHORT)
    }
}

#[cfg(test)]
mod tests {
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
        // Nobody else is let in before those have begun, but for the last second.
        assert!(matches!(gate.begin(back), Turn::Later(_)));
        assert!(gate.is_far(back).is_some());
        assert!(matches!(gate.begin(back + ms(29 * 90 - 1000)), Turn::Now));
        // Round trips that differ a little hold nobody up for long.
        let later = back + ms(60_000);
        assert_eq!(gate.begin_taken_over(later), ms(0));
        assert_eq!(gate.begin_taken_over(later + ms(95)), ms(0));
        assert_eq!(gate.begin_taken_over(later + ms(180)), ms(5));
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
}
