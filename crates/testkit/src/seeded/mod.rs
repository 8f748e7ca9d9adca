//! One test under a thousand schedules of failures.
//!
//! `plan` draws the faults of a seed · `trial` is what the test gets · `process` is a worker that dies and comes
//! again · `inject` does what was planned · `rescue` does what the daemon does for tasks of lost workers · `settle`
//! waits until all is over, and does the books · `diary` is what happened.

mod plan;

mod process;
mod trial;

mod inject;
mod rescue;

mod books;
mod settle;
mod settled;
mod told;

mod diary;
mod failure;

pub use failure::Failure;
pub use plan::Trouble;
pub use settled::{Settled, SettledTask};
pub use trial::Trial;

use counterfoil_toolbox::chance;
use diary::Diary;
use plan::{Weather, plan};
use std::any::Any;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;

/// Runs this seed and no other, of every test: what a failure says to set.
const SEED: &str = "COUNTERFOIL_SEED";

/// Runs so many seeds, instead of as many as the test says.
const SEEDS: &str = "COUNTERFOIL_SEEDS";

/// Longest that a trial may take, by its own clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Threads of blocking code that does not end are left behind after this time.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Runs a test under many schedules of failures, each of which follows from a seed.
///
/// Every seed is a [`Trial`] of its own: a fresh platform in memory, on a runtime of one thread whose clock stands
/// still while somebody works and jumps when all wait. While the test goes on, workers are killed and replaced,
/// connections break, acknowledgements and confirms are lost, and the broker takes nothing or is away ([`Trouble`]).
/// Handlers, too, begin and end a little later than they could, so that something can happen between what a
/// handler did and its acknowledgement. The first seed that fails ends the test, which then tells the seed, which
/// faults it takes, what happened, and how to see it again.
///
/// ```
/// use counterfoil_testkit::Seeds;
/// # use counterfoil_toolbox::Task;
/// # use counterfoil_worker::{Context, TaskError};
/// # use std::collections::BTreeSet;
/// # use std::sync::{Arc, Mutex};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Welcome { user: u64 }
/// # impl Task for Welcome { const NAME: &'static str = "mail.welcome"; type Output = (); }
/// /// What outlives a worker: a database, in your case.
/// type Sent = Arc<Mutex<BTreeSet<u64>>>;
///
/// async fn welcome(mail: Welcome, cx: Context) -> Result<(), TaskError> {
///     cx.state::<Sent>().lock().unwrap().insert(mail.user);
///     Ok(())
/// }
///
/// Seeds::new(20).run(async |trial| {
///     let sent = Sent::default();
///     let database = sent.clone();
///     // Called again whenever the worker starts: what it makes is the memory of one process.
///     trial.worker(move |worker| worker.state(database.clone()).handle(welcome)).await?;
///     for user in 0..5 {
///         trial.send(Welcome { user }).await?;
///     }
///     trial.settle().await?; // nothing is lost
///     assert_eq!(*sent.lock().unwrap(), BTreeSet::from_iter(0..5));
///     Ok(())
/// });
/// ```
///
/// # The same again
/// `COUNTERFOIL_SEED=17` (or [`Seeds::only`]) runs seed 17 alone: the same faults at the same times, and what follows
/// from them in the same order. Faults, pauses and the waits of workers and producers are drawn from `SplitMix64`,
/// which stays as it is, so the faults of a seed are the same on every machine and for every version of
/// counterfoil's dependencies. What it takes from your side: handlers wait only for tokio's clock, for each other, and for
/// what [`Trial::chance`] says. Blocking handlers and files, sockets, `HashMap`s in whose order something is done, and
/// random ids that decide something bring an order of their own; `tokio::select!` without `biased` does too. `expires`
/// and other dates are held against the system's clock, which does not jump.
///
/// # How many
/// `COUNTERFOIL_SEEDS=20000` runs so many seeds instead: on a server at night, say. A seed takes some milliseconds.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `run`"]
pub struct Seeds {
    seeds: Range<u64>,
    weather: Weather,
}

impl Seeds {
    /// The first `count` seeds, from 0.
    pub fn new(count: u64) -> Self {
        Self {
            seeds: 0..count,
            weather: Weather::default(),
        }
    }

    /// This seed and no other.
    pub fn only(seed: u64) -> Self {
        Self::new(1).starting_at(seed)
    }

    /// As many seeds, from `first` on.
    pub fn starting_at(mut self, first: u64) -> Self {
        let count = self.seeds.end - self.seeds.start;
        self.seeds = first..first.saturating_add(count);
        self
    }

    /// At most so many faults in a trial, and at least one. Default: 5. With 0 there is none.
    pub fn faults(mut self, most: u64) -> Self {
        self.weather.most = most;
        self
    }

