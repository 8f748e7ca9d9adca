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
/// With `Idempotency-Key`, the same request again within 24 h sends nothing and has the same answer.
#[utoipa::path(post, path = "/api/tasks", tag = "tasks", request_body = Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "Up to 255 characters")),
    responses(
        (status = 202, body = Sent),
        (status = 400, description = "It is no such request."),
        (status = 422, description = "The arguments do not fit, or the key was used for another request."),
        (status = 429, description = "The queue is full."),
        (status = 503, description = "The broker is away: nothing was sent."),
    ))]
pub(crate) async fn send(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Sent>), Trouble> {
    let order: Order = super::read(&body)?;
    let (task, validated) = checked(&app, &order).await?;
    let options = order.options.options(&visitor)?;
    let key = headers
        .get(IDEMPOTENCY_KEY)
        .map(|key| key.to_str().unwrap_or_default());
    let id = match key {
        None => dispatch(&app, task, options).await?,
        Some(key) if key.is_empty() || key.len() > LONGEST_KEY => {
            return Err(Trouble::bad(
                "Idempotency-Key: from 1 to 255 characters were expected",
            ));
        }
        Some(key) => once(&app, (&visitor.name, key), &body, task, options).await?,
    };
    let id = app.store.public_id(&id)?;
    Ok((StatusCode::ACCEPTED, Json(Sent { id, validated })))
}

/// Sends a task under a key: once, however often it is asked for.
async fn once(
    app: &App,
    (owner, key): (&str, &str),
    request: &[u8],
    task: RawTask,
    options: SendOptions,
) -> Result<TaskId, Trouble> {
    let digest = Sha256::digest(request);
    let new = TaskId::random();
    let id = match app.store.claim_request(owner, key, &digest, &new).await? {
        RequestClaim::New => new,
        RequestClaim::Known {
            task_id,
            answered: true,
        } => return Ok(task_id),
        // It may have been sent, and nobody was told. Under the same id it has one row.
        RequestClaim::Known {
            task_id,
            answered: false,
        } => task_id,
        RequestClaim::Differs => {
            return Err(Trouble::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used for another request",
            ));
        }
    };
    let id = dispatch(app, task, options.id(id)).await?;
    // Without that, the same request again sends it again under the same id: no harm but a second run.
    if let Err(error) = app.store.answer_request(owner, key, &id).await {
        let error = ErrorChain(&error).to_string();
        tracing::warn!(task_id = %id, %error, "that a request was answered could not be recorded");
    }
    Ok(id)
}

async fn dispatch(app: &App, task: RawTask, options: SendOptions) -> Result<TaskId, Trouble> {
    app.producer.send_raw(task, options).await.map_err(refused)
}

/// The task, and whether its arguments were checked.
async fn checked(app: &App, order: &Order) -> Result<(RawTask, bool), Trouble> {
    let name = TaskName::new(&order.name).map_err(|error| Trouble::bad(error.to_string()))?;
    let json = |json: Option<&RawValue>, empty: &str| json.map_or(empty, RawValue::get).to_owned();
    let args = json(order.args.as_deref(), "[]");
    let kwargs = json(order.kwargs.as_deref(), "{}");
    if !args.starts_with('[') || !kwargs.starts_with('{') {
        return Err(Trouble::bad("args: a list was expected, kwargs: an object"));
    }
    let arguments = match order.unvalidated {
        true => None,
        false => find(app, &name).await?,
    };
    let faults = arguments
        .as_ref()
        .map(|arguments| arguments.faults(&args, &kwargs));
    if let Some(faults) = faults.filter(|faults| !faults.is_empty()) {
        return Err(
            Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, faults.join("\n"))
                .remedy("nothing was sent; mend the arguments"),
        );
    }
    let validated = arguments.is_some();
    Ok((RawTask { name, args, kwargs }, validated))
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
