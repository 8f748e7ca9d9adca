//! Dead letters.

use super::{Dealt, Page, names_some, read};
use crate::access::Visitor;
use crate::app::{App, Shared};
use crate::page::dead::{DeadQuery, MOST, perform, public_ids};
use crate::trail::Came;
use crate::trouble::Trouble;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use counterfoil_operations::dead::{Deal, Fate, Which};
use counterfoil_operations::{Doer, Mode};
use counterfoil_store::record::DeadRow;
use counterfoil_toolbox::names::ServiceName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message in the dead queue of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// Id of the record.
    id: String,
    /// Service whose dead queue holds the message.
    service: String,
    /// Why it died: an error kind, or the broker's word.
    reason: String,
    /// One line that goes with the reason.
    reason_text: Option<String>,
    /// Public id of its task, where there is a row of it.
    task: Option<String>,
    /// Type of the task.
    r#type: Option<String>,
    /// The attempt that died.
    attempt: String,
    /// When it died.
    died_at: DateTime<Utc>,
    /// How often the platform was told of such a message.
    times: i64,
}

/// Which messages of a dead queue are meant. What is left out does not matter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChosenLetters {
    /// The service whose dead queue it is.
    #[schema(example = "export")]
    service: String,
    /// Of these tasks, by public ids, or the records with these ids: from 1 to 1,000. Left out: of any task.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<String>>,
    /// Died for this reason.
    reason: Option<String>,
    /// Of this type.
    name: Option<String>,
    /// Died at this time or later.
    since: Option<DateTime<Utc>>,
    /// Died before this time.
    until: Option<DateTime<Utc>>,
    /// At most so many, the oldest first. Default, and most: 10,000.
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
}

impl ChosenLetters {
    fn deal(self, fate: Fate, visitor: &Visitor) -> Result<Deal, Trouble> {
        let service = ServiceName::new(&self.service);
        let limit = self.limit.unwrap_or(MOST);
        if !(1..=MOST).contains(&limit) {
            return Err(Trouble::bad("limit: from 1 to 10000 was expected"));
        }
        self.ids.as_deref().map_or(Ok(()), names_some)?;
        Ok(Deal {
            fate,
            mode: Mode::Do,
            service: service.map_err(|error| Trouble::bad(format!("service: {error}")))?,
            which: Which {
                ids: self.ids.unwrap_or_default(),
                reason: self.reason,
                name: self.name,
                since: self.since,
                until: self.until,
            },
            limit,
            doer: Doer::new(Some(visitor.name.clone())),
        })
    }
}

/// Dead letters, the newest first.
#[utoipa::path(get, path = "/api/dead", tag = "dead", params(DeadQuery), responses(
    (status = 200, body = Page<DeadLetter>),
    (status = 400, description = "The query cannot be meant so."),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    Query(query): Query<DeadQuery>,
) -> Result<Json<Page<DeadLetter>>, Trouble> {
    let part = query.page(&app).await?;
    let ids = part.rows.iter().filter_map(|row| row.task_id.as_deref());
    let public = public_ids(&app, ids).await?;
    let next = part.end().map(|row| row.place().to_string());
    let letter = |row: DeadRow| DeadLetter {
        id: row.id.to_string(),
        service: row.service,
        reason: row.reason,
        reason_text: row.reason_text,
        task: row.task_id.and_then(|id| public.get(&id).cloned()),
        r#type: row.name,
        attempt: row.attempt,
        died_at: row.died_at,
        times: row.times,
    };
    Ok(Json(Page {
        previous: None,
        next,
        items: part.rows.into_iter().map(letter).collect(),
    }))
}

/// Sends messages of a dead queue again, each as a new run of its task.
#[utoipa::path(post, path = "/api/dead/redrive", tag = "dead", request_body = ChosenLetters, responses(
    (status = 200, body = Dealt),
    (status = 400, description = "It is no such request."),
    (status = 404, description = "The service has no dead queue."),
    (status = 409, description = "Somebody else is at work on the dead queue."),
    (status = 503, description = "Broker or database do not answer."),
))]
pub(crate) async fn redrive(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Result<(Extension<Came>, Json<Dealt>), Trouble> {
    deal(&app, &visitor, &body, Fate::Redrive).await
}

/// Throws messages of a dead queue away; the rows of their tasks stay.
#[utoipa::path(post, path = "/api/dead/discard", tag = "dead", request_body = ChosenLetters, responses(
    (status = 200, body = Dealt),
    (status = 400, description = "It is no such request."),
    (status = 404, description = "The service has no dead queue."),
    (status = 409, description = "Somebody else is at work on the dead queue."),
    (status = 503, description = "Broker or database do not answer."),
))]
pub(crate) async fn discard(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Result<(Extension<Came>, Json<Dealt>), Trouble> {
    deal(&app, &visitor, &body, Fate::Discard).await
}

async fn deal(
    app: &App,
    visitor: &Visitor,
    body: &[u8],
    fate: Fate,
) -> Result<(Extension<Came>, Json<Dealt>), Trouble> {
    let deal = read::<ChosenLetters>(body)?.deal(fate, visitor)?;
    let service = deal.service.clone();
    let (Extension(Came(came)), dealt) = Dealt::of(perform(app, deal).await?);
    // The trail reads forms alone.
    Ok((Extension(Came(format!("{service}: {came}"))), dealt))
}
