//! What holds, after all that was read. Pure: the time comes in.

use super::{Instruction, KEPT, Order};
use crate::ids::{TaskId, WorkerId};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// What a worker has been asked and has to do.
///
/// It is bounded: what was not written to the stream for [`KEPT`] is forgotten, and of revocations, of
/// revoked families and sessions and of held tasks no more than a million each are remembered, those that
/// were written last. A remembered one takes some 200 bytes.
///
/// ```
/// use counterfoil_toolbox::control::{ControlState, Instruction, Order, Standing};
/// use counterfoil_toolbox::ids::WorkerId;
/// # use chrono::Utc;
/// # let asked = |order| Instruction { id: uuid::Uuid::now_v7(), at: Utc::now(), sent_at: Utc::now(), by: None, order };
///
/// let me = WorkerId::for_this_process("export");
/// let mut state = ControlState::new(me.clone());
/// state.apply(asked(Order::PauseService { service: "export".parse()? }));
/// state.apply(asked(Order::Quiet { worker: me }));
/// assert!(state.is_paused("export") && !state.is_paused("image"));
/// assert_eq!(state.standing(), Standing::Quiet);
/// assert!(state.spares_all_tasks()); // none is cancelled or held
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ControlState {
    me: WorkerId,
    revoked: Marks,
    families: Marks,
    sessions: Marks,
    held: Marks,
    /// Few: one for each service that was ever paused.
    services: HashMap<Box<str>, Mark>,
    standing: Standing,
}

/// What was asked last about one subject.
///
/// ```
/// use counterfoil_toolbox::TaskId;
/// use counterfoil_toolbox::control::{ControlState, Instruction, Order};
/// # use chrono::Utc;
/// # let by = || Some("anna".into());
/// # let asked = |order| Instruction { id: uuid::Uuid::now_v7(), at: Utc::now(), sent_at: Utc::now(), by: by(), order };
/// # let mut state = ControlState::new(counterfoil_toolbox::ids::WorkerId::for_this_process("export"));
///
/// let task = TaskId::random();
/// state.apply(asked(Order::Revoke { task_id: task.clone(), run: 0 }));
/// let mark = state.revocation(&task, &task, 0).expect("it is cancelled");
/// assert_eq!(mark.by.as_deref(), Some("anna"));
/// assert!(state.revocation(&task, &task, 1).is_none()); // but not its next run
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub by: Option<Box<str>>,
    /// A session's: nobody ended it, its time was over.
    pub is_time_out: bool,
    id: Uuid,
    sent_at: DateTime<Utc>,
    /// Runs up to this one are meant.
    run: i32,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    TakenBack,
}

/// What a worker was told about itself. What asks for more counts, in whatever order it was read.
///
/// ```
/// use counterfoil_toolbox::control::Standing;
///
/// assert!(Standing::AtWork < Standing::Quiet && Standing::Quiet < Standing::Stopped);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Standing {
    /// It works.
    #[default]
    AtWork,
    /// It takes nothing new.
    Quiet,
    /// It ends.
    Stopped,
}

impl ControlState {
    /// Nothing has been asked of worker `me` yet.
    #[must_use]
    pub fn new(me: WorkerId) -> Self {
        const MOST: usize = 1_000_000;
        Self::with_room_for(me, MOST)
    }

    pub(super) fn with_room_for(me: WorkerId, most: usize) -> Self {
        Self {
            me,
            revoked: Marks::new(most),
            families: Marks::new(most),
            sessions: Marks::new(most),
            held: Marks::new(most),
            services: HashMap::new(),
            standing: Standing::AtWork,
        }
    }

    /// Takes in what was read, again or in any order.
    pub fn apply(&mut self, instruction: Instruction) {
        let mark = |holds| Mark {
            at: instruction.at,
            by: instruction.by.clone(),
            id: instruction.id,
            sent_at: instruction.sent_at,
            run: instruction.order.run().unwrap_or(0),
            holds,
            is_time_out: matches!(instruction.order, Order::TimeOutSession { .. }),
        };
        let subject = instruction.order.subject();
        match &instruction.order {
            Order::Revoke { .. } => self.revoked.put(subject, mark(Holds::Yes)),
            Order::RevokeFamily { .. } => self.families.put(subject, mark(Holds::Yes)),
            Order::RevokeSession { .. } | Order::TimeOutSession { .. } => {
                self.sessions.put(subject, mark(Holds::Yes));
            }
            // Whoever asked waits for it, and nobody else.
            Order::SessionIs { .. } => {}
            Order::Hold { .. } => self.held.put(subject, mark(Holds::Yes)),
            Order::Release { .. } => self.held.put(subject, mark(Holds::TakenBack)),
            Order::PauseService { service } => self.service(service.as_str(), mark(Holds::Yes)),
            Order::ResumeService { service } => {
                self.service(service.as_str(), mark(Holds::TakenBack));
            }
            Order::Quiet { worker } => self.stand(worker, Standing::Quiet),
            Order::Stop { worker } => self.stand(worker, Standing::Stopped),
        }
    }

