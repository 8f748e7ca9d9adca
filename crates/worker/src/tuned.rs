//! Limits of one type of task that were changed while the worker runs.
//!
//! Mostly none are, and then a task costs one look at a flag.

use crate::gate::Gate;
use counterfoil_toolbox::Rate;
use counterfoil_toolbox::task::TaskOptions;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// The limits of a type, as they hold now.
#[derive(Debug)]
pub(crate) struct Tuned {
    is_changed: AtomicBool,
    now: RwLock<Limits>,
}

#[derive(Debug, Clone)]
struct Limits {
    gate: Option<Arc<Gate>>,
    rate: Option<Rate>,
    hard: Option<Duration>,
    soft: Option<Duration>,
}

impl Tuned {
    pub(crate) fn new(options: &TaskOptions, gate: Option<Arc<Gate>>) -> Self {
        Self {
            is_changed: AtomicBool::new(false),
            now: RwLock::new(Limits {
                gate,
                rate: options.rate_limit,
                hard: options.time_limit,
                soft: options.soft_time_limit,
            }),
        }
    }

    /// `None`: nothing was changed.
    fn changed(&self) -> Option<Limits> {
        self.is_changed.load(Ordering::Acquire).then(|| {
            let now = self.now.read();
            now.expect("no code panics while it writes").clone()
        })
    }

    fn change(&self, how: impl FnOnce(&mut Limits)) {
        let now = self.now.write();
        how(&mut now.expect("no code panics while it writes"));
        self.is_changed.store(true, Ordering::Release);
    }

    /// Other tasks of the type that run keep their places. Those that wait go by the new rate.
    pub(crate) fn limit_rate(&self, options: &TaskOptions, rate: Option<Rate>) {
        let options = TaskOptions {
            rate_limit: rate,
            ..options.clone()
        };
        let mut before = None;
        self.change(|now| {
            let gate = Gate::of(&options, Instant::now());
            let gate = gate.map(|gate| Arc::new(gate.with_places_of(now.gate.as_deref())));
            before = std::mem::replace(&mut now.gate, gate);
            now.rate = rate;
        });
        // Last: whoever waited by it asks for the new one now.
        if let Some(before) = before {
            before.is_replaced();
        }
    }

    pub(crate) fn limit_time(&self, hard: Option<Duration>, soft: Option<Duration>) {
        self.change(|now| (now.hard, now.soft) = (hard, soft));
    }

    /// The gate of a type that began with `own`.
    pub(crate) fn gate(&self, own: Option<&Arc<Gate>>) -> Option<Arc<Gate>> {
        match self.changed() {
            None => own.cloned(),
            Some(now) => now.gate,
        }
    }

    /// Hard and soft limit of a type with these options.
    pub(crate) fn time_limits(
        &self,
        options: &TaskOptions,
    ) -> (Option<Duration>, Option<Duration>) {
        match self.changed() {
            None => (options.time_limit, options.soft_time_limit),
            Some(now) => (now.hard, now.soft),
        }
    }

    /// The options with what was changed.
    pub(crate) fn options(&self, options: &TaskOptions) -> TaskOptions {
        let mut options = options.clone();
        if let Some(now) = self.changed() {
            options.rate_limit = now.rate;
            options.time_limit = now.hard;
            options.soft_time_limit = now.soft;
        }
        options
    }
}
