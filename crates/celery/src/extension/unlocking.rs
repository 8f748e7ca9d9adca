//! What is called after the header of a chord, or said where that cannot be.

use super::Celery;
use crate::canvas::{Kind, Signature, chord_body, chord_failed};
use crate::json::raw;
use crate::unlock::{Unlock, body, callback_error};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{After, Exception, FaultKind, TaskFault};
use counterfoil_toolbox::message::{Envelope, Payload};
use counterfoil_worker::extension::{Message, Subject};

/// Longest exception of a member that each task of a group is told which is the body of a chord, in bytes of JSON.
const MOST_CAUSE: usize = 8 * 1024;

impl Celery {
    /// What a task that waits for the header of a chord does. Whoever waits for a body that cannot be called is told so, as
    /// Celery does, since nothing else will ever come of it.
    ///
    /// # Errors
    /// Why nobody can be told anything.
    pub(super) fn unlock(
        &self,
        task: &Subject<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        let payload = task.payload.ok_or("it has no arguments")?;
        let reason = match self.next_of_chord(task, payload, now) {
            Ok(messages) => return Ok(messages),
            Err(reason) => reason,
        };
        let Ok(body) = body::<Signature>(payload) else {
            return Err(reason);
        };
        let error = callback_error(&reason);
        let told = self.in_vain_for(task, (body, error), None, now);
        let told = told.map_err(|error| format!("{reason}; nor can anybody be told: {error}"))?;
        let Envelope { id, name, .. } = task.envelope;
        tracing::error!(task_id = %id, task_name = %name, reason, "the body of a chord cannot be called: it has failed");
        Ok(told)
    }

    fn next_of_chord(
        &self,
        task: &Subject<'_>,
        payload: &Payload,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        let parent = self.parent(task, now);
        let next = parent.id_at("unlocked");
        match Unlock::read(task.envelope, payload, next)? {
            Unlock::Wait(chord) => Ok(vec![Message::Platform(chord.write())]),
            Unlock::Call(results) => Ok(chord_body(parent, &body(payload)?, results)?.messages),
            Unlock::Fail { error, cause } => {
                self.in_vain_for(task, (body(payload)?, error), cause, now)
            }
        }
    }

    /// That a body will never be called, because of `error`, which came of `cause`.
    fn in_vain_for(
        &self,
        task: &Subject<'_>,
        (body, error): (Signature, Exception),
        cause: Option<Exception>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>, String> {
        // Tasks of a group are told what was raised, as Celery does.
        let exception = match body.kind()? {
            Kind::Group(_) => cause.filter(is_short).unwrap_or(error),
            Kind::Task | Kind::Chain(_) | Kind::Chord => error,
        };
        let (mut messages, skipped) = chord_failed(self.parent(task, now), body)?;
        let fault = TaskFault::new(FaultKind::Exception, exception.to_string());
        messages.extend(self.in_vain(task, &skipped, &exception, &fault, now)?);
        messages.push(Message::After(After {
            skipped: skipped.into_iter().map(|it| it.step).collect(),
            because: Some(Box::new(exception)),
            ..After::default()
        }));
        Ok(messages)
    }
}

/// Whether each task of a group can be told it.
fn is_short(exception: &Exception) -> bool {
    raw(&exception.to_celery()).get().len() <= MOST_CAUSE
}