    /// Forgets what was not written to the stream for so long that nobody reads it any more.
    pub fn forget(&mut self, now: DateTime<Utc>) {
        let kept = TimeDelta::from_std(KEPT).expect("a week");
        for marks in [
            &mut self.revoked,
            &mut self.families,
            &mut self.sessions,
            &mut self.held,
        ] {
            marks.forget_before(now - kept);
        }
    }

    /// Whether there is nothing to know about any task.
    #[must_use]
    pub fn spares_all_tasks(&self) -> bool {
        self.revoked.is_empty()
            && self.families.is_empty()
            && self.sessions.is_empty()
            && self.held.is_empty()
    }

    /// Who cancelled this run of the task, alone or with its family.
    #[must_use]
    pub fn revocation(&self, task_id: &TaskId, root_id: &TaskId, run: i32) -> Option<&Mark> {
        let of_task = self.revoked.get(task_id.as_str());
        let of_family = || {
            self.families
                .get(root_id.as_str())
                .filter(|mark| run <= mark.run)
        };
        of_task.filter(|mark| run <= mark.run).or_else(of_family)
    }

    /// Who ended the session that a task is part of.
    #[must_use]
    pub fn session_revocation(&self, session_id: &str) -> Option<&Mark> {
        self.sessions.get(session_id)
    }

    /// Who holds the task back.
    ///
    /// ```
    /// use counterfoil_toolbox::TaskId;
    /// use counterfoil_toolbox::control::{ControlState, Instruction, Order};
    /// # use chrono::Utc;
    /// # let asked = |order| Instruction { id: uuid::Uuid::now_v7(), at: Utc::now(), sent_at: Utc::now(), by: None, order };
    /// # let mut state = ControlState::new(counterfoil_toolbox::ids::WorkerId::for_this_process("export"));
    ///
    /// let task_id = TaskId::random();
    /// let hold = asked(Order::Hold { task_id: task_id.clone() });
    /// let release = asked(Order::Release { task_id: task_id.clone() }); // asked later
    /// state.apply(release); // and read first
    /// state.apply(hold);
    /// assert!(state.hold(&task_id).is_none());
    /// ```
    #[must_use]
    pub fn hold(&self, task_id: &TaskId) -> Option<&Mark> {
        let mark = self.held.get(task_id.as_str())?;
        (mark.holds == Holds::Yes).then_some(mark)
    }

    /// Whether nothing of this service may start.
    #[must_use]
    pub fn is_paused(&self, service: &str) -> bool {
        let mark = self.services.get(service);
        mark.is_some_and(|mark| mark.holds == Holds::Yes)
    }

    /// Whether any service is paused.
    #[must_use]
    pub fn pauses_anything(&self) -> bool {
        let mut all = self.services.values();
        all.any(|mark| mark.holds == Holds::Yes)
    }

    /// What was said about this worker.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    fn service(&mut self, service: &str, mark: Mark) {
        match self.services.get_mut(service) {
            Some(known) => known.join(mark),
            None => {
                self.services.insert(service.into(), mark);
            }
        }
    }

    fn stand(&mut self, worker: &WorkerId, standing: Standing) {
        if *worker == self.me {
            self.standing = self.standing.max(standing);
        }
    }
}

impl Mark {
    /// The later of both; the same one is remembered for as long as it is written again.
    fn join(&mut self, other: Self) {
        match (other.at, other.id).cmp(&(self.at, self.id)) {
            std::cmp::Ordering::Greater => *self = other,
            std::cmp::Ordering::Equal => self.sent_at = self.sent_at.max(other.sent_at),
            std::cmp::Ordering::Less => {}
        }
    }
}

/// Marks of tasks, families or sessions, and which of them were written first.
#[derive(Debug)]
struct Marks {
    of: HashMap<Arc<str>, Mark>,
    by_age: BTreeSet<(DateTime<Utc>, Arc<str>)>,
    most: usize,
}

impl Marks {
    fn new(most: usize) -> Self {
        Self {
            of: HashMap::new(),
            by_age: BTreeSet::new(),
            most,
        }
    }

    fn get(&self, subject: &str) -> Option<&Mark> {
        self.of.get(subject)
    }

    fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    fn put(&mut self, subject: &str, mark: Mark) {
        let (subject, sent_at) = match self.of.remove_entry(subject) {
            Some((subject, mut known)) => {
                self.by_age.remove(&(known.sent_at, subject.clone()));
                known.join(mark);
                let sent_at = known.sent_at;
                self.of.insert(subject.clone(), known);
                (subject, sent_at)
            }
            None => {
                let (subject, sent_at) = (Arc::<str>::from(subject), mark.sent_at);
                self.of.insert(subject.clone(), mark);
                (subject, sent_at)
            }
        };
        self.by_age.insert((sent_at, subject));
        while self.of.len() > self.most {
            self.forget_oldest();
        }
    }

    fn forget_before(&mut self, time: DateTime<Utc>) {
        while self
            .by_age
            .first()
            .is_some_and(|(sent_at, _)| *sent_at < time)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, subject)) = self.by_age.pop_first() {
            self.of.remove(&subject);
        }
    }
}
