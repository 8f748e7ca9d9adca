//! Sessions of which many things are told, in orders that chance chooses.

use super::stage::{Site, opening, told};
use crate::store_suite::samples::{copy_of, lineage};
use crate::store_suite::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, Store, TrackingCopy};
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::message::names::PASSES;
use counterfoil_toolbox::session::{Opening, SessionStatus};
use counterfoil_toolbox::state::{Lineage, StateKey};
use counterfoil_toolbox::{TaskName, TaskState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Sessions that are told of in some order each.
const SAMPLES: usize = 150;

/// Two daemons take turns with what is told of sessions of three, everything at least once, in an order that
/// chance chose for each session; then both tell all of it at once. Their subtasks are put off, refused, retried,
/// rescued, written off, run twice, and the session is aborted in between. A model of some lines says what it
/// comes to.
///
/// # Errors
/// When the promise is broken or the database does not answer. The error names the seed.
pub async fn whatever_becomes_of_subtasks_a_session_counts_it_as_a_model_does(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let given = std::env::var("COUNTERFOIL_TEST_SEED").ok();
    let given = given.map(|seed| seed.parse()).transpose()?;
    let seed = given.unwrap_or(u64::try_from(since_1970.as_micros())?);
    eprintln!("COUNTERFOIL_TEST_SEED={seed}");
    let told = in_some_order(site, Chance(seed)).await;
    told.with_context(|| format!("COUNTERFOIL_TEST_SEED={seed} tells it again"))
}

async fn in_some_order(site: &StoreSite, mut chance: Chance) -> anyhow::Result<()> {
    let daemons = [site.another().await?, site.another().await?];
    let tales = (0..SAMPLES).map(|_| Tale::new(&mut chance));
    let tales: Vec<_> = tales.collect::<Result<_, _>>()?;
    let steps = tales.iter().map(|tale| tale.order.len()).max();
    for step in 0..steps.unwrap_or(0) {
        let mut batch = Batch::new();
        for tale in &tales {
            if let Some(place) = tale.order.get(step) {
                tale.inputs[*place].add_to(&mut batch);
            }
        }
        daemons[step % 2].apply(&batch).await?;
    }
    for tale in &tales {
        let session = Site {
            site,
            opening: tale.opening(),
        };
        tale.check(&session).await?;
    }
    let again = |daemon: Arc<dyn Store>, backwards: bool| {
        let tales = &tales;
        async move {
            for tales in tales.chunks(SAMPLES / 3) {
                let mut batch = Batch::new();
                for tale in tales {
                    let inputs = tale.inputs.iter();
                    match backwards {
                        true => inputs.rev().for_each(|input| input.add_to(&mut batch)),
                        false => inputs.for_each(|input| input.add_to(&mut batch)),
                    }
                }
                daemon.apply(&batch).await?;
            }
            anyhow::Ok(())
        }
    };
    let [one, other] = daemons;
    tokio::try_join!(again(one, false), again(other, true))?;
    for tale in &tales {
        let session = Site {
            site,
            opening: tale.opening(),
        };
        tale.check(&session).await.context("told again")?;
    }
    Ok(())
}

/// One thing that is told.
enum Input {
    Opened(Box<Opening>),
    Aborted(Box<Opening>),
    Copy(usize, Box<TrackingCopy>),
    Event(usize, Box<Event>),
}

impl Input {
    fn add_to(&self, batch: &mut Batch) {
        match self {
            Self::Opened(opening) => batch.open_session(opening),
            Self::Aborted(opening) => batch.session_is_aborted(&opening.id, Some("bob")),
            Self::Copy(_, copy) => batch.track(copy),
            Self::Event(_, event) => batch.event(event),
        }
    }

    /// Which subtask it is about, and where it puts it.
    fn state(&self) -> Option<(usize, StateKey, TaskState)> {
        match self {
            Self::Opened(_) | Self::Aborted(_) => None,
            Self::Copy(subtask, copy) => {
                let (lineage, state) = (copy.envelope.lineage, TaskState::Pending);
                let key = StateKey::new(lineage, state, Uuid::nil());
                Some((*subtask, key, state))
            }
            Self::Event(subtask, event) => {
                let key = event.key()?;
                let EventKind::State(state) = event.kind else {
                    return None;
                };
                Some((*subtask, key, state))
            }
        }
    }
}

/// A session and what is told of it, in an order of its own.
struct Tale {
    inputs: Vec<Input>,
    order: Vec<usize>,
}

impl Tale {
    fn new(chance: &mut Chance) -> anyhow::Result<Self> {
        let inputs = all_inputs(opening(3))?;
        let mut order: Vec<_> = (0..inputs.len()).collect();
        let twice: Vec<_> = (0..inputs.len()).filter(|_| chance.below(3) == 0).collect();
        order.extend(twice);
        for place in (1..order.len()).rev() {
            order.swap(place, chance.below(place + 1));
        }
        Ok(Self { inputs, order })
    }

    fn opening(&self) -> Opening {
        let opening = self.inputs.iter().find_map(|input| match input {
            Input::Opened(opening) => Some((**opening).clone()),
            Input::Aborted(_) | Input::Copy(..) | Input::Event(..) => None,
        });
        opening.expect("every session is opened")
    }

    /// Where its subtasks stand when it is over, and whether it was aborted before.
    fn end(&self) -> ([TaskState; 3], bool) {
        let mut subtasks: [Option<(StateKey, TaskState)>; 3] = [None; 3];
        let (mut is_open, mut is_aborted) = (false, false);
        for place in &self.order {
            match &self.inputs[*place] {
                Input::Opened(_) => is_open = true,
                Input::Aborted(_) => is_aborted |= is_open,
                Input::Copy(..) | Input::Event(..) => {}
            }
            if let Some((subtask, key, state)) = self.inputs[*place].state() {
                let known = &mut subtasks[subtask];
                *known = (*known).max(Some((key, state)));
            }
            let states = subtasks.map(|known| known.map_or(TaskState::Pending, |(_, state)| state));
            if is_open && states.iter().all(|state| state.is_terminal()) {
                return (states, is_aborted);
            }
        }
        unreachable!("every subtask has an end")
    }

    async fn check(&self, session: &Site<'_>) -> anyhow::Result<()> {
        let (ends, is_aborted) = self.end();
        let row = session.row().await?;
        let count = |wanted| ends.iter().filter(|end| **end == wanted).count();
        let succeeded = i32::try_from(count(TaskState::Success))?;
        let revoked = i32::try_from(count(TaskState::Revoked))?;
        let status = match (is_aborted, succeeded) {
            (true, _) => SessionStatus::Aborted,
            (false, 3) => SessionStatus::Success,
            (false, _) => SessionStatus::CompletedWithErrors,
        };
        let told = || format!("{:?} should come to {ends:?}: {row:?}", self.order);
        ensure!(row.status == status, "{}", told());
        let counters = (row.succeeded, row.failed, row.revoked);
        ensure!(
            counters == (succeeded, 3 - succeeded, revoked),
            "{}",
            told()
        );
        // Heard of before the end or after it.
        let retried = (row.retried_counted, row.retried_uncounted);
        ensure!(retried == (1, 1), "{}", told());
        let store = session.site.store();
        let subtasks = store.subtasks(&row.id, None, 0).await?.into_iter();
        ensure!(subtasks.map(|it| it.status).eq(ends), "{}", told());
        let summary = session.summary().await?.with_context(told)?;
        let of_summary = ["succeeded", "failed", "revoked"].map(|name| summary[name].as_i64());
        let of_row = [row.succeeded, row.failed, row.revoked].map(|count| Some(i64::from(count)));
        ensure!(of_summary == of_row, "{summary}: {}", told());
        ensure!(summary["status"] == row.status.as_str(), "{summary}");
        Ok(())
    }
}

/// Everything that is told of a session.
fn all_inputs(opening: Opening) -> anyhow::Result<Vec<Input>> {
    use TaskState::{Failure, Received, Rejected, Retry, Revoked, Started, Success};
    let event = |subtask, executions, state| told(&opening, subtask, executions, state);
    let mut skipped = event(0, 0, Success);
    skipped.skipped = Some("nothing to do".into());
    let mut snoozed = event(1, 1, Retry);
    snoozed.counted = Some(false);
    let mut delivered_again = event(1, 2, Started);
    delivered_again.lineage.deliveries = 1;
    let mut ended = event(1, 2, Success);
    ended.lineage.deliveries = 1;
    let mut rescued = [event(2, 0, Started), event(2, 0, Failure)];
    for event in &mut rescued {
        event.lineage = lineage(1, 0, 0);
    }
    let mut run = [event(2, 0, Started), event(2, 0, Success)];
    for event in &mut run {
        event.lineage.run = 1;
    }
    let of_first = [
        event(0, 0, Received),
        event(0, 0, Started),
        event(0, 0, Revoked),
        skipped,
    ];
    let of_second = [
        event(1, 0, Retry),
        snoozed,
        event(1, 2, Started),
        delivered_again,
        ended,
    ];
    let of_third = [
        event(2, 0, Rejected),
        event(2, 0, Received),
        event(2, 0, Started),
    ];
    let of_third = of_third.into_iter().chain(rescued).chain(run);
    let mut inputs = Vec::new();
    for (subtask, events) in [
        (0, of_first.to_vec()),
        (1, of_second.to_vec()),
        (2, of_third.collect()),
    ] {
        let events = events.into_iter();
        inputs.extend(events.map(|event| Input::Event(subtask, Box::new(event))));
    }
    let again = Lineage {
        run: 1,
        ..Lineage::default()
    };
    for subtask in 0..3 {
        let first = copy(&opening, subtask, Lineage::default())?;
        let mut put_off = copy(&opening, subtask, Lineage::default())?;
        put_off.message.content.headers.push(PASSES, 1_i64);
        let attempts = match subtask {
            0 => vec![],
            // One of them is what a worker sends that does not count the retry.
            1 => vec![lineage(0, 1, 0), lineage(0, 2, 0)],
            _ => vec![again],
        };
        let later = attempts.into_iter().map(|it| copy(&opening, subtask, it));
        for copy in [Ok(first), Ok(put_off)].into_iter().chain(later) {
            inputs.push(Input::Copy(subtask, Box::new(copy?)));
        }
    }
    inputs.push(Input::Aborted(Box::new(opening.clone())));
    inputs.push(Input::Opened(Box::new(opening)));
    Ok(inputs)
}

fn copy(opening: &Opening, subtask: usize, lineage: Lineage) -> anyhow::Result<TrackingCopy> {
    let id = opening.subtasks[subtask].id.clone();
    let mut envelope = Envelope::new(id, TaskName::new("demo.add")?);
    envelope.session_id = Some(opening.id.as_str().into());
    envelope.lineage = lineage;
    let mut copy = copy_of(envelope);
    copy.message.content.headers.push("lang", "rs");
    Ok(copy)
}

/// Numbers that follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from(mixed % limit).unwrap_or(0)
    }
}
