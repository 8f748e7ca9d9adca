//! Running a task by tokens, which hold its concurrency down over all workers: see
//! `counterfoil_toolbox::tokens`.
//!
//! An execution takes a token before it takes a slot, and gives it back when its handler has really
//! ended. It waits here for less than a second, in a short line; who finds none, or no place in the
//! line, goes back to the broker for as long as `pace.rs` says. `holder.rs` is the one that talks to
//! the queue of the tokens.

mod grants;
mod holder;
mod pace;
mod wait;

use crate::registry::Registry;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::chance;
use counterfoil_toolbox::tokens::{LimitReport, TokenId};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use holder::{Ask, Holder};
use pace::Pace;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long an execution waits here for a token, and holds one of the worker's deliveries by it.
const PATIENCE: Duration = Duration::from_millis(900);

/// How long it may take to get a token that is free.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How long an execution may go on without a token after its own was lost: time enough to connect
/// again and take one. Also how long others leave it to such executions to take the first ones.
const RETAKE: Duration = Duration::from_secs(2);

/// How long tokens are handed on within a worker before the broker, and so other workers, get them.
const TURN: Duration = Duration::from_secs(1);

/// Most executions that wait for tokens of one limit at the same time.
const LONGEST_LINE: usize = 32;

/// Everything that this worker runs by tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    limits: HashMap<Box<str>, Limit>,
    end: CancellationToken,
}

/// One limit.
#[derive(Debug)]
pub(crate) struct Limit {
    limit: u32,
    to_holder: mpsc::UnboundedSender<Ask>,
    in_line: AtomicUsize,
    pace: Mutex<Pace>,
    sightings: Arc<Sightings>,
}

/// A token in the hands of an execution. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Token {
    grant: u64,
    to_holder: mpsc::UnboundedSender<Ask>,
    lost: CancellationToken,
}

/// The tokens that were in hand lately, and until when; `None`: they still are.
#[derive(Debug, Default)]
struct Sightings(Mutex<BTreeMap<TokenId, Option<Instant>>>);

impl Tokens {
    /// Starts what holds the tokens of the tasks in `registry`, in `tasks`. None is held for longer
    /// than `longest`, whatever its handler does: the broker would take back all of them.
    pub(crate) fn start(
        transport: &Arc<dyn Transport>,
        names: &Names,
        registry: &Registry,
        longest: Duration,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let end = CancellationToken::new();
        let mut limits = HashMap::new();
        for task in registry.sorted() {
            let Some(limit) = task.options.max_concurrency_global else {
                continue;
            };
            let queue = names.token_queue(&task.name);
            let queue = queue.expect("looked at when the worker was built");
            let (to_holder, asks) = mpsc::unbounded_channel();
            let sightings = Arc::new(Sightings::default());
            let holder = Holder::new(transport.clone(), queue, longest, sightings.clone());
            tasks.spawn(holder.run(asks, to_holder.clone(), end.clone()));
            let limit = Limit {
                limit,
                to_holder,
                in_line: AtomicUsize::new(0),
                pace: Mutex::new(Pace::new(Instant::now())),
                sightings,
            };
            limits.insert(task.name.as_str().into(), limit);
        }
        Self { limits, end }
    }

    /// The limit of a task that has one.
    pub(crate) fn of(&self, task: &TaskName) -> Option<&Limit> {
        self.limits.get(task.as_str())
    }

    /// What to say of the limits. `window`: how far back tokens are told that were in hand.
    pub(crate) fn reports(&self, window: Duration) -> BTreeMap<TaskName, LimitReport> {
        let reports = self.limits.iter().map(|(name, limit)| {
            let report = LimitReport {
                limit: limit.limit,
                tokens: limit.sightings.lately(window),
            };
            (TaskName::new(name).expect("it was one"), report)
        });
        reports.collect()
    }

    /// Gives all tokens back.
    pub(crate) fn end(&self) {
        self.end.cancel();
    }
}

impl Limit {
    /// Takes a token. `Err`: after how long to come again.
    ///
    /// # Cancel safety
    /// Cancelled, no token is lost.
    pub(crate) async fn take(&self, patience: Duration) -> Result<Token, Duration> {
        let token = match InLine::enter(self) {
            Some(_place) => self.wait(patience).await,
            None => None,
        };
        let mut pace = self.pace.lock().expect(UNPOISONED);
        match token {
            Some(token) => {
                pace.taken(Instant::now());
                Ok(token)
            }
            None => Err(pace.come_again(Instant::now(), chance::fraction())),
        }
    }

    async fn wait(&self, patience: Duration) -> Option<Token> {
        let (to_waiter, token) = oneshot::channel();
        // An error here: the worker has ended.
        self.to_holder.send(Ask::Token(to_waiter)).ok()?;
        let token = timeout(patience, token).await;
        if token.is_err() {
            // Nobody else may be waiting any more. An error: see above.
            let _ = self.to_holder.send(Ask::Look);
        }
        token.ok()?.ok()
    }
}

/// A place in the line of those who wait for a token.
struct InLine<'a>(&'a Limit);

impl<'a> InLine<'a> {
    /// `None`: the line is long enough. Twice as many as may run at all need not wait here.
    fn enter(limit: &'a Limit) -> Option<Self> {
        let longest = usize::try_from(limit.limit).unwrap_or(LONGEST_LINE);
        let longest = longest.saturating_mul(2).min(LONGEST_LINE);
        let before = limit.in_line.fetch_add(1, Ordering::Relaxed);
        let place = Self(limit);
        (before < longest).then_some(place)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.in_line.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Token {
    /// Fires when the token was lost with its channel, and none could be taken in its place.
    pub(crate) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // An error: the worker has ended, and all its tokens are back.
        let _ = self.to_holder.send(Ask::GiveBack(self.grant));
    }
}

const UNPOISONED: &str = "no code panics while it holds the lock";

impl Sightings {
    fn taken(&self, token: TokenId) {
        self.locked().insert(token, None);
    }

    fn given_back(&self, token: TokenId) {
        self.locked().insert(token, Some(Instant::now()));
    }

    fn lately(&self, window: Duration) -> Vec<TokenId> {
        let now = Instant::now();
        let mut tokens = self.locked();
        tokens.retain(|_, until| until.is_none_or(|until| now - until <= window));
        tokens.keys().copied().collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<TokenId, Option<Instant>>> {
        self.0.lock().expect(UNPOISONED)
    }
}
