//! What every answer says to browsers.

use crate::app::Shared;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Nothing that is written into a page runs or loads anything: scripts, styles and answers come from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The same for a fragment that pages of these origins may show in a frame.
pub(crate) fn embedded(origins: &[String]) -> HeaderValue {
    let from = origins.join(" ");
    let policy = POLICY.replace(
        "frame-ancestors 'none'",
        &format!("frame-ancestors 'self' {from}"),
    );
    // Origins are letters and signs that headers hold.
    HeaderValue::from_str(policy.trim()).unwrap_or(HeaderValue::from_static(POLICY))
}

pub(crate) async fn add(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let is_embedded = request.uri().path().starts_with("/embed/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if is_embedded {
        headers.insert(CONTENT_SECURITY_POLICY, app.embed_policy.clone());
        // Older browsers know no list of those that may.
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    }
    let add = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // No page of another site gets hold of what is here, or of its window.
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in add {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    // What is behind a sign-in must not be left in caches.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    response
}
