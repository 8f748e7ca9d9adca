//! A task's message as a new run: what people ask for when they run a task again.

use super::content::Content;
use super::decode::{TaskMessage, Undecodable};
use super::encode::{encode_again, with_body_of};
use super::envelope::{Envelope, MAX_COUNT};
use super::names;
use crate::state::Lineage;
use chrono::{DateTime, Utc};

/// The task of `content` as its run `run`, byte for byte the same body.
///
/// Nothing is behind the new run: no retries, rescues, restarts or deliveries, and no checkpoint, so that it does
/// all of the work. Headers are written from scratch,
/// without the traces of brokers and the reason of a death; what the sender set is kept: family,
/// session, creator, priority, limits, its own headers. `eta` and `expires` are kept while they lie
/// ahead of `now`: a task whose time is over would not run. A protocol 1 message, which cannot say
/// which run it is, is written as protocol 2.
///
/// ```
/// use chrono::Utc;
/// use counterfoil_toolbox::message::{TaskMessage, encode_run};
///
/// # let mut envelope = counterfoil_toolbox::message::Envelope::new("t1".parse()?, "demo.add".parse()?);
/// # envelope.retries = 3;
/// # let dead = counterfoil_toolbox::message::encode(&envelope, "[2, 3]", "{}");
/// let anew = encode_run(&dead, 1, Utc::now())?; // it has failed after three retries
/// let envelope = TaskMessage::decode(&anew)?.envelope;
/// assert_eq!((envelope.lineage.run, envelope.retries), (1, 0));
/// assert_eq!(anew.body, dead.body);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Undecodable`]: the headers do not say which task it is, or it was run too often to count.
pub fn encode_run(content: &Content, run: i32, now: DateTime<Utc>) -> Result<Content, Undecodable> {
    if !(0..=MAX_COUNT).contains(&run) {
        return Err(Undecodable {
            reason: format!("{run} runs cannot be counted"),
            envelope: None,
        });
    }
    match TaskMessage::decode(content) {
        Ok(task) => Ok(encode_again(
            content,
            &renewed(task.envelope, run, now),
            &task.payload,
        )),
        Err(Undecodable {
            envelope: Some(envelope),
            ..
        }) => Ok(with_body_of(content, &renewed(*envelope, run, now))),
        Err(undecodable) => Err(undecodable),
    }
}

/// A message that is no readable task as it may be published again: byte for byte the same body, and
/// one run more, so that it is another message than before.
///
/// ```
/// use counterfoil_toolbox::message::{Content, encode_unread, names};
///
/// let unread = Content::json("{ no task"); // its reader is mended by now
/// let again = encode_unread(&unread);
/// assert_eq!(again.body, unread.body);
/// assert_eq!(again.headers.int(names::RUN), Some(1));
/// ```
#[must_use]
pub fn encode_unread(content: &Content) -> Content {
    let mut content = content.clone().without_broker_headers();
    content
        .headers
        .retain(|name| name != names::REASON && name != names::REASON_TEXT);
    let runs = content.headers.int(names::RUN).unwrap_or(0);
    let run = runs.clamp(0, i64::from(MAX_COUNT) - 1) + 1;
    content.headers.set(names::RUN, run);
    content.properties.persistent = true;
    content
}

