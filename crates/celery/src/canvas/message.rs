//! From one task that follows to its message.

use super::budget::fits_headers;
use super::options::Options;
use super::signature::{Fields, Signature};
use crate::json::{header, raw};
use crate::route::{Routes, Said};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::message::{Content, Envelope, HeaderValue, Headers, encode_with};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::origin;
use counterfoil_toolbox::telemetry::TraceContext;
use counterfoil_toolbox::transport::Publication;
use counterfoil_toolbox::{TaskId, TaskName};
use counterfoil_worker::extension::{Message, Subject};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Ids of tasks that nobody gave one follow from the task before and their place after it, so that what is sent twice
/// is the same task.
const FOLLOWERS: Uuid = Uuid::from_u128(0x6f0a_41d2_7a53_4c6e_9b0e_2d8f_51c4_aa37);

/// From where tasks are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent<'a> {
    /// The task whose handler calls them, or after which they follow. `None`: no task does.
    pub(crate) task: Option<&'a Envelope>,
    /// The queue that it came by.
    pub(crate) queue: Option<&'a QueueName>,
    pub(crate) routes: &'a Routes,
    pub(crate) now: DateTime<Utc>,
    pub(crate) ids: Ids,
}

/// Ids of tasks that nobody gave one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// They follow from the task before and their place after it, so that what is sent twice is the same task.
    Follow,
    /// Others each time.
    New,
}

/// What a task that follows gets from where it stands, beside what its signature says.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// Arguments before its own.
    pub(super) args: Vec<Box<RawValue>>,
    /// What comes after it, the last step first.
    pub(super) chain: Option<Vec<Signature>>,
    /// Its group, and its place in that.
    pub(super) group: Option<(TaskId, usize)>,
    /// What the group is the header of.
    pub(super) chord: Option<Box<RawValue>>,
    /// Options of what it is part of, which go before its own.
    pub(super) options: Options,
}

impl Place {
    /// Bytes of all that it has.
    pub(super) fn size(&self) -> usize {
        self.size_of_args() + self.size_of_rest()
    }

    pub(super) fn size_of_args(&self) -> usize {
        self.args.iter().map(|arg| arg.get().len()).sum()
    }

    pub(super) fn size_of_rest(&self) -> usize {
        let chain: usize = self.chain.iter().flatten().map(Signature::size).sum();
        let chord = self.chord.as_ref().map_or(0, |chord| chord.get().len());
        chain + chord + self.options.size()
    }
}

impl<'a> Parent<'a> {
    /// A task that a worker has.
    pub(crate) fn of(task: &Subject<'a>, routes: &'a Routes, now: DateTime<Utc>, ids: Ids) -> Self {
        Self {
            task: Some(task.envelope),
            queue: Some(task.queue),
            routes,
            now,
            ids,
        }
    }
}

