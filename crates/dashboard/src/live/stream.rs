//! The stream of one who watches.

use super::interest::reload;
use super::watch::told;
use super::{Follower, Interest, MOST_STREAMS, Tick};
use crate::access::Visitor;
use crate::api::task::find;
use crate::app::Shared;
use crate::trouble::Trouble;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use counterfoil_store::{Changes, FeedPosition};
use futures::stream;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// After so long without news a line is sent that says nothing: proxies cut silent connections.
const SILENCE: Duration = Duration::from_secs(15);

/// What a browser sends when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How soon browsers come back; it also tells proxies that the answer has begun.
const HELLO: &str = "retry: 2000\n\n";

/// In how many seconds somebody else may have gone, where all places are taken.
const FULL: u32 = 30;

/// What is sent, in its order.
struct Watching {
    app: Shared,
    interest: Interest,
    /// First task of the family that is watched, by its id on the wire.
    root: Option<String>,
    follower: Follower,
    ready: VecDeque<Bytes>,
    /// When the sign-in is over.
    until: Option<DateTime<Utc>>,
}

/// What changes, as server-sent events.
///
/// `tasks`: those that changed, as they are now · `sessions`, `deleted`: ids · `changed`: that something did,
/// with `brief` · `reload`: read everything anew · `outage`: nothing can be said for now. A client that comes
/// back with `Last-Event-ID` gets what it missed, or `reload`.
#[utoipa::path(get, path = "/api/events", tag = "events", params(Interest), responses(
    (status = 200, description = "A stream that does not end.", content_type = "text/event-stream", body = String),
    (status = 404, description = "There is no such family."),
    (status = 503, description = "Too many streams are open."),
))]
pub(crate) async fn events(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(interest): Query<Interest>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let root = match interest.family.as_str() {
        "" => None,
        id => {
            let task = find(&app, id).await?;
            Some(task.root_id.unwrap_or_else(|| task.task_id.to_string()))
        }
    };
    // Before anything is looked at, so that nothing is missed; what is told twice does no harm.
    let follower = app.live.follow(interest.needs()).ok_or_else(full)?;
    let mut watching = Watching {
        ready: VecDeque::from([Bytes::from_static(HELLO.as_bytes())]),
        until: visitor.until,
        app,
        interest,
        root,
        follower,
    };
    let last = headers
        .get(LAST_EVENT_ID)
        .map(|id| id.to_str().unwrap_or_default());
    let since = watching.interest.since.clone();
    if let Some(position) = last.or((!since.is_empty()).then_some(&since)) {
        let missed = watching.missed(position).await?;
        watching.ready.extend(missed);
    }
    let body = stream::unfold(watching, |mut watching| async {
        let text = watching.next().await?;
        Some((Ok::<_, Infallible>(text), watching))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // nginx holds answers back otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn full() -> Trouble {
    let what = format!("{MOST_STREAMS} streams of changes are open already, and no more may be");
    Trouble::new(StatusCode::SERVICE_UNAVAILABLE, what)
        .remedy("ask for what you want to know now and then, or start another dashboard")
        .retry_after(FULL)
}

impl Watching {
    /// What happened since somebody was cut off.
    async fn missed(&self, position: &str) -> Result<Option<Bytes>, Trouble> {
        let Ok(position) = position.parse::<FeedPosition>() else {
            return Ok(Some(reload(None)));
        };
        let store = &*self.app.store;
        let changes = store.changes_since(&position).await?;
        let tick = match changes {
            Changes::TooOld(at) => Tick::Reload {
                position: at.to_string(),
            },
            Changes::Since(changed) if changed.is_empty() => return Ok(None),
            Changes::Since(changed) => told(store, changed, self.interest.needs()).await?,
        };
        Ok(self.interest.told(&tick, self.root.as_deref()))
    }

    /// The next piece; `None`: the dashboard ends.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(text);
            }
            // Who has to sign in again does so on the page.
            if self.until.is_some_and(|until| until <= Utc::now()) {
                return None;
            }
            let stop = self.app.stop.clone();
            let tick = tokio::select! {
                () = stop.cancelled() => return None,
                tick = tokio::time::timeout(SILENCE, self.follower.ticks.recv()) => tick,
            };
            match tick {
                Err(_) => return Some(Bytes::from_static(b": nothing new\n\n")),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => return Some(reload(None)),
                Ok(Ok(tick)) => {
                    let told = self.interest.told(&tick, self.root.as_deref());
                    self.ready.extend(told);
                }
            }
        }
    }
}
