//! A chord: a group, and a task that gets its results.
//!
//! As with Celery's own results in a database, a task beside them, `celery.chord_unlock`, looks until all members of the
//! group are over, and then calls the body. It goes where the body goes.

use super::call::{Calls, MAX_DEPTH};
use super::message::Place;
use super::options::Options;
use super::signature::{Kind, Signature};
use crate::json::raw;
use crate::outcome::Awaited;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::chord::UNLOCK;
use serde_json::json;

/// Seconds until it looks for the first time.
const FIRST_LOOK: u32 = 1;

impl Calls<'_> {
    /// Sends the task that waits, then the header. What comes after the chord comes after its body.
    pub(super) fn chord(
        &mut self,
        signature: &Signature,
        place: Place,
        path: &str,
    ) -> Result<Awaited, String> {
        // What comes after it goes into the body, and that into the task that waits, and into each member.
        self.budget.copy(3 * (signature.size() + place.size()))?;
        let (options, header) = (signature.options()?, signature.header_of_chord()?);
        let group = header
            .id
            .unwrap_or_else(|| self.parent().id_at(&format!("{path}.header")));
        let body = self.body(signature, &options, &place, path)?;
        let (body, result) = self.with_ends(body, &format!("{path}.body"))?;
        if header.members.is_empty() {
            let nothing = Place {
                args: vec![raw(&json!([]))],
                ..Place::default()
            };
            return self.call(&body, nothing, &format!("{path}.body"));
        }
        let before = std::mem::take(&mut self.messages);
        let members = Signature::group_of(&header.members.iter().collect::<Vec<_>>());
        let mut of_group = Options::default();
        of_group.set("task_id", &group);
        let args = match signature.is_immutable()? {
            true => Vec::new(),
            false => place.args,
        };
        let of_members = Place {
            args,
            chord: Some(raw(&body)),
            options: options.clone().of_members().under(&place.options),
            ..Place::default()
        };
        let called = self.call(&members.with_options(&of_group), of_members, path)?;
        let sent = std::mem::replace(&mut self.messages, before);
        let Awaited::Group(group, results) = called else {
            return Err("the header of a chord is no group".to_owned());
        };
        let results: Vec<_> = results.iter().map(Awaited::to_json).collect();
        let first = first_task(&body, MAX_DEPTH)?;
        let key = self
            .parent()
            .routes
            .default_queue
            .is_none()
            .then(|| first.routing_key());
        let key = key.as_ref().map(|key| key.as_str());
        let unlock = unlock(&body, &signature.options()?, (&group, &results), key)?;
        self.call(&unlock, Place::default(), &format!("{path}.unlock"))?;
        self.messages.extend(sent);
        Ok(result)
    }

    /// The body with what it gets from where the chord stands.
    fn body(
        &self,
        signature: &Signature,
        options: &Options,
        place: &Place,
        path: &str,
    ) -> Result<Signature, String> {
        let body = signature.body()?.ok_or("a chord has no body")?;
        let mut outer = options.clone().of_members().under(&place.options);
        // When the members are to run, and not what comes after them.
        for when in ["countdown", "eta"] {
            outer.remove(when);
        }
        let mut own = body.options()?.under(&outer);
        if own.text("task_id").is_none() {
            let id = match options.text("task_id") {
                Some(id) => id,
                None => self.parent().id_at(&format!("{path}.body")).to_string(),
            };
            own.set("task_id", &id);
        }
        for links in ["link", "link_error"] {
            own.link(links, &options.signatures(links)?)?;
        }
        let after = match &place.chain {
            Some(chain) => chain.clone(),
            None => options.signatures("chain")?,
        };
        if !after.is_empty() {
            own.set("chain", &[after, own.signatures("chain")?].concat());
        }
        // Of the chain whose last step it is.
        for name in ["group_id", "group_index", "chord"] {
            if let Some(value) = options.get(name) {
                own.set(name, value);
            }
        }
        if let Some((group, index)) = &place.group {
            own.set("group_id", group);
            own.set("group_index", index);
        }
        if let Some(chord) = &place.chord {
            own.set("chord", chord);
        }
        Ok(body.with_options(&own))
    }
}

/// The task that waits for the members of a group, and calls the body then.
fn unlock(
    body: &Signature,
    of_chord: &Options,
    (group, results): (&counterfoil_toolbox::TaskId, &[serde_json::Value]),
    key: Option<&str>,
) -> Result<Signature, String> {
    let of_body = body.options()?;
    let mut options = Options::default();
    options.set("countdown", &FIRST_LOOK);
    options.set("ignore_result", &true);
    for name in ["exchange", "routing_key", "queue"] {
        if let Some(value) = of_body.get(name) {
            options.set(name, value);
        }
    }
    let is_routed = options
        .get("routing_key")
        .or(options.get("queue"))
        .is_some();
    if let (false, Some(key)) = (is_routed, key) {
        // As the body, since its own name leads elsewhere.
        options.set("routing_key", key);
    }
    let kwargs = json!({
        "interval": of_chord.get("interval"),
        "max_retries": of_chord.get("max_retries"),
        "result": results,
        "_chord_unlock_exchange_type": "topic",
    });
    let args = [raw(group), raw(body)];
    Ok(Signature::plain(UNLOCK, &args, &kwargs).with_options(&options))
}

/// The first task that runs of what a signature calls.
fn first_task(signature: &Signature, depth: usize) -> Result<TaskName, String> {
    let within = match signature.kind()? {
        Kind::Task => return signature.name(),
        Kind::Group(tasks) | Kind::Chain(tasks) => tasks.into_iter().next(),
        Kind::Chord => signature.header_of_chord()?.members.into_iter().next(),
    };
    match within.filter(|_| depth > 0) {
        Some(within) => first_task(&within, depth - 1),
        None => Err("the body of a chord calls no task".to_owned()),
    }
}
