//! Sending a task.

use crate::access::Visitor;
use crate::app::{App, Shared};
use crate::trouble::Trouble;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use counterfoil_operations::arguments::{self, Arguments};
use counterfoil_store::RequestClaim;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendError, SendOptions};
use counterfoil_toolbox::{Priority, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::time::Duration;
use utoipa::ToSchema;

/// A request with a key that was sent before sends nothing again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest key.
const LONGEST_KEY: usize = 255;

/// In how many seconds a full queue may have room.
const FULL: u32 = 10;

/// Confirm time-outs that a send takes at most: it is tried for three, and one more tells the platform of a queue that
/// is full.
const CONFIRMS: u32 = 4;

/// What the database may take besides.
const BESIDES: Duration = Duration::from_secs(15);

/// A task that is to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Its type.
    #[schema(example = "export.project")]
    name: String,
    /// Arguments by position. Default: none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    args: Option<Box<RawValue>>,
    /// Arguments by keyword. Default: none.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    kwargs: Option<Box<RawValue>>,
    #[serde(default)]
    options: Options,
    /// Sends it though its arguments do not fit, or nothing is known of it. Default: false.
    #[serde(default)]
    unvalidated: bool,
}

/// What else is said of it. What is left out is as its type says.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Start it after so many seconds.
    countdown_s: Option<f64>,
    /// Not before this time.
    eta: Option<DateTime<Utc>>,
    /// Not after this time.
    expires: Option<DateTime<Utc>>,
    /// `high`, `normal` or `low`.
    priority: Option<String>,
    max_retries: Option<u32>,
    time_limit_s: Option<f64>,
    /// Name for it among the living tasks of its type.
    identifier: Option<String>,
    /// Who wants it. Default: whoever sends it here.
    creator: Option<String>,
    /// What it is about: `type:id`.
    related: Option<String>,
}

/// A task that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Public id.
    id: String,
    /// Whether its arguments were checked: not if nobody has announced its type.
    validated: bool,
}

/// Sends a task: it is stored and tracked then.
///
/// With `Idempotency-Key`, the same request again within 24 h sends nothing and has the same answer, also if the task
/// takes other arguments by then; while the first one is under way it has none yet (409). Whoever was told that nothing
/// was sent may use the key again at once. If a request never had an answer, because the dashboard or the database
/// went away, the same one sends the task again, under the same id: from four times `broker.confirm_timeout` and 15 s
/// after it (55 s by default), and 409 before. So it is if that one fails, too.
#[utoipa::path(post, path = "/api/tasks", tag = "tasks", request_body = Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "Up to 255 characters")),
    responses(
        (status = 202, body = Sent),
        (status = 400, description = "It is no such request."),
        (status = 409, description = "A request with this key is being answered: ask again after `Retry-After` seconds."),
        (status = 422, description = "The arguments do not fit, or the key was used for another request."),
        (status = 429, description = "The queue is full."),
        (status = 503, description = "The broker or the database is away. `detail` says whether it is known that nothing was sent."),
    ))]
pub(crate) async fn send(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Sent>), Trouble> {
    let order: Order = super::read(&body)?;
    let task = order.task()?;
    let options = order.options.options(&visitor)?;
    let key = headers
        .get(IDEMPOTENCY_KEY)
        .map(|key| key.to_str().unwrap_or_default());
    let (id, validated) = match key {
        None => {
            let validated = fits(&app, &order, &task).await?;
            let sent = app.producer.send_raw(task, options).await;
            (sent.map_err(refused)?, validated)
        }
        Some(key) if key.is_empty() || key.len() > LONGEST_KEY => {
            return Err(Trouble::bad(
                "Idempotency-Key: from 1 to 255 characters were expected",
            ));
        }
        Some(key) => {
            let key = Key {
                app: &app,
                owner: &visitor.name,
                key,
            };
            key.once(&body, &order, task, options).await?
        }
    };
    let id = app.store.public_id(&id)?;
    Ok((StatusCode::ACCEPTED, Json(Sent { id, validated })))
}

/// A key of somebody, under which a request may be repeated.
#[derive(Clone, Copy)]
struct Key<'a> {
    app: &'a App,
    owner: &'a str,
    key: &'a str,
}

