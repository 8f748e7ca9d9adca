//! Chords: groups of tasks that a `celery.chord_unlock` waits for. When all of them are over, what became of them is sent,
//! through the outbox, in the transaction that forgets the chord.
//!
//! Members may be tasks of ours, tasks of Celery's workers that write into the table of results, or steps of chains that
//! are never taken.

use super::unpickle::unpickle;
use crate::batch::Batch;
use crate::celery::rows::exception_of;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::chord::{Chord, Outcome};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::FromRow;

/// A chord whose members are waited for.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) chord: Chord,
    /// Who told of it, and gets the answer.
    pub(crate) service: Box<str>,
}

impl Batch {
    /// Adds that a worker of this service waits for a group of tasks. What is told twice is known once.
    pub fn chord(&mut self, chord: &Chord, service: &str) {
        let awaited = Awaited {
            chord: chord.clone(),
            service: service.into(),
        };
        self.chords.insert(chord.id.clone(), awaited);
    }
}

/// Tasks of a batch that will never be sent, and why, as a statement takes them. `None`: there are none.
pub(crate) fn skipped(batch: &Batch) -> Option<String> {
    let mut skipped = Vec::new();
    for change in batch.tasks.values() {
        let Some(told) = change.state.told.as_deref() else {
            continue;
        };
        if told.skipped.is_empty() {
            continue;
        }
        let exception = exception_of(change, told.because.as_ref()).to_celery();
        let exception = exception.to_string();
        let steps = told.skipped.iter();
        skipped.extend(steps.map(|step| json!({"id": step.id, "exception": exception})));
    }
    (!skipped.is_empty()).then(|| Value::from(skipped).to_string())
}

/// A chord, column by column.
#[derive(Debug, FromRow)]
pub(crate) struct ChordRow {
    pub(crate) service: String,
    root_id: String,
    parent_id: String,
    args: String,
    kwargs: String,
}

impl ChordRow {
    /// `None`: somebody changed the row so that nobody can read it.
    pub(crate) fn chord(&self, id: &str) -> Option<Chord> {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
        Some(Chord {
            id: TaskId::new(id).ok()?,
            root_id: TaskId::new(&self.root_id).ok()?,
            parent_id: TaskId::new(&self.parent_id).ok()?,
            args: raw(&self.args)?,
            kwargs: raw(&self.kwargs)?,
            members: Vec::new(),
        })
    }
}

/// What is known of a member.
#[derive(Debug, Default, FromRow)]
pub(crate) struct MemberRow {
    task_id: String,
    state: Option<String>,
    worker: Option<String>,
    result: Option<String>,
    error_message: Option<String>,
    /// Why it is never sent.
    exception: Option<String>,
    /// What callers in Python are told.
    status: Option<String>,
    told: Option<Vec<u8>>,
}

/// What became of the members.
#[derive(Debug)]
pub(crate) enum Look {
    /// This one is not over.
    WaitsFor(String),
    Over(Outcome),
}

/// What became of one member.
enum End {
    Success(Box<RawValue>),
    Failure {
        exception: Option<Value>,
        message: String,
    },
}

/// What became of all members, which are in the order of their results.
pub(crate) fn look(members: Vec<MemberRow>) -> Look {
    let mut ends = Vec::with_capacity(members.len());
    for member in &members {
        match end(member) {
            Some(end) => ends.push(end),
            None => return Look::WaitsFor(member.task_id.clone()),
        }
    }
    let mut results = Vec::with_capacity(ends.len());
    for (member, end) in members.iter().zip(ends) {
        match end {
            End::Success(result) => results.push(result),
            End::Failure { exception, message } => {
                return Look::Over(Outcome::Failed {
                    id: TaskId::new(&member.task_id).ok(),
                    exception,
                    message: message.into(),
                });
            }
        }
    }
    Look::Over(Outcome::Results(results))
}

/// `None`: it is not over.
fn end(member: &MemberRow) -> Option<End> {
    let state: Option<TaskState> = member.state.as_deref().and_then(|state| state.parse().ok());
    let state = state.filter(|state| state.is_terminal());
    let worker = member
        .worker
        .as_deref()
        .and_then(|id| WorkerId::new(id).ok());
    let is_ours = worker.is_some_and(|worker| worker.is_of_a_process());
    let told = || member.told.as_deref().and_then(read);
    let raw = |json: &str| RawValue::from_string(json.to_owned()).ok();
    match (state, member.status.as_deref()) {
        // Of ours everything is known, of Celery's tasks what their workers wrote.
        (Some(TaskState::Success), _) if is_ours => {
            let result = member.result.as_deref().unwrap_or("null");
            raw(result).map(End::Success)
        }
        (_, Some("SUCCESS")) => match told() {
            Some(result) => raw(&result).map(End::Success),
            None => Some(End::Failure {
                exception: None,
                message: "its result cannot be read: it is neither JSON nor a pickle of plain data"
                    .to_owned(),
            }),
        },
        (_, Some("FAILURE" | "REVOKED")) => {
            let exception = told().and_then(|json| serde_json::from_str(&json).ok());
            Some(failure(member, exception))
        }
        (Some(TaskState::Success), _) => {
            let result = member.result.as_deref().unwrap_or("null");
            raw(result).map(End::Success)
        }
        (Some(_), _) => Some(failure(member, None)),
        (None, _) => {
            let exception = member.exception.as_deref()?;
            Some(failure(member, serde_json::from_str(exception).ok()))
        }
    }
}