fn renewed(mut envelope: Envelope, run: i32, now: DateTime<Utc>) -> Envelope {
    envelope.lineage = Lineage {
        run,
        ..Lineage::default()
    };
    envelope.retries = 0;
    envelope.tries_before = 0;
    envelope.deliveries_before = 0;
    envelope.restarts = 0;
    envelope.checkpoint = None;
    envelope.eta = envelope.eta.filter(|eta| *eta > now);
    envelope.expires = envelope.expires.filter(|expires| *expires > now);
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HeaderValue;

    const BODY: &str = "[ [1.50],  {\"b\": 1, \"a\": 2}, {\"chain\": null} ]";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    /// As it lies in a dead queue after three retries and two rescues.
    fn dead() -> Content {
        let mut content = Content::json(BODY);
        let headers = &mut content.headers;
        headers.push("task", "export.project");
        headers.push("id", "t1");
        headers.push("root_id", "t0");
        headers.push("parent_id", "t0");
        headers.push("retries", 3);
        headers.push("eta", "2020-01-01T00:00:00+00:00");
        headers.push("expires", "2020-01-02T00:00:00+00:00");
        headers.push("argsrepr", "(1.5,)");
        headers.push("stamp", "kept");
        headers.push(names::RUN, 4);
        headers.push(names::RESCUE, 2);
        headers.push(names::EXECUTIONS, 7);
        headers.push(names::TRIES_BEFORE, 1);
        headers.push(names::DELIVERIES_BEFORE, 2);
        headers.push(names::MAX_RETRIES, 9);
        headers.push(names::CHECKPOINT, "41");
        headers.push(names::SESSION, "s1");
        headers.push(names::REASON, "exhausted");
        headers.push(names::REASON_TEXT, "the third of three");
        headers.push(names::DELIVERY_COUNT, 5);
        headers.push("x-death", HeaderValue::List(vec![]));
        headers.push("x-first-death-reason", "delivery_limit");
        content.properties.priority = Some(7);
        content.properties.expiration = Some("1000".into());
        content.properties.user_id = Some("svc_demo".into());
        content
    }

    #[test]
    fn a_new_run_has_the_same_body_and_nothing_behind_it() {
        let anew = encode_run(&dead(), 5, now()).expect("a task");
        assert_eq!(&anew.body[..], BODY.as_bytes());
        let envelope = TaskMessage::decode(&anew).expect("a task").envelope;
        let run = Lineage {
            run: 5,
            ..Lineage::default()
        };
        assert_eq!((envelope.lineage, envelope.retries), (run, 0));
        assert_eq!((envelope.tries_before, envelope.checkpoint), (0, None));
        assert_eq!(envelope.deliveries_before, 0);
        assert_eq!(envelope.max_retries, Some(9));
        assert_eq!(
            (envelope.root_id.as_str(), envelope.priority),
            ("t0", Some(7))
        );
        assert_eq!(envelope.session_id.as_deref(), Some("s1"));
        assert_eq!(anew.headers.text("stamp"), Some("kept"));
        assert_eq!(anew.headers.text("argsrepr"), Some("(1.5,)"));
        let gone = |name: &str| name.starts_with("x-") || name.starts_with("counterfoil-reason");
        assert!(anew.headers.iter().all(|(name, _)| !gone(name)), "{anew:?}");
        assert_eq!(
            (anew.properties.expiration, anew.properties.user_id),
            (None, None)
        );
    }

    #[test]
    fn times_that_are_over_are_dropped_and_those_ahead_are_kept() {
        let anew = encode_run(&dead(), 5, now()).expect("a task");
        let envelope = TaskMessage::decode(&anew).expect("a task").envelope;
        assert_eq!((envelope.eta, envelope.expires), (None, None));
        let mut ahead = dead();
        ahead.headers.set("expires", "2100-01-01T00:00:00+00:00");
        let anew = encode_run(&ahead, 5, now()).expect("a task");
        let envelope = TaskMessage::decode(&anew).expect("a task").envelope;
        assert!(envelope.expires.is_some());
    }

    #[test]
    fn a_body_that_nobody_can_read_runs_again_as_it_is_when_its_headers_name_the_task() {
        let mut content = dead();
        content.body = vec![0xff, 0].into();
        content.headers.push("compression", "application/x-gzip");
        let anew = encode_run(&content, 1, now()).expect("named by its headers");
        assert_eq!(&anew.body[..], [0xff, 0]);
        assert_eq!(anew.headers.int(names::RUN), Some(1));
        assert_eq!(anew.headers.text("compression"), Some("application/x-gzip"));
    }

    #[test]
    fn a_protocol_1_message_becomes_one_that_can_tell_its_run() {
        let old =
            Content::json(r#"{"task": "demo.add", "id": "t1", "args": [1, 2], "retries": 3}"#);
        let task = TaskMessage::decode(&encode_run(&old, 1, now()).expect("a task"));
        let task = task.expect("a task");
        assert_eq!((task.envelope.lineage.run, task.envelope.retries), (1, 0));
        assert_eq!(task.payload.args(), "[1, 2]");
    }

    #[test]
    fn what_names_no_task_has_no_runs_but_can_be_sent_as_it_is() {
        let mut content = Content::json("{ not JSON");
        content.headers.push("mine", "kept");
        content.headers.push(names::REASON, "undecodable");
        content.headers.push("x-death", HeaderValue::List(vec![]));
        assert!(encode_run(&content, 1, now()).is_err());
        assert!(encode_run(&dead(), MAX_COUNT + 1, now()).is_err());
        let first = encode_unread(&content);
        assert_eq!(&first.body[..], b"{ not JSON");
        assert_eq!(
            (first.headers.text("mine"), first.headers.len()),
            (Some("kept"), 2)
        );
        assert_eq!(encode_unread(&first).headers.int(names::RUN), Some(2));
    }
}
