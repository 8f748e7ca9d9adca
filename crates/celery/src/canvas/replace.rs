//! A signature in the place of the task that is running.

use super::call::Calls;
use super::embed::Embed;
use super::message::{Ids, Parent, Place};
use super::send::routes_of;
use super::signature::{Kind, Signature};
use chrono::Utc;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::{Content, Envelope, Headers, encode};
use counterfoil_worker::extension::{Message, Replacement, Subject};
use counterfoil_worker::{Context, TaskError};
use serde_json::json;
use std::time::Duration;

/// How long a chain or chord may take until its last step is sent.
const WITHIN: Duration = Duration::from_hours(24);

/// Lets a signature go on in the place of the handler's task, as Celery's `Task.replace` does: return what this
/// returns. The task's id is that of the last step, which has its callbacks, and what comes after the task comes after it;
/// whoever waits for the task gets that one's result. Of a group it is the list of results. The worker has to have the
/// extension [`Celery`](crate::Celery).
///
/// ```
/// use counterfoil_celery::{Celery, Signature, chain, replace};
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_toolbox::config::BrokerSettings;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Import { file: String }
/// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
///
/// async fn import(task: Import, cx: Context) -> Result<u32, TaskError> {
///     let fetch = Signature::task("files.fetch").arg(task.file);
///     Err(replace(&cx, &chain![fetch, Signature::task("parcels.read")]))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let celery = Celery::new(&BrokerSettings::default().names()?);
/// let done = Perform::new(Import { file: "a.csv".to_owned() });
/// let done = done.by(|worker| worker.handle(import).extension(celery)).await?;
/// assert!(done.scheduled().to_string().contains("files.fetch [\"a.csv\"]"));
/// # Ok(()) }
/// ```
///
/// A signature that cannot be called fails the task.
#[must_use = "the task is replaced only when its handler returns this"]
pub fn replace(cx: &Context, signature: &Signature) -> TaskError {
    match replacement(cx, signature) {
        Ok(replacement) => TaskError::replaced(replacement),
        Err(why) => TaskError::fail(format!("it cannot be replaced: {why}")),
    }
}

fn replacement(cx: &Context, signature: &Signature) -> Result<Replacement, String> {
    signature.is_flat_enough()?;
    let (message, routes) = (cx.message(), routes_of(cx)?);
    let embed = Embed::of(&message)?;
    let parent = Parent::of(&message, routes, Utc::now(), Ids::Follow);
    let nesting = message.envelope.extra.int("replaced_task_nesting");
    let nesting = nesting.unwrap_or(0).saturating_add(1);
    let by = described(signature)?;
    let signature = in_place(signature, &message, &embed, nesting)?;
    let mut chain = embed.chain;
    for step in &mut chain {
        step.change(|options| options.set("replaced_task_nesting", &nesting));
    }
    let extra = &message.envelope.extra;
    let group = extra.text("group").map(TaskId::new).transpose();
    let group = group.map_err(|error| error.to_string())?;
    let index = extra
        .int("group_index")
        .and_then(|index| index.try_into().ok());
    let place = Place {
        chain: (!chain.is_empty()).then_some(chain),
        group: group.map(|group| (group, index.unwrap_or(0))),
        chord: embed.chord,
        ..Place::default()
    };
    let path = format!("replaced.{}", message.lineage.executions);
    let mut calls = Calls::by(parent);
    calls.call(&signature, place, &path)?;
    let id = &message.envelope.id;
    let is_among = calls
        .messages
        .iter()
        .any(|message| id_of(message) == Some(id.as_str()));
    Ok(Replacement {
        by,
        within: if is_among { Duration::ZERO } else { WITHIN },
        messages: calls.messages,
    })
}

fn id_of(message: &Message) -> Option<&str> {
    match message {
        Message::Task { publication, .. } => publication.content.headers.text("id"),
        Message::Answer { .. } | Message::Platform(_) | Message::After(_) => None,
    }
}

fn described(signature: &Signature) -> Result<String, String> {
    Ok(match signature.kind()? {
        Kind::Task => signature.name()?.to_string(),
        Kind::Chain(steps) => format!("a chain of {} tasks", steps.len()),
        Kind::Group(members) => format!("a group of {} tasks", members.len()),
        Kind::Chord => "a chord".to_owned(),
    })
}