impl Parent<'_> {
    /// An id for what stands at `path`.
    pub(crate) fn id_at(&self, path: &str) -> TaskId {
        match (self.ids, self.task) {
            (Ids::Follow, Some(task)) => {
                let (id, run) = (&task.id, task.lineage.run);
                let text = format!("{id} {run} {path}");
                TaskId::from(Uuid::new_v5(&FOLLOWERS, text.as_bytes()))
            }
            (Ids::New, _) | (_, None) => TaskId::random(),
        }
    }

    /// The message of a signature that is one task.
    pub(super) fn message(
        &self,
        signature: &Signature,
        place: &Place,
        id: &TaskId,
    ) -> Result<Message, String> {
        let name = signature.name()?;
        let options = signature.options()?.under(&place.options);
        let headers = self.headers(&name, id, &options, place)?;
        let mut content = Content {
            headers,
            ..Content::json("")
        };
        content.properties.reply_to = options.text("reply_to").map(Into::into);
        content.properties.priority = options
            .value("priority")
            .and_then(|it| it.as_u64())
            .map(|it| u8::try_from(it).unwrap_or(u8::MAX));
        let envelope = Envelope::from_headers(&content)?;
        let mut envelope = envelope.ok_or("a task that follows has no name")?;
        envelope.sent_at = Some(self.now);
        envelope.origin = Some(origin().into());
        let trace = self.task.map(|task| TraceContext::of_headers(&task.extra));
        if let Some(trace) = trace.flatten() {
            trace.write_to(&mut envelope.extra);
        }
        let mut args = match signature.is_immutable()? {
            true => Vec::new(),
            false => place.args.clone(),
        };
        args.extend(signature.args()?);
        let embed = embed(&options, place)?;
        let (args, kwargs) = (raw(&args), signature.kwargs_text());
        let content = encode_with(&envelope, args.get(), kwargs, embed.get());
        let (exchange, routing_key) = self.routes.route(
            &signature.routed_as()?,
            Said {
                exchange: options.text("exchange").as_deref(),
                routing_key: options.text("routing_key").as_deref(),
                queue: options.text("queue").as_deref(),
            },
            self.queue,
        )?;
        Ok(Message::Task {
            publication: Publication {
                exchange,
                routing_key,
                content,
            },
            due: envelope.eta,
        })
    }

    /// The headers that Celery would give it.
    fn headers(
        &self,
        name: &TaskName,
        id: &TaskId,
        options: &Options,
        place: &Place,
    ) -> Result<Headers, String> {
        let stamps = options.stamps();
        fits_headers(options.size_in_headers(&stamps))?;
        let mut headers = Headers::new();
        headers.push("task", name.as_str());
        headers.push("id", id.as_str());
        if let Some(task) = self.task {
            headers.push("root_id", task.root_id.as_str());
            // What goes on in the place of a task is its parent's child, as that was.
            let parent = if task.id == *id {
                task.parent_id.as_ref()
            } else {
                Some(&task.id)
            };
            if let Some(parent) = parent {
                headers.push("parent_id", parent.as_str());
            }
        }
        let group = place.group.as_ref();
        let of_group = group.map(|(id, _)| id.to_string());
        if let Some(group) = of_group.or_else(|| options.text("group_id")) {
            headers.push("group", group);
        }
        let index = group.map(|(_, index)| Value::from(*index));
        push(
            &mut headers,
            "group_index",
            index.or_else(|| options.value("group_index")),
        );
        for name in [
            "shadow",
            "ignore_result",
            "retries",
            "replaced_task_nesting",
        ] {
            push(&mut headers, name, options.value(name));
        }
        let limits = [
            options.value("time_limit"),
            options.value("soft_time_limit"),
        ];
        if limits.iter().any(Option::is_some) {
            let limits = limits.map(|limit| header(&limit.unwrap_or_default()));
            headers.push("timelimit", HeaderValue::List(limits.into()));
        }
        let countdown = options.value("countdown").map(|wait| self.at(&wait));
        push(
            &mut headers,
            "eta",
            countdown.transpose()?.or_else(|| options.value("eta")),
        );
        let expires = options.value("expires").map(|at| self.at(&at));
        push(&mut headers, "expires", expires.transpose()?);
        if options.get("stamped_headers").is_some() {
            stamp(&mut headers, options, stamps);
        }
        if let Some(Value::Object(mut own)) = options.value("headers") {
            for (name, _) in headers.iter() {
                own.remove(name);
            }
            for (name, value) in own {
                headers.push(name, header(&value));
            }
        }
        Ok(headers)
    }

    /// A number of seconds from now, or a time, as a time.
    fn at(&self, when: &Value) -> Result<Value, String> {
        let Some(seconds) = when.as_f64() else {
            return Ok(when.clone());
        };
        let impossible = || format!("{seconds} s from now is no time");
        let whole =
            std::time::Duration::try_from_secs_f64(seconds.abs()).map_err(|_| impossible())?;
        let span = TimeDelta::from_std(whole).map_err(|_| impossible())?;
        let span = if seconds < 0.0 { -span } else { span };
        let at = self.now.checked_add_signed(span).ok_or_else(impossible)?;
        Ok(Value::from(at.to_rfc3339()))
    }
}

/// What is to happen after a task that follows.
fn embed(options: &Options, place: &Place) -> Result<Box<RawValue>, String> {
    let some = |signatures: Vec<Signature>| (!signatures.is_empty()).then(|| raw(&signatures));
    let chord = place
        .chord
        .clone()
        .or_else(|| options.get("chord").map(ToOwned::to_owned));
    let stored = || options.get("chain").map(ToOwned::to_owned);
    let chain = place.chain.as_ref().map(raw).or_else(stored);
    let null = || raw(&Value::Null);
    let parts = [
        ("callbacks", some(options.signatures("link")?)),
        ("errbacks", some(options.signatures("link_error")?)),
        ("chain", chain),
        ("chord", chord),
    ];
    let parts = parts.map(|(name, part)| (name.to_owned(), part.unwrap_or_else(null)));
    Ok(raw(&Fields::from(parts)))
}

/// Stamps: names in a list, and a value for each.
fn stamp(headers: &mut Headers, options: &Options, names: BTreeSet<String>) {
    let listed = names.iter().map(|name| HeaderValue::from(name.as_str()));
    headers.push("stamped_headers", HeaderValue::List(listed.collect()));
    let mut stamps = Headers::new();
    for name in names {
        let value = options.value(&name).unwrap_or_default();
        stamps.push(name, header(&value));
    }
    headers.push("stamps", HeaderValue::Table(stamps));
}

/// Sets a header that is said something of.
fn push(headers: &mut Headers, name: &'static str, value: Option<Value>) {
    if let Some(value) = value {
        headers.push(name, header(&value));
    }
}