impl Key<'_> {
    /// Sends a task once, however often it is asked for, and tells whether its arguments were checked.
    async fn once(
        self,
        request: &[u8],
        order: &Order,
        task: RawTask,
        options: SendOptions,
    ) -> Result<(TaskId, bool), Trouble> {
        let Self { app, owner, key } = self;
        let digest = Sha256::digest(request);
        let new = TaskId::random();
        let longest = longest(app.broker.confirm_timeout);
        let claim = app.store.claim_request(owner, key, &digest, &new).await?;
        let (id, is_new) = match claim {
            RequestClaim::New => (new, true),
            RequestClaim::Known {
                task_id, answered, ..
            } if answered => {
                let was_checked = !order.unvalidated && find(app, &task.name).await?.is_some();
                return Ok((task_id, was_checked));
            }
            RequestClaim::Known { age, .. } if age < longest => {
                return Err(under_way(longest - age));
            }
            // It may have been sent, and nobody was told. Under the same id it has one row.
            RequestClaim::Known { task_id, .. } => (task_id, false),
            RequestClaim::Differs => {
                return Err(Trouble::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "this Idempotency-Key was used for another request",
                ));
            }
        };
        let validated = match fits(app, order, &task).await {
            Ok(validated) => validated,
            Err(trouble) => {
                self.free(is_new, &id).await;
                return Err(trouble);
            }
        };
        if !is_new && !app.store.renew_request(owner, key, &id, longest).await? {
            return Err(under_way(longest));
        }
        match app.producer.send_raw(task, options.id(id.clone())).await {
            Ok(id) => {
                self.answer(&id).await;
                Ok((id, validated))
            }
            Err(error) => {
                self.free(is_new && is_unsent(&error), &id).await;
                Err(refused(error))
            }
        }
    }

    /// Without that, the same request sends it again later, under the same id: no harm but a second run.
    async fn answer(self, id: &TaskId) {
        let Self { app, owner, key } = self;
        if let Err(error) = app.store.answer_request(owner, key, id).await {
            let error = ErrorChain(&error).to_string();
            tracing::warn!(task_id = %id, %error, "that a request was answered could not be recorded");
        }
    }

    /// Gives the key back if nothing was sent for it: now, and when it was used before.
    async fn free(self, is_unused: bool, id: &TaskId) {
        let Self { app, owner, key } = self;
        if !is_unused {
            return;
        }
        if let Err(error) = app.store.free_request(owner, key, id).await {
            let error = ErrorChain(&error).to_string();
            tracing::warn!(task_id = %id, %error, "the key of a request could not be given back");
        }
    }
}

/// How long a request may be under way. Pure.
fn longest(confirm_timeout: Duration) -> Duration {
    confirm_timeout
        .saturating_mul(CONFIRMS)
        .saturating_add(BESIDES)
}

/// What the second of two equal requests is told, if the first one is answered in this time at the latest. Pure.
fn under_way(left: Duration) -> Trouble {
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    Trouble::new(
        StatusCode::CONFLICT,
        "a request with this Idempotency-Key is being answered",
    )
    .remedy("send the same one again later: it has the same answer then")
    .retry_after(seconds.saturating_add(1))
}

/// Whether the arguments of a task fit it, as far as anything is known of it; `false`: nothing is, or nobody asks.
async fn fits(app: &App, order: &Order, task: &RawTask) -> Result<bool, Trouble> {
    if order.unvalidated {
        return Ok(false);
    }
    let Some(arguments) = find(app, &task.name).await? else {
        return Ok(false);
    };
    let hides = |name: &str| app.mask.hides(name);
    let faults = arguments.faults_without(&task.args, &task.kwargs, hides);
    match faults.is_empty() {
        true => Ok(true),
        false => Err(
            Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, faults.join("\n"))
                .recorded("the arguments do not fit")
                .remedy("nothing was sent; mend the arguments"),
        ),
    }
}

