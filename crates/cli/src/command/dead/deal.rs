//! Sending the messages of a dead queue again, or throwing them away.
//!
//! The order is always the same: a message that is sent again is confirmed first, then the database is
//! told, and only then does the message leave the dead queue. A crash in between leaves it there; the
//! next redrive sees that the run was sent, and only takes it out.

use super::choice::{Choice, Chosen};
use super::plan::{Plan, plan};
use super::platform::Platform;
use super::walk::Walk;
use crate::asking::Doer;
use crate::command::again::Sender;
use crate::each::{Each, Mode, Outcome, Subject, Words};
use crate::failure::Failure;
use crate::output::Output;
use chrono::Utc;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, DeadLetter};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::transport::link::Arrival;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What is done with the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// They run again.
    Redrive,
    /// They are thrown away.
    Discard,
}

impl What {
    pub(super) const fn words(self) -> Words {
        Words {
            things: ["dead message", "dead messages"],
            done: match self {
                Self::Redrive => "redriven",
                Self::Discard => "discarded",
            },
        }
    }

    const fn action(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }
}

/// A message of the queue that was chosen.
struct Found {
    tag: u64,
    id: Uuid,
    /// Id of the task, or of the record where no task can be read.
    shown: String,
    letter: DeadLetter,
}

/// A command at work on one dead queue.
pub(super) struct Dealing<'a> {
    platform: &'a Platform,
    what: What,
    mode: Mode,
    doer: Doer,
    limit: usize,
    chosen: Chosen,
    sender: Sender,
    /// The latest run of each task that was sent.
    sent: HashMap<TaskId, i32>,
    /// Records of which a message was taken out.
    handled: HashSet<Uuid>,
    /// Messages that name no task and were sent as they are.
    unread: usize,
    each: Each<'a>,
}

impl<'a> Dealing<'a> {
    pub(super) async fn new(
        platform: &'a Platform,
        (what, mode, limit): (What, Mode, usize),
        choice: Choice,
        doer: Doer,
        output: &'a mut Output,
    ) -> Result<Self, Failure> {
        choice
            .which
            .tell_if_no_reason(Some(&choice.service), &*platform.store)
            .await?;
        let chosen = choice.look_up(&*platform.store).await?;
        let count = chosen.unseen.len().min(limit);
        let will = if mode == Mode::DryRun {
            "would"
        } else {
            "will"
        };
        eprintln!(
            "{} {will} be {}, as far as the platform was told of them",
            what.words().count(count),
            what.words().done
        );
        let each = Each::begin(output, what.words(), mode, None);
        each.expect(count);
        Ok(Self {
            platform,
            what,
            mode,
            doer,
            limit,
            chosen,
            sender: Sender::new(&*platform.transport),
            sent: HashMap::new(),
            handled: HashSet::new(),
            unread: 0,
            each,
        })
    }

    /// Goes through the queue, and tells.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let done = self.walk().await;
        if self.unread > 0 {
            eprintln!(
                "{} named no task: sent as they are, they can be followed in the log of the worker alone",
                self.what.words().count(self.unread)
            );
        }
        self.each.end_after(done)
    }

    async fn walk(&mut self) -> Result<(), Failure> {
        let queue = self.platform.names.dead_queue(self.chosen.service());
        let mut walk = Walk::begin(&self.platform.transport, &queue).await?;
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
                self.deal(found, &mut walk).await?;
            }
        }
        walk.end().await?;
        if left > 0 {
            self.without_messages().await?;
        }
        Ok(())
    }

    fn choose(&self, page: Vec<Arrival>) -> Vec<Found> {
        let letters = page
            .into_iter()
            .map(|arrival| self.platform.letter(arrival));
        let found = letters.map(|(tag, letter)| {
            let id = letter.id();
            Found {
                tag,
                id,
                shown: match &letter.task_id {
                    Some(task_id) => task_id.to_string(),
                    None => id.to_string(),
                },
                letter,
            }
        });
        found
            .filter(|found| self.chosen.includes(found.id, &found.letter))
            .collect()
    }

    async fn deal(&mut self, found: Vec<Found>, walk: &mut Walk) -> Result<(), Failure> {
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
        let outcomes = match self.what {
            What::Redrive => self.redrive(&found, &rows, &mut batch).await?,
            What::Discard => found.iter().map(|_| Outcome::Done(None)).collect(),
        };
        let done = || {
            found
                .iter()
                .zip(&outcomes)
                .filter(|(_, o)| matches!(o, Outcome::Done(_)))
        };
        if self.mode == Mode::Do {
            for (found, _) in done() {
                if self.what == What::Discard {
                    self.note(found, &rows, &mut batch);
                }
                batch.handle_dead(found.letter.clone());
                self.handled.insert(found.id);
            }
            self.platform.store.apply(&batch).await.map_err(|error| {
                Failure::from(error).context(
                    "the last messages could not be recorded and are still in the dead queue; repeated, the command does the same with them once more",
                )
            })?;
            let tags: Vec<_> = done().map(|(found, _)| found.tag).collect();
            walk.remove(&tags).await?;
        }
        for (found, outcome) in found.iter().zip(&outcomes) {
            self.each.tell(subject(found), outcome);
        }
        Ok(())
    }

    /// Sends the messages that are to be sent, and adds those that were to `batch`.
    async fn redrive(
        &mut self,
        found: &[Found],
        rows: &HashMap<TaskId, TaskRow>,
        batch: &mut Batch,
    ) -> Result<Vec<Outcome>, Failure> {
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
                (Ok(()), Some(copy)) => batch.rerun(copy, self.doer.deed(self.what.action())),
                (Ok(()), None) => self.unread += 1,
                (Err(error), _) => {
                    outcomes[*place] = Outcome::Failed(ErrorChain(&error).to_string());
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
            let deed = self.doer.deed(self.what.action());
            batch.note(&row.task_id, row.attempt(), row.state, deed);
        }
    }

    /// The whole queue was seen: records without a message in it are told, or forgotten.
    async fn without_messages(&mut self) -> Result<(), Failure> {
        let mut batch = Batch::new();
        self.handled.iter().for_each(|id| batch.forget_dead(*id));
        let unseen = std::mem::take(&mut self.chosen.unseen);
        let queue = self.platform.names.dead_queue(self.chosen.service());
        for (id, record) in &unseen {
            self.chosen.met(*id, record.task_id.as_deref());
            let outcome = match self.what {
                What::Discard => {
                    batch.forget_dead(*id);
                    Outcome::Done(Some(format!("its message was not in {queue} any more")))
                }
                What::Redrive => Outcome::Failed(format!(
                    "its message is not in {queue} any more: `task rerun` runs the task again, `dead discard` forgets the record"
                )),
            };
            let id = id.to_string();
            let subject = Subject {
                id: record.task_id.as_deref().unwrap_or(&id),
                task_id: record.task_id.as_deref(),
                name: record.name.as_deref(),
            };
            self.each.tell(subject, &outcome);
        }
        if self.mode == Mode::Do && !batch.is_empty() {
            self.platform.store.apply(&batch).await?;
        }
        let why = format!("no message that was chosen has this id or is of this task in {queue}");
        self.each.nobodys(&self.chosen.unmet, &why);
        Ok(())
    }
}

fn subject(found: &Found) -> Subject<'_> {
    let DeadLetter { task_id, name, .. } = &found.letter;
    Subject {
        id: &found.shown,
        task_id: task_id.as_ref().map(|id| id.as_str()),
        name: name.as_deref(),
    }
}
