//! Messages that the platform could not read.

use super::{Dealt, Page, names_some, read};
use crate::app::{App, Shared};
use crate::page::dead::public_ids;
use crate::page::parked::{ParkedQuery, Wish, perform};
use crate::trail::Came;
use crate::trouble::Trouble;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use counterfoil_store::record::ParkedRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A message that the platform could not read, or does not believe yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedMessage {
    id: String,
    /// Queue that it was read from.
    queue: String,
    /// Why it is parked.
    reason: String,
    /// Public id of its task, where there is a row of it.
    task: Option<String>,
    /// Type of the task, when that could be read.
    r#type: Option<String>,
    /// When it was first parked.
    parked_at: DateTime<Utc>,
    /// How often an equal message was parked.
    times: i64,
    /// Size of its body.
    body_bytes: usize,
}

/// Which parked messages are meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChosenMessages {
    /// The messages with these ids: from 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<String>)]
    ids: Vec<Uuid>,
}

/// Parked messages, the newest first.
#[utoipa::path(get, path = "/api/parked", tag = "parked", params(ParkedQuery), responses(
    (status = 200, body = Page<ParkedMessage>),
    (status = 400, description = "The query cannot be meant so."),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    Query(query): Query<ParkedQuery>,
) -> Result<Json<Page<ParkedMessage>>, Trouble> {
    let part = query.page(&app).await?;
    let ids = part.rows.iter().filter_map(|row| row.task_id.as_deref());
    let public = public_ids(&app, ids).await?;
    let next = part.end().map(|row| row.place().to_string());
    let message = |row: ParkedRow| ParkedMessage {
        id: row.id.to_string(),
        queue: row.queue,
        reason: row.reason,
        task: row.task_id.and_then(|id| public.get(&id).cloned()),
        r#type: row.name,
        parked_at: row.parked_at,
        times: row.times,
        body_bytes: row.body_bytes,
    };
    Ok(Json(Page {
        previous: None,
        next,
        items: part.rows.into_iter().map(message).collect(),
    }))
}

/// Reads parked messages once more; what still cannot be read stays parked.
#[utoipa::path(post, path = "/api/parked/redrive", tag = "parked", request_body = ChosenMessages, responses(
    (status = 200, body = Dealt),
    (status = 400, description = "It is no such request."),
    (status = 404, description = "None of them is parked."),
))]
pub(crate) async fn redrive(
    State(app): State<Shared>,
    body: Bytes,
) -> Result<(Extension<Came>, Json<Dealt>), Trouble> {
    deal(&app, &body, Wish::Redrive).await
}

/// Throws parked messages away.
#[utoipa::path(post, path = "/api/parked/discard", tag = "parked", request_body = ChosenMessages, responses(
    (status = 200, body = Dealt),
    (status = 400, description = "It is no such request."),
    (status = 404, description = "None of them is parked."),
))]
pub(crate) async fn discard(
    State(app): State<Shared>,
    body: Bytes,
) -> Result<(Extension<Came>, Json<Dealt>), Trouble> {
    deal(&app, &body, Wish::Discard).await
}

async fn deal(
    app: &App,
    body: &[u8],
    wish: Wish,
) -> Result<(Extension<Came>, Json<Dealt>), Trouble> {
    let ChosenMessages { ids } = read(body)?;
    names_some(&ids)?;
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let (_, mut done) = perform(app, wish, &ids).await?;
    if done.told.is_empty() {
        return Err(Trouble::not_found("nothing is parked under these ids"));
    }
    done.by_public_ids(app).await?;
    let (Extension(Came(came)), dealt) = Dealt::of(done);
    // The trail reads forms alone.
    let first = ids.first().map_or("", String::as_str);
    let others = match ids.len() {
        1 => String::new(),
        all => format!(" and {} others", all - 1),
    };
    let came = format!("{first}{others}: {came}");
    Ok((Extension(Came(came)), dealt))
}
