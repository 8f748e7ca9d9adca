//! Sending the messages of a dead queue again, or throwing them away.
//!
//! The order is always the same: a message that is sent again is confirmed first, then the database is
//! told, and only then does the message leave the dead queue. A crash in between leaves it there; the
//! next redrive sees that the run was sent, and only takes it out.

use super::deal::{Deal, Fate};
use super::found::{Found, of_record};
use super::plan::{Plan, plan};
use super::walk::Walk;
use super::which::Chosen;
use crate::again::{Sender, may_record};
use crate::asking::Doer;
use crate::error::OperationError;
use crate::outcome::{Instead, Mode, Objection, Outcome, Subject, Told};
use crate::platform::Platform;
use chrono::Utc;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, LeaderGuard};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::transport::link::Arrival;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Somebody at work on one dead queue, alone until this is dropped.
#[derive(Debug)]
pub struct Dealing<'a> {
    platform: &'a Platform,
    fate: Fate,
    mode: Mode,
    limit: usize,
    doer: Doer,
    chosen: Chosen,
    sender: Sender,
    /// The latest run of each task that was sent.
    sent: HashMap<TaskId, i32>,
    /// Records of which a message was taken out.
    handled: HashSet<Uuid>,
    /// Messages that name no task and were sent as they are.
    unread: usize,
    _alone: LeaderGuard,
}

impl<'a> Dealing<'a> {
    /// Keeps others from the dead queue, and looks up what the platform was told of the messages in it.
    /// Nothing is done yet.
    ///
    /// # Errors
    /// [`OperationError::AtWork`] where somebody else is, [`OperationError::OnlyAsks`] where the database's user may
    /// not record what is to be done, [`OperationError::Store`].
    ///
    /// # Cancel safety
    /// It only looks; dropped, it lets others at the queue again.
    pub async fn begin(platform: &'a Platform, deal: Deal) -> Result<Self, OperationError> {
        if deal.mode == Mode::Do {
            may_record(&*platform.store).await?;
        }
        // Before anything is looked up: what others take out meanwhile would seem to be missing.
        let alone = platform.alone_with(&deal.service).await?;
        let chosen = deal.which.look_up(deal.service, &*platform.store).await?;
        Ok(Self {
            platform,
            fate: deal.fate,
            mode: deal.mode,
            limit: deal.limit,
            doer: deal.doer,
            chosen,
            sender: Sender::new(&*platform.transport),
            sent: HashMap::new(),
            handled: HashSet::new(),
            unread: 0,
            _alone: alone,
        })
    }

