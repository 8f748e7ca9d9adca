//! What keeps a request from its answer, and how people and programs are told.

use crate::page::problem::ProblemPage;
use askama::Template;
use axum::Json;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use counterfoil_operations::{ErrorClass, OperationError};
use counterfoil_store::StoreError;
use counterfoil_toolbox::error::ErrorChain;
use serde::Serialize;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) status: StatusCode,
    /// What is wrong, for people.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// In how many seconds it may be over.
    pub(crate) retry_after: Option<u32>,
    /// What is written down of it instead of `detail`, which tells more than may be kept.
    pub(crate) recorded: Option<&'static str>,
}

/// How long browsers and programs wait before they ask again while the database is away.
const AWAY: u32 = 5;

impl Trouble {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            remedy: None,
            retry_after: None,
            recorded: None,
        }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Only this is written down of it: its detail may hold something of what was sent.
    pub(crate) fn recorded(mut self, what: &'static str) -> Self {
        self.recorded = Some(what);
        self
    }

    /// Something that is not there, or not any more.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// What the user lacks rights for that the dashboard connects to its database as.
    fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail).remedy(
            "counterfoil_web may look, send, cancel, pause and abort; for more the dashboard connects to its database \
             as counterfoil_sync: see \"Roles of the database\" in deploy/README.md",
        )
    }

    /// A request that cannot be meant so.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let what = ErrorChain(&error).to_string();
        if error.is_bad_data() {
            tracing::warn!(error = %what, "the database refuses a request");
            return Self::bad("the database cannot look for this");
        }
        if error.is_forbidden() {
            tracing::warn!(error = %what, "the database's user may not do this");
            return Self::forbidden("the dashboard's database user may not do this");
        }
        tracing::warn!(error = %what, "the database does not answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer")
            .remedy("tasks go on being sent and run meanwhile; what they tell is kept at the broker and comes here afterwards")
            .retry_after(AWAY)
    }
}

impl From<OperationError> for Trouble {
    fn from(error: OperationError) -> Self {
        if let OperationError::Store(error) = error {
            return error.into();
        }
        let what = ErrorChain(&error).to_string();
        if let OperationError::OnlyAsks { user } = error {
            tracing::warn!(error = %what, "the database's user may not do this");
            return Self::forbidden(format!(
                "the dashboard's database user {user} may not do this, so nothing was done"
            ));
        }
        match error.class() {
            ErrorClass::NotFound => Self::not_found(what),
            ErrorClass::Conflict => Self::new(StatusCode::CONFLICT, what),
            ErrorClass::Invalid => Self::bad(what),
            ErrorClass::Unavailable if is_half_done(&error) => {
                tracing::error!(error = %what, "what was sent could not be recorded");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, what)
                    .remedy("look at the tasks before you repeat it: some were sent")
            }
            ErrorClass::Unavailable => {
                tracing::warn!(error = %what, "the broker does not answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the broker does not answer")
                    .remedy("repeat it once the broker is well: nothing is lost. What the database knows can be looked at meanwhile")
                    .retry_after(AWAY)
            }
        }
    }
}

/// Whether something was sent that the database does not know of.
fn is_half_done(error: &OperationError) -> bool {
    matches!(
        error,
        OperationError::RunsNotRecorded(_) | OperationError::LettersNotRecorded(_)
    )
}

impl From<askama::Error> for Trouble {
    fn from(error: askama::Error) -> Self {
        tracing::error!(error = %error, "a page could not be written");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page could not be written",
        )
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// RFC 9457
#[derive(Debug, Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// Writes down what is wrong: a page for people, `application/problem+json` for programs.
pub(crate) async fn tell(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path.starts_with("/api/");
    let looks_again = *request.method() == Method::GET;
    let response = next.run(request).await;
    let status = response.status();
    // Of a method that a path does not have (RFC 9110, 15.5.6).
    let allow = response.headers().get(ALLOW).cloned();
    let trouble = match response.extensions().get::<Trouble>() {
        Some(trouble) => trouble.clone(),
        // What axum itself refuses: a method, a query, a body.
        None if status.is_client_error() || status.is_server_error() => {
            let (head, body) = response.into_parts();
            if !is_plain(&head.headers) {
                return Response::from_parts(head, body);
            }
            let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let reason = head
                .status
                .canonical_reason()
                .unwrap_or("it cannot be done");
            Trouble::new(
                head.status,
                if text.is_empty() {
                    reason.to_owned()
                } else {
                    text
                },
            )
        }
        None => return response,
    };
    let mut answer = match is_api {
        true => problem(&trouble),
        false => match (ProblemPage {
            trouble: &trouble,
            looks_again,
        })
        .render()
        {
            Ok(page) => (trouble.status, Html(page)).into_response(),
            Err(_) => (trouble.status, trouble.detail.clone()).into_response(),
        },
    };
    if let Some(methods) = allow {
        answer.headers_mut().insert(ALLOW, methods);
    }
    if let Some(seconds) = trouble.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn is_plain(headers: &axum::http::HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_none_or(|kind| kind.starts_with("text/plain"))
}

fn problem(trouble: &Trouble) -> Response {
    let problem = Problem {
        r#type: "about:blank",
        title: trouble.status.canonical_reason().unwrap_or("Error"),
        status: trouble.status.as_u16(),
        detail: &trouble.detail,
        remedy: trouble.remedy.as_deref(),
    };
    let kind = HeaderValue::from_static("application/problem+json");
    (trouble.status, [(CONTENT_TYPE, kind)], Json(&problem)).into_response()
}