/// The signature with what the task has: its id, its callbacks, whom it answers.
fn in_place(
    signature: &Signature,
    task: &Subject<'_>,
    embed: &Embed,
    nesting: i64,
) -> Result<Signature, String> {
    if signature.options()?.get("chord").is_some() {
        return Err("the signature is part of a chord".to_owned());
    }
    let mut signature = with_one_end(signature.clone())?;
    let mut options = signature.options()?;
    options.link("link", &embed.callbacks)?;
    options.link("link_error", &embed.errbacks)?;
    options.set("replaced_task_nesting", &nesting);
    signature = signature.with_options(&options);
    if let Kind::Chain(_) = signature.kind()? {
        signature.change_within(&mut |step| {
            step.change(|options| options.set("replaced_task_nesting", &nesting));
        });
    }
    let own = of_the_task(task);
    at_the_end(&mut signature, &mut |last| {
        last.change(|options| {
            options.set("task_id", &task.envelope.id);
            if let (Some(queue), None) = (&task.envelope.reply_to, options.get("reply_to")) {
                options.set("reply_to", queue);
            }
            if let (Some(ignored), None) =
                (task.envelope.ignore_result, options.get("ignore_result"))
            {
                options.set("ignore_result", &ignored);
            }
            for (name, value) in own.iter() {
                options.set_header(name, &value.to_json());
            }
        });
    })?;
    Ok(signature)
}

/// A group has many results, and the task one: the list of them. So a group at the end gets a step behind it.
fn with_one_end(mut signature: Signature) -> Result<Signature, String> {
    let list = || Signature::plain("celery.accumulate", &[], &json!({"index": 0}));
    match signature.kind()? {
        Kind::Task => {}
        Kind::Group(_) => return Ok(Signature::chord_of(&signature, &list())),
        Kind::Chain(mut steps) => {
            let last = steps.pop().ok_or("the chain has no step")?;
            match last.kind()? {
                Kind::Group(_) => return signature.with_step(list()),
                Kind::Task | Kind::Chain(_) | Kind::Chord => steps.push(with_one_end(last)?),
            }
            signature.set_kwarg("tasks", &steps)?;
        }
        Kind::Chord => {
            let body = signature.body()?.ok_or("a chord has no body")?;
            signature.set_kwarg("body", &with_one_end(body)?)?;
        }
    }
    Ok(signature)
}

/// Changes the task whose result is that of the signature.
fn at_the_end(
    signature: &mut Signature,
    change: &mut dyn FnMut(&mut Signature),
) -> Result<(), String> {
    match signature.kind()? {
        Kind::Task | Kind::Group(_) => {
            change(signature);
            Ok(())
        }
        Kind::Chain(mut steps) => {
            let last = steps.last_mut().ok_or("a chain has no step")?;
            at_the_end(last, change)?;
            signature.set_kwarg("tasks", &steps)
        }
        Kind::Chord => {
            let mut body = signature.body()?.ok_or("a chord has no body")?;
            at_the_end(&mut body, change)?;
            signature.set_kwarg("body", &body)
        }
    }
}

/// What the platform has to know of the task's next attempt: headers of counterfoil's.
fn of_the_task(task: &Subject<'_>) -> Headers {
    let mut next = Envelope::new(task.envelope.id.clone(), task.envelope.name.clone());
    next.lineage = task.lineage;
    (next.lineage.executions, next.lineage.tries) = (task.lineage.retries().saturating_add(1), 0);
    let Envelope {
        session_id,
        creator_id,
        related,
        identifier,
        is_result,
        retention,
        sent_at,
        ..
    } = task.envelope;
    next.session_id.clone_from(session_id);
    next.creator_id.clone_from(creator_id);
    next.related.clone_from(related);
    next.identifier.clone_from(identifier);
    (next.is_result, next.retention, next.sent_at) = (*is_result, *retention, *sent_at);
    let Content { headers, .. } = encode(&next, "[]", "{}");
    let ours = headers
        .iter()
        .filter(|(name, _)| name.starts_with("counterfoil-"));
    let mut own = Headers::new();
    for (name, value) in ours {
        own.push(name.to_owned(), value.clone());
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain;

    #[test]
    fn whatever_a_signature_ends_with_one_task_has_its_id() {
        let one = || Signature::task("tasks.add");
        let group = || Signature::group([one(), one()]);
        for signature in [
            one(),
            group(),
            chain![one(), group()],
            chain![one(), chain![one(), group()]],
            Signature::chord([one()], group()),
            chain![one(), Signature::chord([one()], chain![one(), group()])],
        ] {
            let mut ended = with_one_end(signature).expect("a signature");
            let mut named = Vec::new();
            at_the_end(&mut ended, &mut |last| {
                named.push(last.name().expect("a name").to_string());
            })
            .expect("it has an end");
            let [name] = &named[..] else {
                panic!("{named:?}");
            };
            assert!(
                ["tasks.add", "celery.accumulate"].contains(&&**name),
                "{ended:?}"
            );
        }
    }
}
