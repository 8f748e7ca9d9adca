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
use tokio_util::sync::CancellationToken;

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
    /// Another one is in its place.
    replaced: CancellationToken,
}

#[derive(Debug, Clone)]
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
    /// How long after that one the next of them begins at the earliest.
    apart: Duration,
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
        // The rate decides who is let in when; of those that are taken over it is about how far they are apart.
        let apart = interval.map(|interval| interval - interval / LATENESS);
        let places = options.max_concurrency.map(|count| Places {
            free: Arc::new(Semaphore::new(count.into())),
            count,
        });
        (interval.is_some() || places.is_some()).then(|| Self {
            interval: interval.unwrap_or_default(),
            has_next: AtomicBool::new(false),
            replaced: CancellationToken::new(),
            places,
            line: Mutex::new(Line {
                next: now,
                taken_over: None,
                apart: apart.unwrap_or_default(),
                comes: now,
                last: now,
                runtime: FIRST_GUESS,
                here: 0,
            }),
        })
    }

    /// The same, with the places of the gate that was there before: who has one keeps it.
    pub(crate) fn with_places_of(mut self, before: Option<&Self>) -> Self {
        if let Some(places) = before.and_then(|gate| gate.places.as_ref()) {
            self.places = Some(places.clone());
        }
        self
    }

    /// Another one is in its place: whoever waits by this one asks that one.
    pub(crate) fn is_replaced(&self) {
        self.replaced.cancel();
    }

    /// Waits, but not once another gate is in the place of this one. `None`: one is.
    pub(crate) async fn while_it_holds<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        self.replaced.run_until_cancelled(wait).await
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
        let at = line.turn_taken_over().map_or(now, |turn| now.max(turn));
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
    /// When the next may begin of those that have to be taken over first, by how far they are apart.
    fn turn_taken_over(&self) -> Option<Instant> {
        self.taken_over.map(|last| last + self.apart)
    }

    /// When the next may be let in: not long before its time, while others wait to begin that were.
    fn next(&self) -> Instant {
        let waits = self
            .turn_taken_over()
            .and_then(|turn| turn.checked_sub(SHORT));
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
#[path = "gate_tests.rs"]
mod tests;