    /// How many there will be, as far as the platform was told of them.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.chosen.unseen.len().min(self.limit)
    }

    /// How many messages named no task and were sent as they are: the platform cannot follow those.
    #[must_use]
    pub const fn unread(&self) -> usize {
        self.unread
    }

    /// Goes through the queue, and `tell`s what became of each message that is chosen; then, unless the limit was
    /// reached, of records without a message in it, and of ids that nothing has.
    ///
    /// # Errors
    /// When broker or database do not answer. What was told until then holds. Done once more, it goes on: what was
    /// sent already is not sent as yet another run.
    ///
    /// # Cancel safety
    /// Dropped, the messages that it had in hand go back to the queue. Done once more, it goes on as above.
    pub async fn run(&mut self, mut tell: impl FnMut(Told)) -> Result<(), OperationError> {
        let queue = self.platform.names.dead_queue(self.chosen.service());
        let mut walk =
            Walk::begin(&self.platform.transport, &queue, self.chosen.unseen.len()).await?;
        let mut left = self.limit;
        while left > 0 {
            let page = walk.page().await?;
            if page.is_empty() {
                break;
            }
            let mut found = self.choose(page);
            found.truncate(left);
            left -= found.len();
            if !found.is_empty() {
                self.deal(found, &mut walk, &mut tell).await?;
            }
        }
        walk.end().await?;
        if left > 0 {
            self.without_messages(&mut tell).await?;
        }
        Ok(())
    }

    fn choose(&self, page: Vec<Arrival>) -> Vec<Found> {
        let letters = page
            .into_iter()
            .map(|arrival| self.platform.letter(arrival));
        let found = letters.map(|(tag, letter)| {
            let id = letter.id();
            Found { tag, id, letter }
        });
        found
            .filter(|found| self.chosen.includes(found.id, &found.letter))
            .collect()
    }

    async fn deal(
        &mut self,
        found: Vec<Found>,
        walk: &mut Walk,
        tell: &mut impl FnMut(Told),
    ) -> Result<(), OperationError> {
        for found in &found {
            self.chosen.unseen.remove(&found.id);
            let task_id = found.letter.task_id.as_ref().map(|id| id.as_str());
            self.chosen.met(found.id, task_id);
        }
        let ids: Vec<TaskId> = found
            .iter()
            .filter_map(|f| f.letter.task_id.clone())
            .collect();
        let rows = self.platform.store.tasks_with_ids(&ids).await?.into_iter();
        let rows: HashMap<_, _> = rows.map(|row| (row.task_id.clone(), row)).collect();
        let mut batch = Batch::new();
        let outcomes = match self.fate {
            Fate::Redrive => self.redrive(&found, &rows, &mut batch).await?,
            Fate::Discard => found.iter().map(|_| Outcome::Done(None)).collect(),
        };
        let done = || {
            found
                .iter()
                .zip(&outcomes)
                .filter(|(_, o)| matches!(o, Outcome::Done(_)))
        };
        if self.mode == Mode::Do {
            for (found, _) in done() {
                if self.fate == Fate::Discard {
                    self.note(found, &rows, &mut batch);
                }
                batch.handle_dead(found.letter.clone());
                self.handled.insert(found.id);
            }
            let recorded = self.platform.store.apply(&batch).await;
            recorded.map_err(OperationError::LettersNotRecorded)?;
            let tags: Vec<_> = done().map(|(found, _)| found.tag).collect();
            walk.remove(&tags).await?;
        }
        for (found, outcome) in found.iter().zip(outcomes) {
            tell(Told::new(found.subject(), outcome));
        }
        Ok(())
    }

    /// Sends the messages that are to be sent, and adds those that were to `batch`.
    async fn redrive(
        &mut self,
        found: &[Found],
        rows: &HashMap<TaskId, TaskRow>,
        batch: &mut Batch,
    ) -> Result<Vec<Outcome>, OperationError> {
        self.sender.check()?;
        let (mut outcomes, mut leaving, mut publications) = (Vec::new(), Vec::new(), Vec::new());
        for (place, found) in found.iter().enumerate() {
            let (row, sent) = match &found.letter.task_id {
                Some(id) => (rows.get(id), self.sent.get(id).copied()),
                None => (None, None),
            };
            let (service, names) = (self.chosen.service(), &self.platform.names);
            outcomes.push(
                match plan(&found.letter, service, row, sent, names, Utc::now()) {
                    Plan::Refuse(why) => Outcome::Failed(why),
                    Plan::LeftOver(run) => Outcome::Done(Some(format!(
                        "run {run} was sent before: only the old message was taken out"
                    ))),
                    Plan::Send(anew) => {
                        let said = anew.copy.as_ref().map(|copy| copy.envelope.lineage.run);
                        if let Some(copy) = &anew.copy {
                            self.sent
                                .insert(copy.envelope.id.clone(), copy.envelope.lineage.run);
                        }
                        publications.push(anew.publication);
                        leaving.push((place, anew.copy));
                        Outcome::Done(Some(said.map_or_else(
                            || "as it is: it names no task".to_owned(),
                            |run| format!("run {run}"),
                        )))
                    }
                },
            );
        }
        if self.mode == Mode::DryRun {
            return Ok(outcomes);
        }
        let sent = self.sender.send(publications).await;
        for ((place, copy), sent) in leaving.iter().zip(sent) {
            match (sent, copy) {
                (Ok(()), Some(copy)) => batch.rerun(copy, self.doer.deed(self.fate.action())),
                (Ok(()), None) => self.unread += 1,
                (Err(error), _) => {
                    outcomes[*place] = Outcome::failed_by(&error);
                }
            }
        }
        Ok(outcomes)
    }

    /// Leaves a word in the history of the task whose message is thrown away.
    fn note(&self, found: &Found, rows: &HashMap<TaskId, TaskRow>, batch: &mut Batch) {
        let letter = &found.letter;
        let Some(row) = letter.task_id.as_ref().and_then(|id| rows.get(id)) else {
            return;
        };
        if row.run == letter.lineage.run && row.state.is_terminal() {
            let deed = self.doer.deed(self.fate.action());
            batch.note(&row.task_id, row.attempt(), row.state, deed);
        }
    }

    /// The whole queue was seen: records without a message in it are told, or forgotten.
    async fn without_messages(
        &mut self,
        tell: &mut impl FnMut(Told),
    ) -> Result<(), OperationError> {
        let mut batch = Batch::new();
        self.handled.iter().for_each(|id| batch.forget_dead(*id));
        let unseen = std::mem::take(&mut self.chosen.unseen);
        let queue = self.platform.names.dead_queue(self.chosen.service());
        for record in unseen.into_values() {
            self.chosen.met(record.id, record.task_id.as_deref());
            let outcome = match self.fate {
                Fate::Discard => {
                    batch.forget_dead(record.id);
                    Outcome::Done(Some(format!("its message was not in {queue} any more")))
                }
                Fate::Redrive => {
                    let gone = Objection::new(format!("its message is not in {queue} any more"));
                    Outcome::Failed(gone.instead(Instead::RerunOrForget))
                }
            };
            tell(Told::new(of_record(record), outcome));
        }
        if self.mode == Mode::Do && !batch.is_empty() {
            self.platform.store.apply(&batch).await?;
        }
        let why = format!("no message that was chosen has this id or is of this task in {queue}");
        for id in &self.chosen.unmet {
            tell(Told::new(Subject::nobodys(id), Outcome::failed(&why)));
        }
        Ok(())
    }
}
