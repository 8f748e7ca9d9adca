//! Chords: groups of tasks that a `celery.chord_unlock` waits for. When all of them are over, what became of them is sent,
//! through the outbox, in the transaction that forgets the chord.
//!
//! Members may be tasks of ours, tasks of Celery's workers that write into the table of results, or steps of chains that
//! are never taken.

use crate::batch::Batch;
use crate::celery::rows::exception_of;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::chord::Chord;
use counterfoil_toolbox::ids::TaskId;
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

    /// Adds that these tasks were revoked by Celery's remote control. Callers in Python are told so of those that nobody
    /// has begun; what becomes of them otherwise is told of them as of all.
    pub fn revoked_by_celery(&mut self, ids: &[TaskId]) {
        self.revoked.extend(ids.iter().cloned());
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
        let (exception, key) = (exception.to_string(), change.state.key);
        let steps = told.skipped.iter();
        skipped.extend(steps.map(|step| {
            json!({
                "id": step.id, "after": change.task_id, "run": key.run, "rescue": key.rescue,
                "executions": key.executions, "deliveries": key.deliveries, "tries": key.tries, "rank": key.rank,
                "event_id": key.event_id, "exception": exception,
            })
        }));
    }
    (!skipped.is_empty()).then(|| Value::from(skipped).to_string())
}

/// Tasks of a batch that people run again, and those that succeeded in such a run: what was skipped of the one, or because
/// of the other, may be sent now. As a statement takes them. `None`: there are none.
pub(crate) fn no_more_skipped(batch: &Batch) -> Option<(String, String)> {
    let (mut again, mut succeeded) = (Vec::new(), Vec::new());
    for change in batch.tasks.values() {
        if change.copy.as_ref().is_some_and(|copy| copy.key.run > 0) {
            again.push(&change.task_id);
        }
        let state = &change.state;
        if state.key.run > 0 && state.state == TaskState::Success {
            succeeded.push(&change.task_id);
        }
    }
    let are_none = again.is_empty() && succeeded.is_empty();
    (!are_none).then(|| (json!(again).to_string(), json!(succeeded).to_string()))
}

/// A chord, column by column.
#[derive(Debug, FromRow)]
pub(crate) struct ChordRow {
    pub(crate) service: String,
    root_id: String,
    parent_id: String,
    args: String,
    kwargs: String,
    /// Position of the first task that was not over when somebody looked.
    pub(crate) waits_from: i32,
    /// Its time is over.
    pub(crate) is_late: bool,
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
            within_s: None,
        })
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
            if let Some((again, succeeded)) = crate::celery::no_more_skipped(batch) {
                let forgotten = query(sql.delete_skipped).bind(again).bind(succeeded);
                forgotten.execute(&mut *tx).await?;
            }
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
                    .bind(first.as_str())
                    .bind(chord.within_s);
                written.execute(&mut *tx).await?;
                let members = serde_json::json!(chord.members).to_string();
                let written = query(sql.insert_chord_members).bind(id.as_str());
                written.bind(members).execute(&mut *tx).await?;
            }
            Ok(())
        }

        /// Takes back what callers were told of tasks of a batch that were never to be sent: they were.
        async fn take_back_skipped(
            tx: &mut <$db as sqlx::Database>::Connection,
            sql: &Statements,
            batch: &Batch,
        ) -> Result<(), sqlx::Error> {
            if batch.tasks.is_empty() {
                return Ok(());
            }
            let ids: Vec<_> = batch.tasks.keys().collect();
            let gone = query(sql.delete_skipped_results);
            let gone = gone.bind(serde_json::json!(ids).to_string());
            gone.execute(tx).await.map(drop)
        }

        /// Notes of which tasks that are never sent callers were told so.
        async fn mark_told(
            tx: &mut <$db as sqlx::Database>::Connection,
            sql: &Statements,
            told: Vec<(String,)>,
        ) -> Result<(), sqlx::Error> {
            if told.is_empty() {
                return Ok(());
            }
            let ids: Vec<_> = told.into_iter().map(|(id,)| id).collect();
            let marked = query(sql.mark_skipped_told);
            let marked = marked.bind(serde_json::json!(ids).to_string());
            marked.execute(tx).await.map(drop)
        }

        /// Looks whether all members of a chord are over. `true`: they are, and that is told, or `instead` of it.
        pub(super) async fn unlock_chord(
            tx: &mut <$db as sqlx::Database>::Connection,
            (sql, celery): (&Statements, Option<&Keeping>),
            id: &str,
            instead: Option<&crate::celery::Outcome>,
        ) -> Result<bool, sqlx::Error> {
            let chord = sqlx::query_as::<_, crate::celery::ChordRow>(sql.chord).bind(id);
            let Some(row) = chord.fetch_optional(&mut *tx).await? else {
                return Ok(false);
            };
            let (waits_for, members) = match celery {
                Some(_) => (sql.told_chord_waits_for, sql.told_chord_members),
                None => (sql.chord_waits_for, sql.chord_members),
            };
            let waits_for = first_not_over(&mut *tx, waits_for, id, row.waits_from).await?;
            let outcome = match (waits_for, instead) {
                (Some((task_id, _)), _) if row.is_late => crate::celery::late(&task_id),
                (Some((task_id, position)), _) => {
                    let moved = query(sql.move_chord).bind(id).bind(task_id);
                    moved.bind(position).execute(&mut *tx).await?;
                    return Ok(false);
                }
                (None, Some(outcome)) => outcome.clone(),
                (None, None) => outcome_of(&mut *tx, members, id).await?,
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

        /// The first task of a chord that is not over, and its position. Those before this one were over, and people may
        /// have run them again since: they are looked at once more when all others are.
        async fn first_not_over(
            tx: &mut <$db as sqlx::Database>::Connection,
            waits_for: &'static str,
            id: &str,
            from: i32,
        ) -> Result<Option<(String, i32)>, sqlx::Error> {
            for from in [Some(from), (from > 0).then_some(0)].into_iter().flatten() {
                let found = sqlx::query_as::<_, (String, i32)>(waits_for)
                    .bind(id)
                    .bind(from);
                if let Some(found) = found.fetch_optional(&mut *tx).await? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }

        /// What became of the members of a chord, which are over. No more than a message holds is asked for of their results.
        async fn outcome_of(
            tx: &mut <$db as sqlx::Database>::Connection,
            members: &'static str,
            id: &str,
        ) -> Result<crate::celery::Outcome, sqlx::Error> {
            use futures::TryStreamExt;
            let mut ends = crate::celery::Ends::default();
            let members = sqlx::query_as::<_, crate::celery::MemberRow>(members).bind(id);
            let members = members.bind(crate::celery::MOST_OF_CHORD);
            let mut members = members.fetch(tx);
            while let Some(member) = members.try_next().await? {
                if ends.add(&member).is_break() {
                    break;
                }
            }
            Ok(ends.outcome())
        }
    };
}
pub(crate) use chord_steps;

/// What keys of the outbox begin with that belong to chords.
pub(crate) const CHORD: &str = "chord:";