    /// Only faults of these kinds; of none, there is no fault. Default: all of them ([`Trouble::ALL`]).
    ///
    /// ```
    /// # use counterfoil_testkit::Seeds;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// use counterfoil_testkit::Trouble;
    ///
    /// let killed = Seeds::new(5).only_faults([Trouble::Kill, Trouble::Replace]);
    /// killed.run(async |trial| {
    ///     trial.worker(|worker| worker.handle(resize)).await?;
    ///     trial.send(Resize { width: 100 }).await?;
    ///     Ok(()) // what is left is waited for, and counted, by itself
    /// });
    /// ```
    pub fn only_faults(mut self, kinds: impl IntoIterator<Item = Trouble>) -> Self {
        self.weather.kinds = kinds.into_iter().collect();
        self
    }

    /// Longest time between two faults, most of which follow each other much sooner. Default: 2 s. For handlers
    /// that take long, make it about as long as they take.
    pub fn gaps_up_to(mut self, longest: Duration) -> Self {
        self.weather.longest_gap = longest;
        self
    }

    /// Longest that a handler is made to wait before it begins, and again before it is done. Default: 50 ms.
    pub fn pauses_up_to(mut self, longest: Duration) -> Self {
        self.weather.longest_pause = longest;
        self
    }

    /// How long tasks may take until all are over, by the clock of the trial. Default: 2 h.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.weather.patience = patience;
        self
    }

    /// Runs `test` once for every seed.
    ///
    /// # Panics
    /// At the first seed that fails: `test` panics or returns an error, or a task is lost ([`Trial::settle`]). And
    /// when `COUNTERFOIL_SEED` or `COUNTERFOIL_SEEDS` is set to something else than a number.
    #[track_caller]
    pub fn run(mut self, test: impl AsyncFn(Trial) -> anyhow::Result<()>) {
        if let Some(count) = variable(SEEDS) {
            self.seeds = self.seeds.start..self.seeds.start.saturating_add(count);
        }
        if let Some(seed) = variable(SEED) {
            self = self.starting_at(seed);
            self.seeds.end = seed.saturating_add(1);
        }
        if let Some(failure) = self.first_failure(test) {
            panic!("{failure}");
        }
    }

    /// Runs `test` for every seed until one fails, and tells of that one, whatever the environment says: for tests
    /// of tests.
    ///
    /// ```
    /// # use counterfoil_testkit::Seeds;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// let failure = Seeds::new(20).first_failure(async |trial| {
    ///     trial.worker(|worker| worker.handle(resize)).await?;
    ///     anyhow::ensure!(trial.seed() != 7, "seven is bad luck");
    ///     Ok(())
    /// });
    /// let failure = failure.expect("seed 7 fails");
    /// assert_eq!((failure.seed(), failure.why()), (7, "seven is bad luck"));
    /// assert!(failure.needed_faults().is_empty()); // it fails without any, too
    /// ```
    pub fn first_failure(
        &self,
        test: impl AsyncFn(Trial) -> anyhow::Result<()>,
    ) -> Option<Failure> {
        self.seeds.clone().find_map(|seed| {
            let why = self.play(seed, &BTreeSet::new(), &test).1?;
            Some(self.shorten(seed, why, &test))
        })
    }

    /// Finds out which faults a failure takes: without any other it still fails.
    fn shorten(
        &self,
        seed: u64,
        why: String,
        test: &impl AsyncFn(Trial) -> anyhow::Result<()>,
    ) -> Failure {
        let planned = plan(seed, &self.weather).len();
        let mut left_out = BTreeSet::new();
        for fault in 0..planned {
            left_out.insert(fault);
            if self.play(seed, &left_out, test).1.is_none() {
                left_out.remove(&fault);
            }
        }
        // As it was found: that is what is seen again.
        let (diary, _) = self.play(seed, &BTreeSet::new(), test);
        let needed = (0..planned).filter(|fault| !left_out.contains(fault));
        Failure::new(seed, why, needed.collect(), diary.entries())
    }

    /// One trial; why it failed, if it did.
    fn play(
        &self,
        seed: u64,
        left_out: &BTreeSet<usize>,
        test: &impl AsyncFn(Trial) -> anyhow::Result<()>,
    ) -> (Arc<Diary>, Option<String>) {
        let _seeded = chance::seed_thread(plan::jitter_of(seed));
        let diary = Arc::new(Diary::default());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return (diary, Some(format!("no runtime: {error}"))),
        };
        let trial = async {
            let trial = Trial::begin(seed, &self.weather, left_out, diary.clone()).await?;
            let played = async {
                test(trial.clone()).await?;
                trial.settle_unless_settled().await
            };
            match tokio::time::timeout(LONGEST, played).await {
                Ok(ended) => ended,
                Err(_) => anyhow::bail!("it does not end: {LONGEST:?} have passed by its clock"),
            }
        };
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(trial)));
        runtime.shutdown_timeout(LEFT_BEHIND);
        let why = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(text_of(&*panic)),
        };
        (diary, why)
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

#[track_caller]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name}={text:?} is no number: set it to one, or unset it"),
    }
}