fn failure(member: &MemberRow, exception: Option<Value>) -> End {
    let message = member.error_message.clone();
    End::Failure {
        exception,
        message: message.unwrap_or_else(|| "it did not succeed".to_owned()),
    }
}

/// A result of Celery's as JSON.
fn read(result: &[u8]) -> Option<String> {
    match result.first()? {
        0x80 => unpickle(result),
        _ => {
            let text = std::str::from_utf8(result).ok()?;
            let facts = counterfoil_toolbox::message::json::inspect(text);
            let is_json = facts.depth <= counterfoil_toolbox::message::json::MAX_DEPTH
                // Python writes NaN, which is none, and Celery may be told to write YAML.
                && serde_json::from_str::<&RawValue>(text).is_ok();
            is_json.then(|| text.to_owned())
        }
    }
}

/// Declares the steps that a transaction takes for chords.
macro_rules! chord_steps {
    ($db:ty) => {
        /// Writes the chords of a batch, and the tasks that are never sent.
        pub(super) async fn write_chords(
            tx: &mut <$db as sqlx::Database>::Connection,
            sql: &Statements,
            batch: &Batch,
        ) -> Result<(), sqlx::Error> {
            if let Some(skipped) = crate::celery::skipped(batch) {
                query(sql.insert_skipped)
                    .bind(skipped)
                    .execute(&mut *tx)
                    .await?;
            }
            for (id, awaited) in &batch.chords {
                let chord = &awaited.chord;
                let first = chord.members.first().unwrap_or(&chord.id);
                let written = query(sql.insert_chord)
                    .bind(id.as_str())
                    .bind(&*awaited.service)
                    .bind(chord.root_id.as_str())
                    .bind(chord.parent_id.as_str())
                    .bind(chord.args.get())
                    .bind(chord.kwargs.get())
                    .bind(first.as_str());
                written.execute(&mut *tx).await?;
                let members = serde_json::json!(chord.members).to_string();
                let written = query(sql.insert_chord_members).bind(id.as_str());
                written.bind(members).execute(&mut *tx).await?;
            }
            Ok(())
        }

        /// Looks whether all members of a chord are over. `true`: they are, and that is told.
        pub(super) async fn unlock_chord(
            tx: &mut <$db as sqlx::Database>::Connection,
            sql: &Statements,
            celery: Option<&Keeping>,
            id: &str,
        ) -> Result<bool, sqlx::Error> {
            let chord = sqlx::query_as::<_, crate::celery::ChordRow>(sql.chord).bind(id);
            let Some(row) = chord.fetch_optional(&mut *tx).await? else {
                return Ok(false);
            };
            let members = match celery {
                Some(_) => sql.told_chord_members,
                None => sql.chord_members,
            };
            let members = sqlx::query_as(members).bind(id).fetch_all(&mut *tx).await?;
            let outcome = match crate::celery::look(members) {
                crate::celery::Look::Over(outcome) => outcome,
                crate::celery::Look::WaitsFor(task_id) => {
                    let moved = query(sql.move_chord).bind(id).bind(task_id);
                    moved.execute(&mut *tx).await?;
                    return Ok(false);
                }
            };
            let message = row
                .chord(id)
                .map(|chord| chord.message(&row.service, &outcome));
            match message {
                Some(Ok((routing_key, content))) => {
                    let key = format!("{}{id}", crate::celery::CHORD);
                    hand_over(&mut *tx, sql, &key, &routing_key, &content).await?;
                }
                Some(Err(reason)) => {
                    tracing::error!(task_id = id, reason, "the body of a chord cannot be called")
                }
                None => tracing::error!(
                    task_id = id,
                    "the body of a chord cannot be called: its row cannot be read"
                ),
            }
            for statement in [sql.delete_chord, sql.delete_chord_members] {
                query(statement).bind(id).execute(&mut *tx).await?;
            }
            Ok(true)
        }
    };
}
pub(crate) use chord_steps;

/// What keys of the outbox begin with that belong to chords.
pub(crate) const CHORD: &str = "chord:";
