//! Places for handlers that run at the same time, and who gets the next one.
//!
//! A free place is taken by whoever comes. When there is none, each class of priority stands in a line
//! of its own, first come first served, and the classes take turns: of ten places that become free
//! while all three wait, the high class gets six, the normal one three, and the low one one. Classes
//! that nobody waits in are passed over, so no place is ever kept free for one.

use counterfoil_toolbox::Priority;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// How far a class moves back with each place that it gets: shares of 6 : 3 : 1.
const fn step(class: Priority) -> u64 {
    match class {
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 6,
    }
}

/// The places of one worker.
#[derive(Debug)]
pub(crate) struct Slots {
    line: Mutex<Line>,
}

/// A place among the handlers that run. Dropped, it goes to the next in line.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Slots>);

#[derive(Debug)]
struct Line {
    /// All places.
    count: u16,
    /// Places that nobody has; some only while nobody waits.
    free: u16,
    /// Places that are taken and go with whoever has them.
    going: u16,
    /// Those who wait, by class and ticket.
    waiting: [BTreeMap<u64, oneshot::Sender<()>>; 3],
    /// The last ticket that was given out.
    ticket: u64,
    turns: Turns,
}

/// Whose turn it is: that of the class which has moved back least.
#[derive(Debug, Default)]
struct Turns {
    /// How far each class has moved back.
    at: [u64; 3],
    /// How far the class had that got the last place.
    now: u64,
}

impl Turns {
    /// The class begins to wait. It is owed nothing for the time in which it did not.
    fn join(&mut self, class: Priority) {
        let at = &mut self.at[class as usize];
        *at = (*at).max(self.now);
    }

    /// Which of the classes that wait gets the next place. `None`: none of them waits.
    fn next(&mut self, waits: impl Fn(Priority) -> bool) -> Option<Priority> {
        let waiting = Priority::ALL.into_iter().filter(|class| waits(*class));
        // Of equals the first, which is the most urgent one.
        let class = waiting.min_by_key(|class| self.at[*class as usize])?;
        let at = &mut self.at[class as usize];
        self.now = *at;
        *at += step(class);
        Some(class)
    }
}

impl Slots {
    /// So many places, all of them free.
    pub(crate) fn new(count: u16) -> Arc<Self> {
        let line = Line {
            count,
            free: count,
            going: 0,
            waiting: Default::default(),
            ticket: 0,
            turns: Turns::default(),
        };
        Arc::new(Self {
            line: Mutex::new(line),
        })
    }

    /// How many places there are.
    pub(crate) fn count(&self) -> u16 {
        self.line().count
    }

    /// Adds so many places. Returns how many there are now.
    pub(crate) fn grow(&self, by: u16) -> u16 {
        let (count, new) = {
            let mut line = self.line();
            let by = by.min(u16::MAX - line.count);
            line.count += by;
            // Those that would have gone stay first.
            let stay = by.min(line.going);
            line.going -= stay;
            (line.count, by - stay)
        };
        (0..new).for_each(|_| self.hand_on());
        count
    }

    /// Takes so many places away, at least one stays: first free ones, others when whoever has them leaves. Returns how
    /// many there are now.
    pub(crate) fn shrink(&self, by: u16) -> u16 {
        let mut line = self.line();
        let by = by.min(line.count.saturating_sub(1));
        line.count -= by;
        let at_once = by.min(line.free);
        line.free -= at_once;
        line.going += by - at_once;
        line.count
    }

    /// A place, if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Permit> {
        self.line().take().then(|| Permit(self.clone()))
    }

    /// A place, as soon as it is the turn of this one of its class.
    ///
    /// # Cancel safety
    /// Cancelled, it leaves the line; a place that it was given meanwhile goes to the next.
    pub(crate) async fn take(self: &Arc<Self>, class: Priority) -> Permit {
        let mut waiting = match self.stand_in_line(class) {
            Ok(permit) => return permit,
            Err(waiting) => waiting,
        };
        let told = (&mut waiting.told).await;
        told.expect("whoever is taken out of the line is told");
        waiting.is_over = true;
        Permit(self.clone())
    }

    fn stand_in_line(self: &Arc<Self>, class: Priority) -> Result<Permit, Waiting> {
        let mut line = self.line();
        if line.take() {
            return Ok(Permit(self.clone()));
        }
        let (tell, told) = oneshot::channel();
        let ticket = line.join(class, tell);
        Err(Waiting {
            slots: self.clone(),
            class,
            ticket,
            told,
            is_over: false,
        })
    }

    /// One place is given to the next in line, or is free.
    fn hand_on(&self) {
        let next = self.line().hand_on();
        if let Some(tell) = next {
            // An error: it leaves right now, and hands the place on itself.
            let _ = tell.send(());
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Line {
    /// Takes a free place, if there is one.
    fn take(&mut self) -> bool {
        let is_free = self.free > 0;
        self.free -= u16::from(is_free);
        is_free
    }

    fn join(&mut self, class: Priority, tell: oneshot::Sender<()>) -> u64 {
        let waiting = &mut self.waiting[class as usize];
        if waiting.is_empty() {
            self.turns.join(class);
        }
        self.ticket += 1;
        waiting.insert(self.ticket, tell);
        self.ticket
    }

    fn hand_on(&mut self) -> Option<oneshot::Sender<()>> {
        if self.going > 0 {
            self.going -= 1;
            return None;
        }
        let waiting = &self.waiting;
        let class = self.turns.next(|class| !waiting[class as usize].is_empty());
        let first = class.and_then(|class| self.waiting[class as usize].pop_first());
        self.free += u16::from(first.is_none());
        first.map(|(_, tell)| tell)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.hand_on();
    }
}

/// One who stands in line.
#[derive(Debug)]
struct Waiting {
    slots: Arc<Slots>,
    class: Priority,
    ticket: u64,
    told: oneshot::Receiver<()>,
    /// It has its place.
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let left = self.slots.line().waiting[self.class as usize].remove(&self.ticket);
        // Not in line any more, so a place is its own.
        if left.is_none() {
            self.slots.hand_on();
        }
    }
}

#[cfg(test)]
mod tests;