/// What is known of a task's arguments.
async fn find(app: &App, name: &TaskName) -> Result<Option<Arguments>, Trouble> {
    let of_file = match &app.catalogue {
        Some(file) => arguments::catalogue(file).map(|mut all| all.remove(name.as_str())),
        None => Ok(None),
    };
    let of_file = of_file.unwrap_or_else(|error| {
        tracing::warn!(error = %ErrorChain(&error), "arguments are checked without the catalogue");
        None
    });
    let schema = match of_file {
        Some(schema) => Some(schema),
        None => arguments::announced(&*app.store, name).await?.ok(),
    };
    let arguments = schema
        .map(|schema| Arguments::new(name, &schema))
        .transpose();
    Ok(arguments.unwrap_or_else(|error| {
        tracing::warn!(task_name = %name, %error, "arguments are not checked");
        None
    }))
}

impl Order {
    fn task(&self) -> Result<RawTask, Trouble> {
        let name = TaskName::new(&self.name).map_err(|error| Trouble::bad(error.to_string()))?;
        let json =
            |json: Option<&RawValue>, empty: &str| json.map_or(empty, RawValue::get).to_owned();
        let args = json(self.args.as_deref(), "[]");
        let kwargs = json(self.kwargs.as_deref(), "{}");
        match args.starts_with('[') && kwargs.starts_with('{') {
            true => Ok(RawTask { name, args, kwargs }),
            false => Err(Trouble::bad("args: a list was expected, kwargs: an object")),
        }
    }
}

impl Options {
    fn options(&self, visitor: &Visitor) -> Result<SendOptions, Trouble> {
        let mut options = SendOptions::new();
        let creator = self.creator.as_deref().unwrap_or(&visitor.name);
        options = options.creator(creator);
        if let Some(seconds) = self.countdown_s {
            options = options.countdown(time("countdown_s", seconds)?);
        }
        if let Some(eta) = self.eta {
            options = options.eta(eta);
        }
        if let Some(expires) = self.expires {
            options = options.expires(expires);
        }
        if let Some(priority) = &self.priority {
            let priority: Priority = priority
                .parse()
                .map_err(|_| Trouble::bad("options.priority: high, normal or low was expected"))?;
            options = options.priority(priority);
        }
        if let Some(retries) = self.max_retries {
            options = options.max_retries(retries);
        }
        if let Some(seconds) = self.time_limit_s {
            options = options.time_limit(time("time_limit_s", seconds)?);
        }
        if let Some(identifier) = &self.identifier {
            options = options.identifier(identifier);
        }
        if let Some(related) = &self.related {
            let (kind, id) = related.split_once(':').ok_or_else(|| {
                Trouble::bad("options.related: an object of the form type:id was expected")
            })?;
            options = options.related(kind, id);
        }
        Ok(options)
    }
}

fn time(field: &str, seconds: f64) -> Result<Duration, Trouble> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        Trouble::bad(format!(
            "options.{field}: {seconds} is no number of seconds"
        ))
    })
}

/// Whether nothing was sent for certain. Pure.
fn is_unsent(error: &SendError) -> bool {
    matches!(
        error,
        SendError::Name(_)
            | SendError::Arguments { .. }
            | SendError::TooLarge { .. }
            | SendError::NoTime { .. }
            | SendError::Delay(_)
            | SendError::QueueFull { .. }
            | SendError::BrokerUnavailable { .. }
            | SendError::Refused { .. }
            | SendError::Levels(_)
            | SendError::Results(_)
    )
}

/// Why it was not sent. Pure.
fn refused(error: SendError) -> Trouble {
    let what = ErrorChain(&error).to_string();
    if let SendError::QueueFull { .. } = error {
        return Trouble::new(StatusCode::TOO_MANY_REQUESTS, what).retry_after(FULL);
    }
    if let SendError::BrokerUnavailable { retry_in, .. } = error {
        let seconds = u32::try_from(retry_in.as_secs()).unwrap_or(u32::MAX);
        return Trouble::new(StatusCode::SERVICE_UNAVAILABLE, what).retry_after(seconds.max(1));
    }
    let is_bad = matches!(
        error,
        SendError::Name(_)
            | SendError::Arguments { .. }
            | SendError::TooLarge { .. }
            | SendError::NoTime { .. }
            | SendError::Delay(_)
    );
    match is_bad {
        true => Trouble::bad(what),
        false => Trouble::new(StatusCode::SERVICE_UNAVAILABLE, what)
            .remedy("whether it was sent is not known: the same request with the same Idempotency-Key is safe")
            .retry_after(1),
    }
}
